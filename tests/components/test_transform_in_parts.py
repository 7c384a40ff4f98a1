"""What a Transform writes does not depend on who does the parts of its work."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from penstock_support import PROGRAMS
from penstock_support.transform_in_processes import FILES, ROWS

pytestmark = pytest.mark.needs("tensorflow_transform")


@pytest.fixture(scope="module")
def transformed(tmp_path_factory) -> dict[int, dict[str, Any]]:
    """Return what came of it with one CPU and with two."""

    def run(cpus: int) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp(f"with_{cpus}")
        done = subprocess.run(
            [
                *(sys.executable, "-W", "ignore", PROGRAMS / "transform_in_processes.py"),
                *(str(folder), str(cpus)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return {cpus: run(cpus) for cpus in (1, 2)}


def test_it_is_done_by_forks_that_were_made_before_tensorflow_started(transformed):
    assert {cpus: found["forks"] for cpus, found in transformed.items()} == {1: 0, 2: 2}


def test_forks_write_what_one_process_writes(transformed):
    assert transformed[2]["digests"] == transformed[1]["digests"]
    assert len(transformed[1]["digests"]) == FILES + 1


def test_all_rows_are_counted(transformed):
    assert {found["rows"] for found in transformed.values()} == {ROWS}
