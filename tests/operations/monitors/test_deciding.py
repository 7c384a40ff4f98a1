"""Which windows are to be judged, and why."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.operations.monitors.deciding import Past, due, windows_in
from penstock.project.monitors import Labels, Monitor

pytestmark = pytest.mark.core

DAILY = Monitor(log="log/people", log_span="day", name="people")
LABELED = replace(DAILY, labels=Labels("*.csv", "late", wait="10d"))
LATER = datetime(1970, 1, 9, tzinfo=UTC)


def whys(monitor=DAILY, spans=None, past=None, labels="", now=LATER):
    logged = windows_in(spans or {5: "a"}, monitor)
    return [one.why for one in due(monitor, logged, past or {}, labels, now)]


def past(monitor=DAILY, **changes):
    [logged] = windows_in({5: "a"}, monitor)
    return {logged.window.key: Past(logged.fingerprint, **changes)}


def test_a_window_is_due_when_it_is_over():
    assert whys() == ["it is over, and was not judged yet"]


def test_a_window_that_is_not_over_is_not_due():
    assert whys(now=datetime(1970, 1, 6, 12, tzinfo=UTC)) == []


def test_a_window_is_due_some_time_after_its_end():
    end = datetime(1970, 1, 7, tzinfo=UTC)
    assert whys(now=end + timedelta(minutes=9)) == []
    assert whys(now=end + timedelta(minutes=10)) != []


def test_a_window_that_was_judged_is_not_judged_again():
    assert whys(past=past()) == []


def test_a_window_of_which_more_has_come_is_judged_again():
    assert whys(spans={5: "b"}, past=past()) == ["more of it has come"]


def test_a_window_is_judged_again_when_labels_have_come_for_rows_that_wait():
    assert whys(LABELED, past=past(waiting=3), labels="x") == ["labels have come"]
    assert whys(LABELED, past=past(waiting=3, labels="x"), labels="x") == []
    assert whys(LABELED, past=past(waiting=0), labels="x") == []


def test_rows_do_not_wait_for_ever():
    now = LATER + timedelta(days=20)
    assert whys(LABELED, past=past(waiting=3), labels="x", now=now) == []


def test_a_window_whose_run_failed_is_tried_three_times():
    assert whys(past=past(is_done=False, tries=2)) == ["the run that was to judge it failed"]
    assert whys(past=past(is_done=False, tries=3)) == []


def test_windows_are_of_several_spans_from_multiples_of_their_number_on():
    weekly = replace(DAILY, window="7d")
    found = windows_in({6: "a", 7: "b", 13: "c", 14: "d"}, weekly)
    assert [(one.window.first, one.window.last) for one in found] == [(0, 6), (7, 13), (14, 20)]


def test_windows_may_be_months():
    monthly = replace(DAILY, window="month")
    found = windows_in({30: "a", 31: "b", 58: "c", 59: "d"}, monthly)
    assert [(one.window.first, one.window.last) for one in found] == [(0, 30), (31, 58), (59, 89)]


def test_windows_of_hours_begin_at_their_hour():
    hourly = replace(DAILY, log_span="hour", window="6h")
    [one] = windows_in({13: "a"}, hourly)
    assert (one.window.begin, one.window.end) == (
        datetime(1970, 1, 1, 12, tzinfo=UTC),
        datetime(1970, 1, 1, 18, tzinfo=UTC),
    )


@given(st.dictionaries(st.integers(0, 400), st.text(max_size=3)), st.integers(1, 14))
def test_every_span_is_in_one_window_and_windows_do_not_meet(spans, length):
    found = windows_in(spans, replace(DAILY, window=f"{length}d"))
    for span in spans:
        assert sum(one.window.first <= span <= one.window.last for one in found) == 1
    assert all(a.window.end <= b.window.begin for a, b in itertools.pairwise(found))


@given(st.dictionaries(st.integers(0, 100), st.text(max_size=3), min_size=1))
def test_what_was_judged_of_what_is_there_is_never_due(spans):
    logged = windows_in(spans, DAILY)
    judged = {one.window.key: Past(one.fingerprint) for one in logged}
    assert due(DAILY, logged, judged, "", LATER + timedelta(days=1000)) == []
