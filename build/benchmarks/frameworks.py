"""Flights with a model of each framework: how good, how large, and how fast to answer.

    python build/benchmarks/frameworks.py [FRAMEWORK ...]

runs the pipelines `flights_FRAMEWORK` below a temporary folder, asks each model that was pushed,
and writes the table of docs/models.md. A framework that is not installed is left out, with a word.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from penstock import LocalRunner, load_model
from penstock.data.results.evaluation import OVERALL, summarize
from penstock.data.splits import split_files
from penstock.errors import MissingExtra
from penstock.models.training_data import TrainingData
from penstock.pipelines.flights.frameworks import pipeline
from penstock.testing import Silent

FRAMEWORKS = ("sklearn", "lightgbm", "xgboost", "torch", "keras")
PAGE = Path(__file__).parents[2] / "docs" / "models.md"
BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"
MANY_ROWS = 100_000

HEADER = (
    "| | AUC (95 %) | Trainer, s | model, MB | one row, ms | 100,000 rows, s |",
    "|---|---|---|---|---|---|",
)


def measured(framework: str, root: str) -> str:
    """Run a pipeline and return its row of the table."""
    runner = LocalRunner(
        pipeline_root=root, metadata=os.path.join(root, "metadata.sqlite"), display=Silent()
    )
    serving = os.path.join(root, "serving", framework)
    result = runner.run(getattr(pipeline, framework), parameters={"push_directory": serving})
    (auc,) = (
        metric
        for metric in summarize(result.output("Evaluator", "evaluation").uri)
        if metric.slice == OVERALL and metric.metric == "auc"
    )
    (version,) = Path(serving).glob("[0-9]*")
    model = load_model(str(version))
    files = split_files(result.output("ParquetExampleGen", "examples"), "eval")
    rows = TrainingData(tuple(files)).as_arrow().slice(0, MANY_ROWS)
    one = rows.slice(0, 1)
    size = sum(file.stat().st_size for file in version.rglob("*") if file.is_file())
    return (
        f"| {framework} | {auc.value:.4f} ({auc.lower:.4f} to {auc.upper:.4f}) "
        f"| {result.nodes['Trainer'].seconds:.0f} | {size / 1e6:.2f} "
        f"| {1000 * _seconds(lambda: model.predict(one), 100):.2f} "
        f"| {_seconds(lambda: model.predict(rows), 5):.2f} |"
    )


def _seconds(work: Callable[[], Any], repeats: int) -> float:
    """Return the median of some repeats, the first of which is not counted."""
    work()
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def write(rows: dict[str, str]) -> None:
    """Put rows into the table of the page, in the place of earlier ones of the frameworks."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    table, _, after = rest.partition(END)
    kept = {
        line.split("|")[1].strip(): line
        for line in table.splitlines()
        if line.startswith("|") and line not in HEADER
    }
    kept |= rows
    lines = [*HEADER, *(kept[name] for name in FRAMEWORKS if name in kept)]
    PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}")


def main() -> None:
    """Measure the frameworks that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("frameworks", nargs="*", metavar="FRAMEWORK", choices=[*FRAMEWORKS, []])
    asked = parser.parse_args().frameworks or FRAMEWORKS
    rows = {}
    with tempfile.TemporaryDirectory() as root:
        for framework in asked:
            try:
                rows[framework] = measured(framework, root)
            except MissingExtra as error:
                print(error)
                continue
            print(rows[framework], flush=True)
    write(rows)
    print(f"pyarrow {pa.__version__}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
