"""Shards that are written, and those that an earlier try has left."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from penstock.data.ingestion import Destination
from penstock.data.parallel.workers import LocalWorkers
from penstock.data.writing import SplitsWriter, write_blocks

SHARDS = 4
BLOCKS = 8


class Broken(Exception):
    """What ends a try."""


def blocks_of(begun: list[int], broken: int | None = None) -> Iterator[Callable[..., None]]:
    """Yield blocks of a row each, which say when they are written; one of them may fail."""

    def write(number: int, writer: SplitsWriter) -> None:
        if number == broken:
            raise Broken
        begun.append(number)
        writer.write_batch(pa.RecordBatch.from_pydict({"number": [number]}), "train")

    for number in range(BLOCKS):
        yield partial(write, number)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., tuple[list[int], dict[str, bytes]]]:
    """Write blocks in this process; return those that were, and the files that there are."""
    outputs = iter(range(100))

    def one(
        *, fingerprint: str = "content", broken: int | None = None, **changes: Any
    ) -> tuple[list[int], dict[str, bytes]]:
        folder = tmp_path / f"output-{next(outputs)}"
        to = Destination(str(folder), ("train",), (), None, **changes)
        to = to.keeping(str(tmp_path / "kept"), fingerprint, "a parameter")
        begun: list[int] = []
        blocks = partial(blocks_of, begun, broken)
        write_blocks(to, blocks, SHARDS, lambda **_: None, LocalWorkers(at_most=1))
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return begun, {str(path.relative_to(folder)): path.read_bytes() for path in files}

    return one


def test_a_next_try_writes_what_the_last_one_has_not(write, capsys):
    begun, whole = write()
    assert sorted(begun) == list(range(BLOCKS))
    with pytest.raises(Broken):
        write(broken=5)  # its shard, and the one beside it, come after the others
    begun, files = write()
    assert files == whole
    assert sorted(begun) == [1, 3, 5, 7]
    assert "2 of 4 shards are there from an earlier try." in capsys.readouterr().out


def test_nothing_is_kept_once_all_is_written(write, tmp_path):
    write()
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["lock"]
    assert sorted(write()[0]) == list(range(BLOCKS))


@pytest.mark.parametrize("changes", [{"fingerprint": "other"}, {"sample_rate": 0.999999}])
def test_shards_of_other_input_or_parameters_are_removed(write, tmp_path, changes):
    with pytest.raises(Broken):
        write(broken=5)
    begun, _ = write(**changes)
    assert sorted(begun) == list(range(BLOCKS))
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["lock"]


def test_shards_whose_record_is_damaged_are_not_taken(write, tmp_path):
    with pytest.raises(Broken):
        write(broken=5)
    [record] = (tmp_path / "kept").glob("*/record.json")
    assert json.loads(record.read_text())["shards"] == SHARDS
    record.write_text(record.read_text()[:-1])
    assert sorted(write()[0]) == list(range(BLOCKS))


def test_where_another_process_keeps_shards_nothing_is_taken(write, tmp_path):
    with pytest.raises(Broken):
        write(broken=5)
    with (tmp_path / "kept" / "lock").open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert sorted(write()[0]) == list(range(BLOCKS))
    assert sorted(write()[0]) == [1, 3, 5, 7]


def test_without_a_fingerprint_nothing_is_kept(write, tmp_path):
    write(fingerprint="")
    assert not (tmp_path / "kept").exists()
