"""Beside the rows a log has what was measured, minute by minute: errors, seconds, resources."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.errors import ConfigError, DataError
from penstock.serving.log.measures import SCHEMA, kind_of_error, latency_of, measures_of
from penstock.serving.log.policy import span_at
from penstock.serving.log.reading import is_latest, list_spans, read_measures, read_rows
from penstock.serving.sketches import count_of
from penstock_support.prediction_server import PredictionServer

Start = Callable[..., PredictionServer]
Row = dict[str, Any]


def told(**answers: Any) -> dict[str, Any]:
    counts = {"statuses": {}, "rows": 0, "latency": {}, "longest": 0.0, "log_dropped": 0}
    return {
        "model": "people",
        "time": 86400 * 20421 + 60.0,
        "seconds": 60.0,
        "server": "a",
        "answers": [{"version": 1, "role": "production", **counts, **answers}],
        "processes": [],
    }


def today() -> int:
    return span_at(time.time(), "day")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, None),
        (400, "bad_requests"),
        (413, "bad_requests"),
        (429, "refused"),
        (499, "gone"),
        (500, "model_errors"),
        (503, "unavailable"),
        (504, "timeouts"),
    ],
)
def test_an_error_is_counted_by_its_kind(status: int, kind: str | None) -> None:
    assert kind_of_error(status) == kind
    row = measures_of(told(statuses={str(status): 3})).to_pylist()[0]
    errors = [name for name in SCHEMA.names if name != "requests" and row[name] == 3]
    assert row["requests"] == 3
    assert errors == ([] if kind is None else [kind])


def test_minutes_add_up_to_the_seconds_of_a_day() -> None:
    one, other = told(latency={"400": 5}), told(latency={"400": 1, "430": 2})
    table = pa.concat_tables([measures_of(one), measures_of(other)])
    assert latency_of(table) == {400: 6, 430: 2}


@pytest.mark.needs("sklearn", "uvloop")
def test_a_server_measures_answers_errors_and_resources(
    start: Start, tmp_path: Path, row: Row
) -> None:
    server = start("--log", str(tmp_path / "log"))
    server.post("/predict/people", [row, row])
    server.post("/predict/people", row)
    server.post("/predict/people", {"age": "old"})
    server.post("/v1/models/people/versions/7:predict", {"instances": [[70, 2e4]]})
    server.end()
    table = read_measures(str(tmp_path / "log"), "people", "day", today())
    rows = table.to_pylist()
    answers = [one for one in rows if one["kind"] == "answers" and one["role"] == "production"]
    assert {one["version"] for one in answers} == {1}
    assert sum(one["requests"] for one in answers) == 3
    assert sum(one["rows"] for one in answers) == 3
    assert sum(one["bad_requests"] for one in answers) == 1
    [unknown] = [one for one in rows if one["role"] == "" and one["requests"]]
    assert (unknown["version"], unknown["bad_requests"]) == (7, 1)
    assert count_of(latency_of(table)) == 2
    asked = next(one for one in answers if one["requests"])
    assert 0 < asked["p50"] <= asked["p99"] <= asked["max"] * 1.05 < 60
    for kind in ("router", "worker", "log"):
        own = [one for one in rows if one["kind"] == kind]
        assert sum(one["cpu_seconds"] for one in own) > 0, kind
        assert all(one["memory_bytes"] > 10e6 for one in own), kind
    assert all(one["version"] == 1 for one in rows if one["kind"] == "worker")


@pytest.mark.needs("sklearn", "uvloop")
def test_readers_of_rows_do_not_meet_measures(start: Start, tmp_path: Path, row: Row) -> None:
    server = start("--log", str(tmp_path / "log"))
    server.post("/predict/people", row)
    server.end()
    log = str(tmp_path / "log")
    assert read_rows(log, "people", "day", today()).num_rows == 1
    [rows], [measures] = list_spans(log, "people"), list_spans(log, "people", measures=True)
    assert rows.number == measures.number == today()
    assert rows.fingerprint != measures.fingerprint
    assert rows.files == 1


def write(folder: Path, name: str, columns: dict[str, Any], span: str = "day-5") -> Path:
    path = folder / "people" / span / f"part-{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def test_rows_of_versions_with_other_features_are_read_as_one_table(tmp_path: Path) -> None:
    write(tmp_path, "a", {"age": [1, 2], "name": ["x", None], "code": [7, 8], "size": [1, 2]})
    write(tmp_path, "b", {"age": [1.5], "code": ["k"], "size": [[3, 4]], "new": [True]})
    shaped = pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2))
    write(tmp_path, "c", {"age": pa.nulls(1), "size": shaped})
    table = read_rows(str(tmp_path), "people", "day", 5)
    assert table["age"].to_pylist() == [1.0, 2.0, 1.5, None]
    assert table["code"].to_pylist() == ["7", "8", "k", None]
    assert table["size"].to_pylist() == [[1.0], [2.0], [3.0, 4.0], [1.0, 2.0]]
    assert table["name"].to_pylist() == ["x", None, None, None]
    assert table["new"].to_pylist() == [None, None, True, None]


def test_a_span_that_got_late_rows_has_another_fingerprint(tmp_path: Path) -> None:
    write(tmp_path, "a", {"age": [1]})
    write(tmp_path, "a", {"age": [1]}, "day-6")
    before = list_spans(str(tmp_path), "people")
    late = write(tmp_path, "b", {"age": [2]}, "day-6")
    after = list_spans(str(tmp_path), "people")
    assert [span.number for span in after] == [5, 6]
    assert after[0] == before[0]
    assert after[1].fingerprint != before[1].fingerprint
    assert after[1].bytes == before[1].bytes + late.stat().st_size


def test_a_span_of_nothing_has_no_rows_and_no_measures(tmp_path: Path) -> None:
    assert list_spans(str(tmp_path), "people") == []
    assert read_rows(str(tmp_path), "people", "day", 1).num_rows == 0
    assert read_measures(str(tmp_path), "people", "day", 1).schema == SCHEMA


def test_a_span_is_an_hour_or_a_day(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a folder an hour or a day, not a 'week'"):
        read_rows(str(tmp_path), "people", "week", 1)


def test_a_damaged_file_of_a_log_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "a", {"age": [1]})
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=r"cannot read a file of the log.*part-a\.parquet"):
        read_rows(str(tmp_path), "people", "day", 5)


def test_of_a_repeated_request_the_latest_rows_count() -> None:
    rows = pa.table(
        {
            "log/request_id": ["a", "b", "a", "a", "b"],
            "log/row": [0, 0, 1, 0, 0],
            "log/time": pa.array([3, 1, 1, 2, 1], pa.timestamp("us", tz="UTC")),
        }
    )
    assert is_latest(rows).to_pylist() == [True, False, True, False, True]
    assert is_latest(rows.slice(0, 1)).to_pylist() == [True]
    assert is_latest(rows.slice(0, 0)).to_pylist() == []
