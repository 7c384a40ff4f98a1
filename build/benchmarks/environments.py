"""Environments of those that are measured beside Penstock: each its own, below `.peers`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[2]
PEERS = Path(__file__).with_name(".peers")


def python_of(name: str, requirements: Sequence[str]) -> Path:
    """Return the Python of an environment with these requirements, installed where it is not."""
    folder = PEERS / name
    wanted = sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()
    done = folder / "done"
    if not done.exists() or done.read_text(encoding="utf-8") != wanted:
        uv = shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
        subprocess.run(
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True
        )
        python = folder / "bin" / "python"
        install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
        subprocess.run([*install, *requirements], check=True)
        done.write_text(wanted, encoding="utf-8")
    return folder / "bin" / "python"


def read_requirements(file: Path) -> list[str]:
    """Return the requirements that a file pins, a line each."""
    return file.read_text(encoding="utf-8").split()
