"""What a server's own measures say of a window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from penstock.monitoring.measures import ALARM, FINE, UNKNOWN
from penstock.monitoring.traffic import ALL_ANSWERS, ALL_PROCESSES, series_of, traffic_of
from penstock.project.monitors import TrafficLimits
from penstock.serving.log.measures import measures_of
from penstock.serving.sketches import sketch_of
from penstock_support.served_examples import DAY

pytestmark = pytest.mark.core


def minute(number, *, requests=100, seconds=0.01, errors=0, role="production", version=3):
    begin = DAY.begin + timedelta(minutes=number)
    latency = sketch_of(np.full(requests, seconds))
    return measures_of(
        {
            "time": begin.timestamp(),
            "seconds": 60.0,
            "server": "one",
            "answers": [
                {
                    "version": version,
                    "role": role,
                    "rows": requests,
                    "statuses": {"200": requests - errors, "500": errors},
                    "latency": {str(key): count for key, count in latency.items()},
                    "longest": seconds,
                    "log_dropped": 0,
                }
            ],
            "processes": [
                {"kind": "router", "process": 1, "cpu_seconds": 6.0, "memory_bytes": 50_000_000},
                {"kind": "worker", "process": 2, "cpu_seconds": 24.0, "memory_bytes": 150_000_000},
            ],
        }
    )


def measured(minutes, **limits):
    found = traffic_of(pa.concat_tables(minutes), TrafficLimits(**limits))
    return {(one.subject, one.name): one for one in found}


def test_a_quiet_day_is_fine():
    found = measured([minute(n) for n in range(20)], latency={"p99": 0.1})
    assert {one.state for one in found.values()} == {FINE}


def test_answers_that_take_too_long_ring():
    one = measured([minute(n, seconds=0.3) for n in range(20)], latency={"p99": 0.1})
    assert one[ALL_ANSWERS, "p99_seconds"].state == ALARM
    assert one[ALL_ANSWERS, "p50_seconds"].state == FINE


def test_one_slow_minute_is_no_reason_to_ring():
    minutes = [minute(n) for n in range(60)] + [minute(60, seconds=0.5)]
    assert measured(minutes, latency={"p99": 0.1})[ALL_ANSWERS, "p99_seconds"].state == FINE


def test_errors_of_the_server_ring_and_are_named():
    one = measured([minute(n, errors=5) for n in range(20)])[ALL_ANSWERS, "error_share"]
    assert (one.state, one.value, one.why) == (ALARM, 0.05, "100 model errors")


def test_a_few_errors_of_many_requests_are_fine():
    minutes = [minute(n, errors=int(n == 0)) for n in range(20)]
    assert measured(minutes)[ALL_ANSWERS, "error_share"].state == FINE


def test_of_few_requests_nothing_is_said():
    one = measured([minute(0, requests=5)])[ALL_ANSWERS, "error_share"]
    assert (one.state, one.why) == (UNKNOWN, "5 requests were seen, 100 are needed")


def test_a_shadow_is_left_out():
    minutes = [minute(n) for n in range(20)]
    minutes += [minute(n, errors=50, role="shadow", version=4) for n in range(20)]
    assert measured(minutes)[ALL_ANSWERS, "error_share"].value == 0


def test_versions_are_told_apart_where_there_are_several():
    minutes = [minute(n) for n in range(20)]
    minutes += [minute(n, errors=20, role="canary", version=4) for n in range(20)]
    found = measured(minutes)
    assert found["version 3", "error_share"].state == FINE
    assert found["version 4", "error_share"].state == ALARM


def test_resources_are_those_of_all_processes_together():
    found = measured([minute(n) for n in range(20)], memory_megabytes=100, cpu=0.8)
    memory = found[ALL_PROCESSES, "memory_megabytes"]
    assert (memory.value, memory.state) == (200, ALARM)
    cores = found[ALL_PROCESSES, "busy_cores"]
    assert (cores.value, cores.state) == (pytest.approx(0.5), FINE)


def test_a_series_has_the_window_in_parts():
    table = pa.concat_tables([minute(n, errors=1) for n in (0, 1, 700)])
    series = series_of(table, DAY)
    assert len(series) == 24
    assert [part["requests"] for part in series if part["requests"]] == [200, 100]
    assert series[0]["errors"] == 2
    assert series[0]["p99"] == pytest.approx(0.01, rel=0.05)
    assert series[1]["p99"] is None
    assert series[0]["begin"] == datetime(2026, 5, 4, tzinfo=UTC).isoformat()
