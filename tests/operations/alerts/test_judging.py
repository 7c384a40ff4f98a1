"""Reports become alerts in the store: once, whoever judges, and whoever is killed meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest

from penstock.errors import ParameterError
from penstock.metadata.alerts import End, alerts, open_alerts, raised_alerts, resolve_alert
from penstock.metadata.store import connect, connection_config
from penstock.monitoring.measures import KINDS
from penstock.operations.alerts.judging import judge
from penstock.operations.alerts.steps import JudgingStep
from penstock.operations.alerts.windows import judged_windows
from penstock.project.alerting import KIND_SEVERITIES, AlertRule
from penstock_support.alerts_at_once import judge_at_once
from penstock_support.judging import NOW, judge_series, killed_at, report, window

NAME = "flights.drift"


@pytest.mark.core
def test_every_kind_of_measures_has_a_severity():
    assert tuple(KIND_SEVERITIES) == KINDS


@pytest.mark.core
def test_an_alarm_raises_an_alert_that_says_what_was_measured(store):
    rules = {"drift": AlertRule(who="data team", sinks=("team",))}
    seen = report(3, dep_delay="a", distance="f")
    judge(store, "flights", rules, seen, NOW, who="monitor", data={"report": "/reports/7"})
    [raised] = raised_alerts(store)
    alert = raised.alert
    assert (alert.name, alert.key, alert.severity) == (NAME, "2026-05-04T03:00Z", "warning")
    assert alert.summary == "drift of dep_delay: js is 0.21"
    assert (raised.who, raised.is_open, raised.subjects) == ("monitor", True, ("dep_delay",))
    [measure] = alert.data["measures"]
    assert (measure["value"], measure["threshold"]) == (0.21, 0.1)
    assert alert.data["window"] == window(3).to_json()
    assert (alert.data["who"], alert.data["sinks"]) == ("data team", ["team"])
    assert alert.data["report"] == "/reports/7"


@pytest.mark.core
def test_judging_the_same_once_more_does_nothing(store):
    seen = report(0, x="a")
    assert list(judge(store, "flights", {}, seen, NOW, who="m")) == [NAME]
    assert judge(store, "flights", {}, seen, NOW, who="m") == {}
    assert len(raised_alerts(store)) == 1


@pytest.mark.core
def test_an_alert_is_over_when_a_later_window_is_fine_and_triggers_see_one_alert(store):
    judge_series(store, "aaf")
    [raised] = raised_alerts(store, NAME)
    assert (raised.end.who, raised.end.why) == ("monitor", "it is fine again")
    assert open_alerts(store) == []
    assert [alert.key for alert in alerts(store, NAME)] == [window(0).key]


@pytest.mark.core
def test_a_second_subject_is_added_to_the_alert(store):
    judge(store, "flights", {}, report(0, x="a", y="f"), NOW, who="m")
    judge(store, "flights", {}, report(1, x="a", y="a"), NOW, who="m")
    [raised] = raised_alerts(store)
    assert raised.subjects == ("x", "y")
    assert (raised.alert.subjects, raised.additions[0].measures[0]["subject"]) == (("x",), "y")


@pytest.mark.core
def test_an_incident_in_the_past_is_raised_and_over_at_once(store):
    judge_series(store, "f")
    judge_series(store, "f", first=2)
    judge_series(store, "a", first=1)
    [raised] = raised_alerts(store)
    assert (raised.alert.key, raised.is_open) == (window(1).key, False)


@pytest.mark.core
def test_a_window_that_is_judged_again_says_what_was_found_last(store):
    judge_series(store, "a")
    judge_series(store, "f")
    [judged] = judged_windows(store, "flights", "drift")
    assert (judged.alarms, judged.fine) == ((), 1)
    [raised] = raised_alerts(store)
    assert raised.end.why == "its windows were judged again, or its rule is another one"


@pytest.mark.core
def test_what_somebody_found_later_stays(store):
    judge(store, "flights", {}, report(0, x="f"), NOW, who="m")
    judge(store, "flights", {}, report(0, x="a"), NOW - timedelta(minutes=5), who="slow")
    assert raised_alerts(store) == []


@pytest.mark.core
def test_a_kind_that_a_report_has_not_measured_stays_as_it_is(store):
    judge(store, "flights", {}, report(0, "performance", all="a"), NOW, who="m")
    judge(store, "flights", {}, report(1, x="f"), NOW, who="m")
    [raised] = open_alerts(store)
    assert (raised.alert.name, raised.alert.severity) == ("flights.performance", "critical")


@pytest.mark.core
def test_an_alert_that_somebody_resolved_rings_again_in_a_later_window(store):
    judge_series(store, "aa")
    end = End(window(3).begin, "ada", "the sensor was off")
    assert resolve_alert(store, NAME, window(0).key, end)
    judge_series(store, "a", first=2)
    assert open_alerts(store) == []
    judge_series(store, "a", first=3)
    [raised] = open_alerts(store)
    assert raised.alert.key == window(3).key


@pytest.mark.core
def test_a_rule_of_no_kind_is_refused(store):
    with pytest.raises(ParameterError, match="expected a kind of measures of .*, got 'drfit'"):
        judge(store, "flights", {"drfit": AlertRule()}, report(0, x="a"), NOW, who="m")


@pytest.mark.core
def test_windows_long_ago_are_not_read(store, monkeypatch):
    judge_series(store, "a")
    seen = []
    from penstock.operations.alerts import judging

    def read(*arguments):
        seen.append(arguments[-1])
        return judged_windows(*arguments)

    monkeypatch.setattr(judging, "judged_windows", read)
    judge_series(store, "f", first=1)
    judge_series(store, "f", first=5000)
    assert seen[-1] == window(4000).begin


@pytest.mark.core
def test_only_the_newest_incidents_are_remembered(store):
    judge_series(store, "af" * 103)
    from penstock.metadata import journal

    last = journal.last(store, "incident/flights.drift")
    assert len(last.intent["incidents"]) == 100
    assert len(raised_alerts(store)) == 103


CASES = [
    ("a", JudgingStep.JUDGED, 1),
    ("a", JudgingStep.DECIDED, 1),
    ("a", JudgingStep.CHANGED, 1),
    ("a", JudgingStep.CONFIRMED, 1),
    ("af", JudgingStep.JUDGED, 2),
    ("af", JudgingStep.DECIDED, 2),
    ("af", JudgingStep.CHANGED, 2),
]


def test_every_step_is_among_the_cases():
    assert {step for _, step, _ in CASES} == set(JudgingStep)


@pytest.mark.parametrize(("states", "step", "time"), CASES, ids=str)
def test_killed_at_a_step_it_is_taken_up_by_the_next(address, states, step, time):
    assert killed_at(address, step, states, time)
    with connect(connection_config(address)) as metadata:
        for number, state in enumerate(states):
            seen = report(number, x=state, y=state)
            judge(metadata.store, "flights", {}, seen, NOW, who="next")
        [raised] = raised_alerts(metadata.store)
    assert (raised.alert.key, raised.is_open) == (window(0).key, states == "a")


def test_of_several_who_judge_at_once_one_raises_the_alert(new_address):
    address = new_address()
    with connect(connection_config(address)):
        pass
    judge_at_once(address)
    with connect(connection_config(address)) as metadata:
        judge(metadata.store, "flights", {}, report(12, x="a"), NOW, who="last")
        assert len(open_alerts(metadata.store)) == 1
        judge(metadata.store, "flights", {}, report(13, x="f"), NOW, who="last")
        assert open_alerts(metadata.store) == []


def test_windows_of_a_time_are_read_alone_in_every_store(new_address):
    with connect(connection_config(new_address())) as metadata:
        judge_series(metadata.store, "afaf")
        found = judged_windows(metadata.store, "flights", "drift", window(2).begin)
    assert [judged.window for judged in found] == [window(2), window(3)]
