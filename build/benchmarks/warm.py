"""What runs take with and without the project's daemon.

python build/benchmarks/warm.py [--repeats 3] [edited] [taxi] [first]

edited: one line of the penguins' run_fn is edited, and the pipeline run again.
taxi: the same of TFX's taxi template on 10,000 rows, beside the whole template run by TFX.
first: the first run of a project of `penstock init` with 1,000 rows, in an empty store.

Prints a Markdown table: medians, with the least and the greatest. CPU seconds are those of the
command and of all that worked for it, the daemon's copies included. Where the nodes are told apart,
what is beside them is the command's time without the sum of theirs.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import taxi_template
from rides import write_rides

import penstock.pipelines.penguins as penguins
from penstock.execution.daemon import asking
from penstock.metadata.runs import list_runs
from penstock.metadata.store import connect, connection_config

HERE = Path(__file__).parent
PENSTOCK = [sys.executable, "-m", "penstock"]
PENGUINS = """
[pipelines]
penguins = "penguins_here/pipeline.py:penguins"
"""
TAXI = """
[pipelines]
taxi = "taxi_here.py:taxi"
"""
TAXI_CODE = """
from taxi_template import pipeline


def taxi():
    return pipeline({data!r}, {folder!r}, "taxi_models", cache=True)
"""
ROWS, CUSTOMERS = 10_000, 1_000
KINDS = ("cold", "warm")
Taken = dict[str, list[tuple[float, float]]]


def write_penguins(folder: Path) -> Path:
    """Write the penguins' pipeline into a project of its own; return the module with run_fn."""
    code = folder / "penguins_here"
    shutil.copytree(Path(penguins.__file__).parent, code)
    for module in code.glob("*.py"):
        text = module.read_text(encoding="utf-8")
        module.write_text(text.replace("penstock.pipelines.penguins", code.name), encoding="utf-8")
    (folder / "penstock.toml").write_text(PENGUINS, encoding="utf-8")
    return code / "model.py"


def write_taxi(folder: Path) -> Path:
    """Write a project around TFX's template, whose models are the user's; return run_fn's."""
    spec = importlib.util.find_spec(taxi_template.MODELS)
    assert spec is not None, "the template comes with TFX"
    [installed] = spec.submodule_search_locations or ()
    code = folder / "taxi_models"
    tests = shutil.ignore_patterns("*_test.py", "__pycache__")
    shutil.copytree(installed, code, ignore=tests)
    for module in code.rglob("*.py"):
        text = module.read_text(encoding="utf-8")
        module.write_text(text.replace(taxi_template.MODELS, code.name), encoding="utf-8")
    data = write_rides(Path(tempfile.gettempdir(), "penstock-benchmark-data"), ROWS)
    text = TAXI_CODE.format(data=str(data), folder=str(folder / "made"))
    (folder / "taxi_here.py").write_text(text, encoding="utf-8")
    (folder / "penstock.toml").write_text(TAXI, encoding="utf-8")
    return code / "keras_model" / "model.py"


def write_customers(path: Path) -> None:
    """Write rows as those of the sample that `penstock init` brings."""
    draw = random.Random(7)
    lines = ["Customer,Age,Contract,Months,Charge,Left"]
    for number in range(CUSTOMERS):
        months, contract = draw.randrange(72), draw.choice(("monthly", "yearly"))
        leaves = draw.random() < (0.6 if contract == "monthly" else 0.1) - months / 200
        row = (f"C-{number:07}", draw.randrange(18, 90), contract, months)
        lines.append(",".join(map(str, (*row, f"{draw.uniform(10, 99):.2f}"))))
        lines[-1] += ",yes" if leaves else ",no"
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def edit(module: Path, number: int) -> None:
    """Edit one line of run_fn, so that the Trainer and what follows it run again."""
    lines = module.read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if not line.strip().startswith("edited = ")]
    begin = next(index for index, line in enumerate(lines) if line.startswith("def run_fn("))
    while not lines[begin].rstrip().endswith(":"):
        begin += 1
    end = begin + 1
    indent = lines[end][: len(lines[end]) - len(lines[end].lstrip())]
    if lines[end].lstrip().startswith('"""'):
        while not lines[end].rstrip().endswith('"""'):
            end += 1
        end += 1
    lines.insert(end, f"{indent}edited = {number}")
    module.write_text("\n".join([*lines, ""]), encoding="utf-8")


def penstock(folder: Path, *arguments: str) -> tuple[float, float]:
    """Run a command; return the wall and CPU seconds that it has taken."""
    before, began = cpu_seconds(folder), time.monotonic()
    path = os.pathsep.join([str(folder), str(HERE), os.environ.get("PYTHONPATH", "")])
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


def lent(folder: Path) -> int:
    """Return how many nurseries a project's daemon has lent."""
    found = asking.status_of(str(folder))
    return 0 if found is None else found.lent


def run(folder: Path, pipeline: str, kind: str) -> tuple[float, float]:
    """Run a pipeline cold or warm; return the wall and CPU seconds that it has taken."""
    before = lent(folder)
    taken = penstock(folder, "run", pipeline, *(["--no-daemon"] if kind == "cold" else []))
    if (lent(folder) > before) != (kind == "warm"):
        sys.exit(f"a run that was to be {kind} was not: see .workers.log")
    return taken


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


def nodes(folder: Path) -> tuple[float, float]:
    """Return the wall and CPU seconds of the nodes of the newest run in a project's store."""
    with connect(connection_config(str(folder / ".penstock" / "metadata.sqlite"))) as metadata:
        record = list_runs(metadata.store)[0]
    walls = (node.measured.get("wall_seconds", node.seconds) for node in record.nodes)
    return sum(walls), sum(node.measured.get("cpu_seconds", 0.0) for node in record.nodes)


def edited(repeats: int) -> Taken:
    """Measure runs of the penguins after an edit."""
    return _edited(write_penguins, "penguins", repeats)


def taxi(repeats: int) -> Taken:
    """Measure runs of TFX's template after an edit, and the template by TFX in between."""
    data = write_rides(Path(tempfile.gettempdir(), "penstock-benchmark-data"), ROWS)

    def by_tfx() -> tuple[float, float]:
        measured = taxi_template.measure("tfx", data)
        return measured["wall"], measured["cpu"]

    return _edited(write_taxi, "taxi", repeats, {"the whole template by TFX": by_tfx})


def _edited(
    write: Callable[[Path], Path],
    pipeline: str,
    repeats: int,
    peers: Mapping[str, Callable[[], tuple[float, float]]] | None = None,
) -> Taken:
    taken: Taken = {name: [] for name in (*(peers or ()), *KINDS)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        module = write(folder)
        penstock(folder, "run", pipeline)
        penstock(folder, "daemon", "start")  # the run has; this waits until it is ready
        try:
            for number in range(repeats):
                for peer, measure in (peers or {}).items():
                    taken[peer].append(measure())
                for kind in KINDS:
                    edit(module, 2 * number + (kind == "warm"))
                    taken[kind].append(run(folder, pipeline, kind))
        finally:
            penstock(folder, "daemon", "stop")
    return taken


def first(repeats: int) -> Taken:
    """Measure first runs of a new project, and what of each is beside its nodes."""
    taken: Taken = {f"{kind}{of}": [] for kind in KINDS for of in ("", ", beside its nodes")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "shop")
        write_customers(Path(name, "customers.csv"))
        penstock(Path(name), "init", "shop", "--data", "customers.csv", "--label", "Left")
        penstock(folder, "daemon", "start")
        try:
            for _ in range(repeats):
                for kind in KINDS:
                    for made in (".penstock", "serving"):
                        shutil.rmtree(folder / made, ignore_errors=True)
                    wall, cpu = run(folder, "shop", kind)
                    of_wall, of_cpu = nodes(folder)
                    taken[kind].append((wall, cpu))
                    taken[f"{kind}, beside its nodes"].append((wall - of_wall, cpu - of_cpu))
        finally:
            penstock(folder, "daemon", "stop")
    return taken


MEASURED: Mapping[str, Callable[[int], Taken]] = {"edited": edited, "taxi": taxi, "first": first}


def main() -> None:
    """Measure, by turns, and print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="*", choices=list(MEASURED), default=["edited"])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    for what in options.what:
        sys.stdout.write(f"| {what} | wall s | CPU s |\n|---|---|---|\n")
        for kind, of_kind in MEASURED[what](options.repeats).items():
            walls, cpus = zip(*of_kind, strict=True)
            sys.stdout.write(f"| {kind} | {told(walls)} | {told(cpus)} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
