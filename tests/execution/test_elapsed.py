"""Where the time of a run goes that is no node's."""

from __future__ import annotations

import time

import pytest

from penstock.execution.elapsed import KINDS, Elapsed, process_began, seconds_of_process
from penstock.execution.lifecycle import Life
from penstock.execution.workers.pool import Pool
from penstock.metadata.runs import find_run, record_elapsed
from penstock.metadata.store import connect, connection_config
from penstock_support.example_components import training

pytestmark = pytest.mark.core


def test_what_does_not_count_is_not_counted_later_either():
    times = iter((10.0, 12.0, 17.0, 18.0))
    elapsed = Elapsed(clock=lambda: next(times))
    elapsed.passed("bookkeeping")
    elapsed.passed("libraries", counts=False)
    elapsed.passed("bookkeeping")
    assert elapsed.seconds == {"bookkeeping": 3.0}


def test_a_process_knows_when_it_began():
    assert 0 < seconds_of_process() == pytest.approx(time.time() - process_began(), abs=1)


def test_a_run_records_what_was_no_node_s(run_pipeline, tmp_path):
    result = run_pipeline(training)
    with connect(connection_config(str(tmp_path / "metadata.sqlite"))) as metadata:
        record = find_run(metadata.store, result.run_id)
    assert set(record.elapsed) <= set(KINDS)
    assert 0 < record.elapsed["bookkeeping"] + record.elapsed["report"] < result.seconds + 60


def test_a_run_that_goes_on_adds_to_it(run_pipeline, tmp_path):
    result = run_pipeline(training)
    with connect(connection_config(str(tmp_path / "metadata.sqlite"))) as metadata:
        before = find_run(metadata.store, result.run_id).elapsed
        record_elapsed(metadata.store, result.run_id, {"report": 2.0})
        after = find_run(metadata.store, result.run_id).elapsed
    assert after == {**before, "report": pytest.approx(before["report"] + 2.0)}


def test_workers_import_before_the_first_node_where_nothing_can_be_cached(
    run_pipeline, monkeypatch
):
    calls: list[str] = []
    warm_up, begin = Pool.warm_up, Life.begin
    monkeypatch.setattr(Pool, "warm_up", lambda pool: (calls.append("warm up"), warm_up(pool)))
    monkeypatch.setattr(Life, "begin", lambda life: (calls.append("begin"), begin(life))[1])
    run_pipeline(training)
    first, calls[:] = calls[0], []
    run_pipeline(training)
    again, calls[:] = calls[0], []
    run_pipeline(training, cache=False)
    assert (first, again, calls[0]) == ("warm up", "begin", "warm up")
