"""Components whose workers are killed while they work make what they make without that."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock import pipeline
from penstock.components import BulkInferrer, CsvExampleGen, Evaluator
from penstock.components.merge_tables import in_parts
from penstock.components.merge_tables.in_process import merge
from penstock.components.merge_tables.tables import SourceTable
from penstock.data.results import evaluation as results
from penstock_support.asked_on_clusters import Trained, digests_of, run
from penstock_support.processes import wait_until

pytestmark = pytest.mark.timeout(600)

ROWS = 100_000
# Of the kernel's clock: so long a process has worked that is at a part, and not starting.
_TICKS = 20
_EVALUATION = {
    "model_specs": [{"label_key": "word"}],
    "metrics_specs": [{"metrics": [{"class_name": "AUC"}, {"class_name": "ExampleCount"}]}],
}


def at_work() -> Iterator[int]:
    """Yield the processes of clusters that are at a part."""
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes()
            if b"pyspark.daemon" in command or command.startswith(b"ray::do"):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[11]) >= _TICKS:
                    yield int(entry.name)
        except (OSError, IndexError):
            pass


@contextmanager
def killing_one() -> Iterator[list[int]]:
    """Kill the first process that is at a part."""
    killed: list[int] = []
    over = threading.Event()

    def kill() -> None:
        before = set(at_work())

        def is_killed() -> bool:
            for process in set(at_work()) - before:
                os.kill(process, signal.SIGKILL)
                killed.append(process)
                return True
            return over.is_set()

        wait_until(is_killed)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


@pytest.fixture
def amounts(tmp_path):
    folder = tmp_path / "amounts"
    folder.mkdir()
    numbers = [row % 4000 / 1000 - 2 for row in range(ROWS)]
    rows = [f"{number},{'large' if number > 0.5 else 'small'}" for number in numbers]
    (folder / "data.csv").write_text("\n".join(["amount,word", *rows]) + "\n")
    return str(folder)


def test_predictions_are_whole(cluster, amounts, tmp_path):
    @pipeline
    def predicted():
        made = CsvExampleGen(input_base=amounts).outputs["examples"]
        return BulkInferrer(examples=made, model=Trained().outputs["model"])

    ours = run(predicted, tmp_path / "process")
    with killing_one() as killed:
        theirs = run(predicted, tmp_path / "cluster", cluster.options.args)
    assert killed
    key = "inference_result"
    assert digests_of(theirs, "BulkInferrer", key) == digests_of(ours, "BulkInferrer", key)


def test_metrics_are_whole(cluster, amounts, tmp_path):
    @pipeline
    def evaluated():
        made = CsvExampleGen(input_base=amounts).outputs["examples"]
        model = Trained().outputs["model"]
        return Evaluator(examples=made, model=model, eval_config=_EVALUATION)

    ours = run(evaluated, tmp_path / "process")
    with killing_one() as killed:
        theirs = run(evaluated, tmp_path / "cluster", cluster.options.args)
    assert killed
    told = [results.summarize(r.output("Evaluator", "evaluation").uri) for r in (ours, theirs)]
    assert told[0] == told[1]


def test_merged_tables_are_whole(cluster, tmp_path, monkeypatch):
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    (tmp_path / "source").mkdir()
    numbers = np.random.default_rng(0).integers(0, 20 * ROWS, 20 * ROWS)
    table = pa.table({"number": numbers, "month": numbers % 3})
    parquet.write_table(table, tmp_path / "source" / "trips.parquet", row_group_size=ROWS)

    def merged(name, options=None):
        (tmp_path / name / "out").mkdir(parents=True)
        counts = merge(
            str(tmp_path / "source"),
            str(tmp_path / name / "out"),
            base=SourceTable("trips"),
            columns=("number",),
            span_column="month",
            temporary=str(tmp_path / name / "temporary"),
            cluster=options,
        )
        files = sorted(p for p in (tmp_path / name / "out").rglob("*") if p.is_file())
        return counts, [path.read_bytes() for path in files]

    monkeypatch.setattr(in_parts, "PART_BYTES", 1_000_000)
    ours = merged("process")
    with killing_one() as killed:
        theirs = merged("cluster", cluster.options)
    assert killed
    assert theirs == ours
