"""Cells that run in an IPython of their own, in a folder that tests share."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from penstock_support import PROGRAMS

SCRIPT = PROGRAMS / "ipython_cells.py"


@dataclass(frozen=True)
class Told:
    """What a cell showed: its value as text and as HTML, and what it printed, errors too."""

    shown: str
    html: str
    printed: str


@pytest.fixture(scope="session")
def run_cells() -> Callable[..., list[Told]]:
    """Run cells in a new IPython whose folder is given: run_cells(folder, *cells)."""

    def run(folder: Path, *cells: str) -> list[Told]:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(SCRIPT)],
            input=json.dumps(cells),
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [Told(**told) for told in json.loads(done.stdout)]

    return run
