"""Large inputs become several shards, written by several processes: the same whoever writes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.artifacts import Examples
from penstock.components import CsvExampleGen, ImportExampleGen, ParquetExampleGen
from penstock.data import records, writing
from penstock.data.csv_options import CsvOptions
from penstock.data.ingestion import resolve_parameters
from penstock.data.payload import PayloadFormat

ROWS = 3_000
SMALL_BLOCKS = CsvOptions(block_size=1 << 12)

# Tests have threads, so that they do not fork.
IN_PROCESSES = """
import os, sys
os.sched_getaffinity = lambda _: {0, 1, 2}
from penstock import NodeContext
from penstock.artifacts import Examples
from penstock.components import CsvExampleGen
from penstock.data import writing
from penstock.data.csv_options import CsvOptions
from penstock.data.ingestion import resolve_parameters

writing._SHARD_BYTES = 1 << 14
examples = Examples()
examples.uri = sys.argv[2]
CsvExampleGen.function(
    examples=examples,
    input_base=sys.argv[1],
    csv=CsvOptions(block_size=1 << 12),
    context=NodeContext(progress=lambda **counts: print(counts["rows"])),
    **resolve_parameters({"input_base": sys.argv[1]}),
)
"""


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(writing, "_SHARD_BYTES", 1 << 14)


@pytest.fixture(scope="module")
def table():
    random = np.random.default_rng(7)
    words = np.array(["Zürich", "東京", "", "plain", "x" * 200])
    return pa.table(
        {
            "number": random.integers(-5, 1 << 40, ROWS),
            "share": pa.array(random.random(ROWS), mask=random.random(ROWS) < 0.2),
            "word": words[random.integers(len(words), size=ROWS)],
        }
    )


@pytest.fixture(scope="module")
def rides(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rides")
    lines = [
        ",".join("" if v is None else str(v) for v in row.values()) for row in table.to_pylist()
    ]
    (folder / "rides.csv").write_text("\n".join([",".join(table.column_names), *lines]) + "\n")
    return str(folder)


def run(component, folder, data, **parameters):
    examples = Examples()
    examples.uri = str(folder)
    resolved = resolve_parameters({"input_base": data})
    component.function(examples=examples, input_base=data, **parameters, **resolved)
    return Path(folder)


def names(folder, split="train"):
    return sorted(path.name for path in (folder / f"Split-{split}").iterdir())


def contents(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.gz")
    }


def rows(folder, split):
    files = records.record_files(str(folder / f"Split-{split}"))
    return sorted(records.read_serialized(files))


def test_a_small_input_is_one_shard(rides, tmp_path):
    assert names(run(CsvExampleGen, tmp_path, rides)) == ["data_tfrecord-00000-of-00001.gz"]


def test_a_large_input_is_shards_by_the_power_of_two(rides, tmp_path, small_shards):
    found = names(run(CsvExampleGen, tmp_path, rides, csv=SMALL_BLOCKS))
    assert found == [f"data_tfrecord-{shard:05d}-of-00016.gz" for shard in range(16)]


@pytest.mark.parametrize("split", ["train", "eval"])
def test_shards_have_the_rows_of_the_split(rides, tmp_path, monkeypatch, split):
    whole = run(CsvExampleGen, tmp_path / "whole", rides)
    monkeypatch.setattr(writing, "_SHARD_BYTES", 1 << 14)
    sharded = run(CsvExampleGen, tmp_path / "sharded", rides, csv=SMALL_BLOCKS)
    assert rows(sharded, split) == rows(whole, split)


def test_several_processes_write_what_one_writes(rides, tmp_path, small_shards):
    one = run(CsvExampleGen, tmp_path / "one", rides, csv=SMALL_BLOCKS)
    several = tmp_path / "several"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IN_PROCESSES, rides, str(several)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert not done.returncode, done.stderr
    assert contents(several) == contents(one)
    assert done.stdout.split()[-1] == str(ROWS)


def test_parquet_files_have_at_most_a_shard_a_row_group(table, tmp_path, small_shards):
    (tmp_path / "data").mkdir()
    pq.write_table(table, tmp_path / "data" / "rides.parquet", row_group_size=ROWS // 5)
    folder = run(ParquetExampleGen, tmp_path / "examples", str(tmp_path / "data"))
    assert len(names(folder)) == 4
    assert len(rows(folder, "train") + rows(folder, "eval")) == ROWS


def test_shards_can_be_parquet(rides, tmp_path, small_shards):
    folder = run(
        CsvExampleGen,
        tmp_path,
        rides,
        csv=SMALL_BLOCKS,
        output_data_format=PayloadFormat.FORMAT_PARQUET,
    )
    files = [str(path) for path in sorted(folder.rglob("*.parquet"))]
    assert len(files) == 32
    assert sum(pq.read_metadata(file).num_rows for file in files) == ROWS


def test_imported_files_are_not_parted(rides, tmp_path, small_shards):
    first = run(CsvExampleGen, tmp_path / "first", rides)
    data = str(first / "Split-train")
    folder = run(ImportExampleGen, tmp_path / "second", data)
    assert names(folder) == ["data_tfrecord-00000-of-00001.gz"]
