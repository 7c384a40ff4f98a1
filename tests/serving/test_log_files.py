"""Files of a log where the disk, the clock, or the columns are not as they were."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.models.signature import Column, Signature
from penstock.serving.frames import Frame
from penstock.serving.log.policy import LogPolicy
from penstock.serving.log.process import ANSWERED, SIGNATURE, Keeping, packed
from penstock.serving.log.reading import list_spans, read_rows
from penstock.serving.log.rows import Answered
from penstock.serving.log.writing import LogFiles
from penstock.serving.protocols import ROWS
from penstock.serving.worker.counting import Summary

pytestmark = pytest.mark.needs("orjson")

MIDNIGHT = 86400.0 * 20421


def one_row(**columns: Any) -> pa.Table:
    return pa.table({name: [value] for name, value in columns.items()})


@pytest.fixture
def files(tmp_path: Path) -> LogFiles:
    return LogFiles(LogPolicy(str(tmp_path / "log")), most_held=5)


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[Path]:
    """The folder of the log, which is a file until that is removed."""
    path = tmp_path / "log"
    path.write_text("no folder")
    return path


def test_rows_at_midnight_are_in_the_spans_of_their_times(files: LogFiles, tmp_path: Path) -> None:
    files.add("people", MIDNIGHT - 0.001, one_row(age=1))
    files.add("people", MIDNIGHT, one_row(age=2))
    files.write()
    ages = [
        read_rows(str(tmp_path / "log"), "people", "day", n)["age"].to_pylist()
        for n in (20420, 20421)
    ]
    assert ages == [[1], [2]]


def test_what_cannot_be_written_is_written_later(files: LogFiles, broken: Path) -> None:
    for age in range(3):
        files.add("people", MIDNIGHT, one_row(age=age))
    with pytest.raises(OSError, match="Not a directory"):
        files.write()
    broken.unlink()
    files.write()
    assert read_rows(str(broken), "people", "day", 20421)["age"].to_pylist() == [0, 1, 2]
    assert (files.settled["people"], files.lost["people"]) == (3, 0)


def test_requests_beyond_what_is_held_are_lost_and_counted(files: LogFiles, broken: Path) -> None:
    files.add("people", MIDNIGHT, one_row(age=0))
    with pytest.raises(OSError, match="Not a directory"):
        files.write()
    for age in range(1, 8):
        files.add("people", MIDNIGHT, one_row(age=age))
    assert files.lost["people"] == 3
    broken.unlink()
    files.write()
    assert read_rows(str(broken), "people", "day", 20421).num_rows == 5
    files.add("people", MIDNIGHT, one_row(age=9))
    files.write()
    assert read_rows(str(broken), "people", "day", 20421).num_rows == 6
    assert files.settled["people"] == 9


def test_a_write_that_fails_is_not_tried_again_at_once(files: LogFiles, broken: Path) -> None:
    files.add("people", MIDNIGHT, one_row(age=0))
    with pytest.raises(OSError, match="Not a directory"):
        files.write()
    assert not files.is_due()


def test_a_file_that_cannot_be_ended_is_removed(
    files: LogFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(table: pa.Table, path: Path, **_: Any) -> None:
        Path(path).write_bytes(b"PAR1")
        raise OSError(28, "No space left on device")

    files.add("people", MIDNIGHT, one_row(age=0))
    with monkeypatch.context() as patched:
        patched.setattr(pq, "write_table", full)
        with pytest.raises(OSError, match="No space left"):
            files.write()
    assert [path for path in (tmp_path / "log").rglob("*") if path.is_file()] == []


def test_a_folder_that_was_removed_is_made_again(files: LogFiles, tmp_path: Path) -> None:
    files.add("people", MIDNIGHT, one_row(age=0))
    files.write()
    shutil.rmtree(tmp_path / "log")
    files.add("people", MIDNIGHT, one_row(age=1))
    files.write()
    assert read_rows(str(tmp_path / "log"), "people", "day", 20421)["age"].to_pylist() == [1]


def answered(request: str, content: Any, **facts: Any) -> Frame:
    known = {"model": "people", "version": 1, "role": "production", "at": MIDNIGHT, "seconds": 0.1}
    body = json.dumps(content).encode()
    rows = len(content) if isinstance(content, list) else 1
    told = Answered(
        **{**known, **facts},
        request_id=request,
        verb=ROWS,
        head=0,
        body=body,
        summary=Summary(["stays"] * rows, np.full(rows, 0.5)).packed(),
    )
    return Frame(ANSWERED, 0, packed(told))


def signature(*columns: Column) -> Frame:
    told = {"model": "people", "version": 1, "signature": Signature(columns, ()).to_json()}
    return Frame(SIGNATURE, 0, json.dumps(told).encode())


def kept(folder: Path, *frames: Frame) -> pa.Table:
    keeping = Keeping(LogPolicy(str(folder)))
    for frame in frames:
        keeping.take(frame)
    keeping.read()
    keeping.write()
    table = read_rows(str(folder), "people", "day", 20421)
    told = len([frame for frame in frames if frame.kind == ANSWERED])
    assert keeping.settled() == {"people": (told, told - len(table["log/request_id"].unique()))}
    return table


def test_requests_that_are_read_together_keep_what_is_theirs(tmp_path: Path) -> None:
    table = kept(
        tmp_path,
        signature(Column("age", "int64")),
        answered("a", [{"age": 1}, {"age": 2}], seconds=0.25),
        answered("b", {"age": 3}, role="canary", at=MIDNIGHT + 1),
    )
    assert table["age"].to_pylist() == [1, 2, 3]
    assert table["log/request_id"].to_pylist() == ["a", "a", "b"]
    assert table["log/row"].to_pylist() == [0, 1, 0]
    assert table["log/role"].to_pylist() == ["production", "production", "canary"]
    assert table["log/seconds"].to_pylist()[:2] == [0.25, 0.25]
    assert table["log/score"].to_pylist() == [0.5, 0.5, 0.5]


def test_a_request_that_cannot_be_kept_spoils_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = kept(
        tmp_path,
        signature(Column("age", "int64"), Column("note", "string", optional=True)),
        answered("a", {"age": 1}),
        answered("wrong", {"age": "old"}),
        answered("b", {"age": 2, "note": "x"}),
    )
    assert sorted(table["log/request_id"].to_pylist()) == ["a", "b"]
    assert "a request for people is not logged" in caplog.text


def test_features_that_are_called_as_the_log_s_own_columns_keep_their_values(
    tmp_path: Path,
) -> None:
    table = kept(
        tmp_path,
        signature(Column("log/class", "int64"), Column("feature/log/class", "int64")),
        answered("a", {"log/class": 7, "feature/log/class": 8}),
    )
    assert table["feature/log/class"].to_pylist() == [7]
    assert table["feature/feature/log/class"].to_pylist() == [8]
    assert table["log/class"].to_pylist() == ["stays"]


def test_a_log_in_an_object_store_is_read_as_one_in_a_folder(tmp_path: Path) -> None:
    kept(tmp_path, answered("a", {"age": 1}))
    store = fsspec.filesystem("memory")
    store.put(str(tmp_path), "/bucket/log", recursive=True)
    try:
        here, there = (list_spans(top, "people") for top in (str(tmp_path), "memory://bucket/log"))
        assert here == there
        table = read_rows("memory://bucket/log", "people", "day", 20421)
        assert table["age"].to_pylist() == [1]
    finally:
        store.rm("/bucket", recursive=True)
