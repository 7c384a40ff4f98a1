"""TrafficMonitor: what a server has measured of itself in a window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from penstock.authoring import artifacts
from penstock.components.traffic_monitor import component, executor
from penstock.monitoring.measures import read_report
from penstock.project.monitors import TrafficLimits
from penstock.serving.log.measures import measures_of
from penstock_support.served_examples import DAY

pytestmark = pytest.mark.core


def measured(log: Path, part: str = "a", errors: int = 0) -> None:
    """Write what a server measured in a minute of the day."""
    folder = log / "measures" / f"day-{DAY.first}"
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "time": DAY.begin.timestamp() + 60,
        "seconds": 60.0,
        "server": "one",
        "answers": [
            {
                "version": 3,
                "role": "production",
                "rows": 200,
                "statuses": {"200": 200 - errors, "503": errors},
                "latency": {"1": 200},
                "longest": 0.1,
                "log_dropped": 2,
            }
        ],
        "processes": [],
    }
    pq.write_table(measures_of(told), folder / f"part-{part}.parquet")


def monitor(folder: Path, log: Path) -> Any:
    report = artifacts.MonitorReport()
    report.uri = str(folder / "report")
    Path(report.uri).mkdir()
    executor.monitor(
        report=report,
        input_base=str(log),
        spans=range(DAY.first, DAY.last + 1),
        log_span="day",
        limits=TrafficLimits(),
    )
    return read_report(report.uri)


def test_the_windows_measures_are_judged(tmp_path):
    measured(tmp_path / "log" / "people", errors=20)
    report = monitor(tmp_path, tmp_path / "log" / "people")
    assert [(one.subject, one.name) for one in report.alarms] == [("all answers", "error_share")]
    assert report.alarms[0].why == "20 unavailable"
    assert report.facts["log_dropped"] == 2
    assert report.facts["traffic"][0]["requests"] == 200


def test_a_window_that_no_server_has_measured_has_no_measures(tmp_path):
    report = monitor(tmp_path, tmp_path / "log" / "people")
    assert (report.window, report.measures) == (DAY, ())


def test_the_node_changes_when_more_was_measured(tmp_path):
    log = tmp_path / "log" / "people"
    parameters = {
        "input_base": str(log),
        "first_span": DAY.first,
        "last_span": DAY.last,
        "log_span": "day",
    }
    assert component.resolve(parameters) == {"measures_fingerprint": ""}
    measured(log)
    first = component.resolve(parameters)
    measured(log, "b")
    assert component.resolve(parameters) != first
