"""How a command's process ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.core

# Registered first, so called last.
CALL = """
import atexit, gc, sys
atexit.register(lambda: print("frozen:", gc.get_freeze_count() > 10_000))
from penstock.surfaces.cli.main import main
sys.argv = ["penstock", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize("arguments", [["--version"], ["run", "nothing.of_the_name"]])
def test_nothing_is_searched_for_garbage_when_a_command_ends(arguments, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CALL, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert "frozen: True" in done.stdout
