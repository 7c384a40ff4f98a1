"""A server keeps what it was asked and what it said, as files that are there as a whole or not."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from penstock.serving.log.policy import LogPolicy, span_at, time_in
from penstock.serving.log.reading import read_measures, read_rows
from penstock_support.prediction_server import PredictionServer, wait_for

pytestmark = pytest.mark.needs("sklearn", "uvloop")

Start = Callable[..., PredictionServer]
Row = dict[str, Any]


def logged(folder: Path) -> pa.Table:
    files = sorted(folder.glob("people/day-*/part-*.parquet"))
    return pa.concat_tables([pq.read_table(file) for file in files])


def test_what_was_asked_and_said_is_kept_when_the_server_ends(
    start: Start, tmp_path: Path, row: Row
) -> None:
    server = start("--log", str(tmp_path / "log"))
    before = time.time()
    server.post("/predict/people", [row, {**row, "age": 20}], **{"X-Request-Id": "abc"})
    server.post("/v1/models/people:predict", {"instances": [[70, 2e4]]})
    server.end()
    table = logged(tmp_path / "log").sort_by([("log/time", "ascending"), ("log/row", "ascending")])
    assert table["age"].to_pylist() == [70, 20, 70]
    assert table["income"].to_pylist() == [2e4] * 3
    assert table["log/class"].to_pylist() == ["stays", "leaves", "stays"]
    assert table["log/request_id"].to_pylist()[:2] == ["abc", "abc"]
    assert table["log/row"].to_pylist() == [0, 1, 0]
    assert set(table["log/version"].to_pylist()) == {1}
    assert set(table["log/role"].to_pylist()) == {"production"}
    assert all(0 <= score <= 1 for score in table["log/score"].to_pylist())
    assert all(0 < seconds < 60 for seconds in table["log/seconds"].to_pylist())
    assert before <= min(table["log/time"].to_pylist()).timestamp() <= time.time()


def test_a_request_is_of_the_time_that_its_caller_says(
    start: Start, tmp_path: Path, row: Row
) -> None:
    server = start("--log", str(tmp_path / "log"), "--log-time-header", "X-Event-Time")
    for time_of in ("1970-01-03T06:00Z", "1970-01-04T00:00:00+01:00", "259200"):
        server.post("/predict/people", row, **{"X-Event-Time": time_of})
    server.end()
    spans = sorted(path.name for path in (tmp_path / "log" / "people").glob("day-*"))
    assert spans == ["day-2", "day-3"]
    assert len(read_rows(str(tmp_path / "log"), "people", "day", 2)) == 2


@pytest.mark.parametrize("said", ["yesterday", "-5", "1e400", "nan", "", "9" * 400])
def test_a_time_that_is_none_counts_as_none(said: str) -> None:
    assert time_in(said) is None


def test_an_answer_says_the_id_of_its_request(start: Start, tmp_path: Path, row: Row) -> None:
    import http.client

    server = start("--log", str(tmp_path / "log"))
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    ids = set()
    for given in ({}, {}, {"X-Request-Id": "mine"}):
        connection.request("POST", "/predict/people", b'{"age": 1, "income": 1}', given)
        response = connection.getresponse()
        response.read()
        ids.add(response.headers["x-request-id"])
    assert len(ids) == 3
    assert "mine" in ids


def test_what_a_caller_did_wrong_is_not_kept(start: Start, tmp_path: Path, row: Row) -> None:
    server = start("--log", str(tmp_path / "log"))
    assert server.post("/predict/people", {"age": "old"})[0] == 400
    server.post("/predict/people", row)
    server.end()
    assert logged(tmp_path / "log").num_rows == 1


def test_columns_can_be_left_out_and_hashed(start: Start, tmp_path: Path, row: Row) -> None:
    server = start("--log", str(tmp_path / "log"), "--log-without", "income", "--log-hashed", "age")
    for age in (70, 20, 70):
        server.post("/predict/people", {**row, "age": age})
    server.end()
    table = logged(tmp_path / "log").sort_by("log/time")
    assert "income" not in table.column_names
    first, second, third = table["age"].to_pylist()
    assert first == third != second
    assert (tmp_path / "log" / ".key").stat().st_mode & 0o77 == 0


def test_a_share_of_the_requests_is_kept_by_their_ids(
    start: Start, tmp_path: Path, row: Row
) -> None:
    server = start("--log", str(tmp_path / "log"), "--log-percent", "30")
    for _ in range(2):
        for number in range(100):
            server.post("/predict/people", row, **{"X-Request-Id": f"r{number}"})
    server.end()
    ids = logged(tmp_path / "log")["log/request_id"].to_pylist()
    kept = {f"r{n}" for n in range(100) if LogPolicy("", percent=30).has(f"r{n}")}
    assert 15 < len(kept) < 45
    assert sorted(ids) == sorted([*kept, *kept])


def test_a_killed_server_loses_nothing_that_it_has_told(
    start: Start, tmp_path: Path, row: Row
) -> None:
    server = start("--log", str(tmp_path / "log"))
    for _ in range(20):
        server.post("/predict/people", row)
    server.process.kill()
    server.process.wait()
    until = time.monotonic() + 30
    while not list((tmp_path / "log").glob("people/*/*.parquet")) and time.monotonic() < until:
        time.sleep(0.05)
    assert logged(tmp_path / "log").num_rows == 20


def test_a_killed_log_is_started_again_and_no_caller_waits(
    start: Start, tmp_path: Path, row: Row
) -> None:
    server = start("--log", str(tmp_path / "log"))
    [log] = [
        child
        for child in server.workers()
        if b"serving.log.process" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    for _ in range(3):
        server.post("/predict/people", row)
    os.kill(log, signal.SIGKILL)
    wait_for(lambda: "with 3 requests that were in no file yet" in server.log.read_text(), server)
    for _ in range(20):
        assert server.post("/predict/people", row)[0] == 200
    wait_for(lambda: "is started again" in server.log.read_text(), server)
    wait_for(lambda: len(server.workers()) == 2 and log not in server.workers(), server)
    assert server.post("/predict/people", row, **{"X-Request-Id": "later"})[0] == 200
    server.end()
    assert "later" in logged(tmp_path / "log")["log/request_id"].to_pylist()
    measures = read_measures(str(tmp_path / "log"), "people", "day", span_at(time.time(), "day"))
    assert pc.sum(measures["log_dropped"]).as_py() == 3
    assert not list((tmp_path / "log").rglob(".begun*"))


def test_a_log_that_stands_still_makes_no_caller_wait(
    start: Start, tmp_path: Path, row: Row
) -> None:
    server = start("--log", str(tmp_path / "log"))
    for child in server.workers():
        if b"serving.log.process" in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(child, signal.SIGSTOP)
    many = [{**row, "note": "x" * 1000}] * 1000
    for _ in range(80):  # 80 MB, more than what may wait for it
        assert server.post("/predict/people", many)[0] == 200
    dropped = next(
        line
        for line in server.get("/metrics")[1].splitlines()
        if line.startswith("penstock_log_dropped_total")
    )
    assert float(dropped.split()[-1]) > 0
    server.end()


def test_a_model_has_the_log_of_the_deployment_that_it_serves(
    start: Start, tmp_path: Path, versions: Path, row: Row
) -> None:
    (tmp_path / "penstock.toml").write_text(
        """
        [deployments.people]
        local = { state = "state" }
        log = { folder = "kept", without = ["income"], span = "hour" }

        [deployments.others]
        local = { state = "state" }
        log = { folder = "elsewhere" }
        """
    )
    server = start(f"others={versions / '1'}", f"unlogged={versions / '1'}")
    for name in ("people", "others", "unlogged"):
        assert server.post(f"/predict/{name}", row)[0] == 200
    server.end()
    [kept] = (tmp_path / "kept").glob("people/hour-*/part-*.parquet")
    assert "income" not in pq.read_table(kept).column_names
    [other] = (tmp_path / "elsewhere").glob("others/day-*/part-*.parquet")
    assert pq.read_table(other)["income"].to_pylist() == [2e4]
    assert not list(tmp_path.rglob("unlogged"))


def test_a_server_whose_log_cannot_be_written_does_not_start(start: Start, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file")
    server = start("--log", str(tmp_path / "log" / "below"), ready=False)
    assert server.process.wait(timeout=60) == 2
    said = f"the log {tmp_path}/log/below cannot be written: Not a directory"
    assert said in server.log.read_text()


def test_the_oldest_files_go_where_the_log_is_full(tmp_path: Path) -> None:
    from penstock.serving.log.writing import make_room

    for number in range(5):
        folder = tmp_path / "people" / f"day-{number}"
        folder.mkdir(parents=True)
        (folder / "part-a-1.parquet").write_bytes(b"x" * 100)
        os.utime(folder / "part-a-1.parquet", (number, number))
    make_room(tmp_path, 250)
    assert sorted(path.name for path in (tmp_path / "people").iterdir()) == ["day-3", "day-4"]


def test_a_span_is_of_its_time_in_utc() -> None:
    assert span_at(86400 * 20421 + 1, "day") == 20421
    assert span_at(3600 * 7, "hour") == 7
