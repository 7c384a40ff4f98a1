"""Judging windows: each once, again when more has come, and to the end after a crash."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from penstock.metadata.alerts import open_alerts
from penstock.metadata.store import connect
from penstock.operations.monitors.steps import MonitorStep
from penstock_support.monitored import (
    judged_by,
    judgements,
    killed_at,
    log,
    measure,
    monitored,
    run,
    runs,
    write,
)


@pytest.fixture
def project(tmp_path):
    write(tmp_path)
    return tmp_path


def ringing(folder):
    with connect(monitored(folder).connection) as metadata:
        return [(one.alert.name, one.alert.key) for one in open_alerts(metadata.store)]


def test_the_windows_that_are_over_are_judged_in_their_order(project):
    log(project, 4, 3)
    found = run(project, now=datetime(1970, 1, 6, 12, tzinfo=UTC))
    assert [one.window.first for one in found.judged] == [3, 4]
    assert runs(project) == [3, 4]


def test_asking_again_judges_nothing_twice(project):
    log(project, 3)
    run(project)
    assert run(project).judged == ()
    assert runs(project) == [3]


def test_a_window_of_which_more_has_come_is_judged_again(project):
    log(project, 3)
    run(project)
    log(project, 3, part="late")
    [judged] = run(project).judged
    assert judged.why == "more of it has come"


def test_a_window_is_judged_again_when_somebody_asks_for_it(project):
    log(project, 3, 4)
    run(project)
    [judged] = run(project, again=["1970-01-04T00:00Z"]).judged
    assert (judged.window.first, judged.why) == (3, "somebody asked for it")


def test_of_the_windows_that_are_due_the_last_ones_may_be_enough(project):
    log(project, 3, 4, 5)
    assert [one.window.first for one in run(project, most=2).judged] == [4, 5]


def test_what_was_measured_is_recorded_in_short(project):
    log(project, 3)
    measure(project, day_3={"alarm": True, "waiting": 4})
    run(project)
    summary = judgements(project)[3].summary
    assert (summary.rows, summary.versions, summary.waiting) == (10, {"3": 10}, 4)
    assert (summary.counts, summary.alarms) == ({"drift": [0, 1, 0]}, 1)


def test_an_alarm_becomes_an_alert_which_is_over_in_the_next_window_without(project):
    log(project, 3)
    measure(project, day_3={"alarm": True})
    [judged] = run(project).judged
    assert judged.alerts == ("people.drift",)
    assert ringing(project) == [("people.drift", "1970-01-04T00:00Z")]
    log(project, 4)
    run(project)
    assert ringing(project) == []


def test_a_run_that_fails_is_told_and_tried_three_times(project):
    log(project, 3)
    measure(project, day_3={"error": "the disk is full"})
    found = run(project)
    assert "the disk is full" in found.problems[0]
    for _ in range(4):
        run(project)
    assert runs(project) == [3, 3, 3]
    assert judgements(project)[3].tries == 3


def test_a_run_that_failed_is_judged_when_it_goes_well(project):
    log(project, 3)
    measure(project, day_3={"error": "the disk is full"})
    run(project)
    measure(project)
    assert run(project).judged[0].is_done


@pytest.mark.parametrize("step", list(MonitorStep), ids=lambda step: step.name)
def test_who_comes_after_a_crash_ends_what_was_begun(project, step):
    log(project, 3)
    measure(project, day_3={"alarm": True})
    assert killed_at(project, step)
    run(project)
    assert judgements(project)[3].is_done
    assert runs(project) == [3]
    assert ringing(project) == [("people.drift", "1970-01-04T00:00Z")]
    assert run(project).judged == ()


def test_two_who_judge_at_the_same_time_judge_each_window_once(project):
    log(project, 3, 4)
    judged_by(project, 2)
    run(project)
    assert sorted(runs(project)) == [3, 4]
