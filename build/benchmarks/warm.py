"""What a run takes after one line of run_fn was edited, with and without the project's daemon.

python build/benchmarks/warm.py [--repeats 3]

Prints a Markdown table: medians, with the least and the greatest. CPU seconds are those of the
command and of all that worked for it, the daemon's copies included.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import penstock.pipelines.penguins as penguins
from penstock.execution.daemon import asking

PENSTOCK = [sys.executable, "-m", "penstock"]
PROJECT = """
[pipelines]
penguins = "penguins_here/pipeline.py:penguins"
"""


def write_project(folder: Path) -> Path:
    """Write the penguins' pipeline into a project of its own; return the module with run_fn."""
    code = folder / "penguins_here"
    shutil.copytree(Path(penguins.__file__).parent, code)
    for module in code.glob("*.py"):
        text = module.read_text(encoding="utf-8")
        module.write_text(text.replace("penstock.pipelines.penguins", code.name), encoding="utf-8")
    (folder / "penstock.toml").write_text(PROJECT, encoding="utf-8")
    return code / "model.py"


def edit(module: Path, number: int) -> None:
    """Edit one line of run_fn, so that the Trainer and what follows it run again."""
    lines = module.read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if not line.startswith("    edited = ")]
    begin = next(index for index, line in enumerate(lines) if line.startswith("def run_fn("))
    while not lines[begin].rstrip().endswith(":"):
        begin += 1
    end = begin + 1
    if lines[end].lstrip().startswith('"""'):
        while not lines[end].rstrip().endswith('"""'):
            end += 1
        end += 1
    lines.insert(end, f"    edited = {number}")
    module.write_text("\n".join([*lines, ""]), encoding="utf-8")


def penstock(folder: Path, *arguments: str) -> tuple[float, float]:
    """Run a command; return the wall and CPU seconds that it has taken."""
    before, began = cpu_seconds(folder), time.monotonic()
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        [*PENSTOCK, *arguments],
        cwd=folder,
        env={**os.environ, asking.VARIABLE: "on", "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    wall = time.monotonic() - began
    return wall, cpu_seconds(folder) - before


def cpu_seconds(folder: Path) -> float:
    """Return the CPU seconds of commands and of the daemon's copies that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    found, of_daemon = asking.status_of(str(folder)), 0.0
    if found is not None:
        while (found := asking.status_of(str(folder))) is not None and found.under_way:
            time.sleep(0.01)
    if found is not None:
        fields = Path(f"/proc/{found.process_id}/stat").read_text().rpartition(")")[2].split()
        of_daemon = sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    return children.ru_utime + children.ru_stime + of_daemon


def told(seconds: Sequence[float]) -> str:
    """Return a cell of the table."""
    return f"{statistics.median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})"


def main() -> None:
    """Measure, by turns, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    taken: dict[str, list[tuple[float, float]]] = {"cold": [], "warm": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        module = write_project(folder)
        penstock(folder, "run", "penguins")
        penstock(folder, "daemon", "start")
        try:
            for number in range(repeats):
                for kind, options in (("cold", ["--no-daemon"]), ("warm", [])):
                    edit(module, 2 * number + (kind == "warm"))
                    taken[kind].append(penstock(folder, "run", "penguins", *options))
        finally:
            penstock(folder, "daemon", "stop")
    sys.stdout.write("| | wall s | CPU s |\n|---|---|---|\n")
    for kind, of_kind in taken.items():
        walls, cpus = zip(*of_kind, strict=True)
        sys.stdout.write(f"| {kind} | {told(walls)} | {told(cpus)} |\n")


if __name__ == "__main__":
    main()
