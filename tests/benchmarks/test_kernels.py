"""The benchmarks of kernels, run on a few rows and without a clock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_kernels_run():
    arguments = ["build/benchmarks/kernels", "-p", "benchmark", "--benchmark-disable", "--rows=50"]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "--quiet", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
