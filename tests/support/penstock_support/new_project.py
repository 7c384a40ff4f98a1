"""Projects as `penstock init` writes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from penstock.surfaces.cli.main import penstock


def init(*arguments: object) -> str:
    """Run the command, and return what it says."""
    done = CliRunner().invoke(penstock, ["init", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def run_in(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a project, with this environment's programs."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
