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


def test_a_command_in_a_folder_that_was_removed_says_so(tmp_path):
    call = "import os; os.rmdir(os.getcwd())\nfrom penstock.surfaces.cli.main import main\nmain()"
    (tmp_path / "folder").mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", call, "runs"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path / "folder",
    )
    assert done.returncode == 2
    assert done.stderr == (
        "error: the folder in which this command runs was removed. Go to another one: cd.\n"
    )
