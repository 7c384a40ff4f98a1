"""Reports of windows, and their files."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from penstock.errors import DataError
from penstock.monitoring.measures import (
    ALARM,
    DRIFT,
    FILE,
    Histogram,
    Measure,
    Window,
    WindowReport,
    joined,
    read_report,
    write_report,
)

pytestmark = pytest.mark.core

DAY = Window(datetime(2026, 5, 4, tzinfo=UTC), datetime(2026, 5, 5, tzinfo=UTC), 20577, 20577)
REPORT = WindowReport(
    DAY,
    120,
    {"3": 100, "4": 20},
    (
        Measure(DRIFT, "distance", "js", 0.2, ALARM, "it has moved", 120, threshold=0.1),
        Measure(DRIFT, "carrier", "js", 0.01),
    ),
    (Histogram("distance", ("low", "high"), (0.5, 0.5), (0.7, 0.3), (0.0, 1.0, 2.0)),),
    {"waiting": 7},
)


def test_a_report_is_read_as_it_was_written(tmp_path):
    write_report(str(tmp_path), REPORT)
    assert read_report(str(tmp_path)) == REPORT


def test_what_is_no_number_is_written_as_nothing(tmp_path):
    measures = (Measure(DRIFT, "distance", "js", float("nan"), lower=float("-inf")),)
    write_report(str(tmp_path), replace(REPORT, measures=measures))
    [read] = read_report(str(tmp_path)).measures
    assert (read.value, read.lower) == (None, None)


def test_what_a_later_version_writes_beside_is_left_out():
    entry = REPORT.to_json()
    entry["measures"][0]["mood"] = "good"
    assert WindowReport.from_json(entry) == REPORT


def test_a_folder_without_a_report_is_said(tmp_path):
    with pytest.raises(DataError, match="there is no report of a monitor"):
        read_report(str(tmp_path))


def test_a_file_that_is_cut_off_is_said(tmp_path):
    (tmp_path / FILE).write_text('{"window": {')
    with pytest.raises(DataError, match="there is no report of a monitor"):
        read_report(str(tmp_path))


def test_a_window_is_known_by_when_it_begins_whatever_the_zone():
    there = timezone(timedelta(hours=2))
    assert replace(DAY, begin=DAY.begin.astimezone(there)).key == DAY.key == "2026-05-04T00:00Z"


def test_the_alarms_are_the_measures_somebody_should_look_at():
    assert [measure.subject for measure in REPORT.alarms] == ["distance"]


def test_reports_about_one_window_become_one():
    other = WindowReport(DAY, 100, {}, (Measure("errors", "all", "share", 0.0),), (), {"late": 2})
    both = joined([REPORT, other])
    assert both.rows == 120
    assert [measure.kind for measure in both.measures] == ["drift", "drift", "errors"]
    assert both.facts == {"waiting": 7, "late": 2}


def test_reports_about_several_windows_stay_apart():
    later = replace(DAY, begin=DAY.end, end=DAY.end + timedelta(days=1))
    with pytest.raises(ValueError, match="2026-05-05T00:00Z is not 2026-05-04T00:00Z"):
        joined([REPORT, replace(REPORT, window=later)])
