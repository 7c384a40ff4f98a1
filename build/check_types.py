"""Checks types with mypy, with the mapped folders where they are imported from.

mypy finds modules by their folders, so it would take `penstock.components` for a library without
types. Here it looks at a folder of links that has them in place.
"""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINKED = ROOT / ".typed"  # always the same, so that mypy's cache holds


def link() -> None:
    """Lay out the package as it is installed."""
    shutil.rmtree(LINKED, ignore_errors=True)
    package = LINKED / "penstock"
    package.mkdir(parents=True)
    for entry in sorted((ROOT / "penstock").iterdir()):
        if entry.name != "__pycache__":
            (package / entry.name).symlink_to(entry)
    for folder in runpy.run_path(str(ROOT / "setup.py"))["MAPPED_FOLDERS"]:
        (package / folder).symlink_to(ROOT / folder)


if __name__ == "__main__":
    link()
    config = ROOT / "pyproject.toml"
    command = [sys.executable, "-m", "mypy", "--config-file", str(config), "-p", "penstock"]
    sys.exit(subprocess.run([*command, *sys.argv[1:]], cwd=LINKED, check=False).returncode)
