"""Shards that workers have written before a try ended: the next one does not write them again."""

from __future__ import annotations

from functools import partial

import pytest

from penstock.data.ingestion import Destination
from penstock.data.writing import write_blocks
from penstock.errors import DataError

pytestmark = pytest.mark.timeout(180)

SHARDS = 4


def blocks_of(broken):
    """Yield blocks of a row each; one of them fails while a file is there."""

    def write(number, writer):
        import os

        import pyarrow as pa

        from penstock.errors import DataError

        if number == 3 and os.path.exists(broken):
            raise DataError("expected a number", path="data.csv", line=number)
        writer.write_batch(pa.RecordBatch.from_pydict({"number": [number]}), "train")

    for number in range(SHARDS):
        yield partial(write, number)


def test_a_next_try_writes_the_shards_that_are_not_there(workers, tmp_path, capsys):
    broken = tmp_path / "broken"
    broken.touch()
    told = []

    def write(name):
        to = Destination(str(tmp_path / name), ("train",), (), None)
        to = to.keeping(str(tmp_path / "kept"), "the same")
        blocks = partial(blocks_of, str(broken))
        write_blocks(to, blocks, SHARDS, lambda rows: told.append(rows), workers)
        return sorted(path.name for path in (tmp_path / name).rglob("*.gz"))

    with pytest.raises(DataError, match=r"expected a number \(data.csv:3\)"):
        write("first")
    broken.unlink()
    told.clear()
    assert len(write("second")) == SHARDS
    assert told == [1]
    assert "3 of 4 shards are there from an earlier try." in capsys.readouterr().out
