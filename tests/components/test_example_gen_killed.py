"""An ExampleGen whose process is killed: the next try goes on with the shards that are whole."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from penstock import NodeContext
from penstock.authoring import artifacts
from penstock.authoring.standing_in import TfxNode
from penstock.components import CsvExampleGen
from penstock.components.csv_example_gen import for_tfx
from penstock.components.csv_example_gen.tfx_input import ExampleGenParameters
from penstock.data import writing
from penstock.data.csv_options import CsvOptions
from penstock.data.parallel import workers
from penstock.data.splits import InputConfig, InputSplit, OutputConfig, SplitBuckets, SplitConfig

ROWS = 4000
SMALL_BLOCKS = CsvOptions(block_size=2000)


def by_ours(base: Path, examples: Any, context: NodeContext) -> None:
    CsvExampleGen.EXECUTOR_SPEC.executor_class.function(
        examples,
        input_base=str(base),
        csv=SMALL_BLOCKS,
        input_fingerprint="the same",
        context=context,
    )


def in_place_of_tfx_s(base: Path, examples: Any, context: NodeContext) -> None:
    parameters = ExampleGenParameters(
        str(base),
        InputConfig((InputSplit("single_split", "*"),)),
        OutputConfig(SplitConfig((SplitBuckets("train", 2), SplitBuckets("eval", 1)))),
        input_fingerprint="the same",
    )
    for_tfx.Executor.work(TfxNode({}, {"examples": [examples]}, context=context), parameters)


@pytest.fixture(params=[by_ours, in_place_of_tfx_s])
def generate(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Generate examples of some shards; return the rows that were written, and the files."""
    (tmp_path / "csv").mkdir()
    table = pa.table({"number": np.arange(ROWS), "word": [f"w{row % 9}" for row in range(ROWS)]})
    pyarrow.csv.write_csv(table, tmp_path / "csv" / "data.csv")
    monkeypatch.setattr(writing, "_SHARD_BYTES", 4000)
    monkeypatch.setattr(workers, "available_processes", lambda: 1)
    monkeypatch.setattr(for_tfx, "CsvOptions", lambda: SMALL_BLOCKS)

    def one(name: str, progress: Any = lambda **_: None) -> tuple[int, dict[str, bytes]]:
        examples = artifacts.Examples()
        examples.uri = str(tmp_path / name)
        counts = [0]

        def advance(rows: int) -> None:
            counts[0] = rows
            progress(rows=rows)

        context = NodeContext(kept_directory=str(tmp_path / "kept"), progress=advance)
        request.param(tmp_path / "csv", examples, context)
        files = sorted(Path(examples.uri).rglob("*.gz"))
        return counts[0], {str(f.relative_to(examples.uri)): f.read_bytes() for f in files}

    return one


def test_shards_that_were_whole_are_not_written_again(generate, tmp_path, capsys):
    rows, whole = generate("whole")
    assert rows == ROWS
    assert len(whole) > 4

    def kill(rows: int) -> None:
        if rows < ROWS and any((tmp_path / "kept").glob("*/Split-train/*.gz")):
            os.kill(os.getpid(), signal.SIGKILL)

    process_id = os.fork()
    if not process_id:
        try:
            generate("killed", kill)
        finally:
            os._exit(1)
    _, status = os.waitpid(process_id, 0)
    assert os.WIFSIGNALED(status)
    rows, files = generate("resumed")
    assert files == whole
    assert 0 < rows < ROWS
    assert "shards are there from an earlier try" in capsys.readouterr().out
