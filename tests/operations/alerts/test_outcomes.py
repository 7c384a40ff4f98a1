"""What runs come to is said once, to whom it concerns, and is over with the next success."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from penstock.metadata.alerts import open_alerts, raised_alerts
from penstock.metadata.runs import list_runs
from penstock.operations.alerts.outcomes import (
    CANCELED,
    FAILED,
    SUCCEEDED,
    Outcome,
    outcome_of,
    say,
)
from penstock.project.notifications import Notification
from penstock_support.histories import History

pytestmark = pytest.mark.core

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
RULE = Notification(pipeline="flights", canceled="info", succeeded="info", who="data team")


def outcome(run: str, state: str = FAILED, minutes: float = 0, **failures: str) -> Outcome:
    return Outcome(run, state, NOW + timedelta(minutes=minutes), failures)


@pytest.fixture
def told(store):
    """Say outcomes of runs; return the open alerts as the runs that they are about."""
    say(store, [RULE], {}, NOW, who="tests")

    def told(*outcomes: Outcome, rule: Notification = RULE) -> list[tuple[str, ...]]:
        say(store, [rule], {"flights": list(outcomes)}, NOW + timedelta(hours=1), who="tests")
        return [raised.subjects for raised in open_alerts(store, "flights.run")]

    return told


def test_a_run_that_fails_is_an_alert_with_the_reason(store, told):
    assert told(outcome("r1", Trainer="ValueError: no rows")) == [("r1",)]
    [raised] = open_alerts(store)
    assert raised.alert.summary == "run r1 failed: Trainer: ValueError: no rows"
    assert (raised.alert.severity, raised.alert.data["who"]) == ("critical", "data team")


def test_runs_that_fail_after_it_are_added_to_it(told):
    told(outcome("r1"))
    assert told(outcome("r1"), outcome("r2", minutes=1)) == [("r1", "r2")]


def test_the_next_success_ends_it(store, told):
    assert told(outcome("r1"), outcome("r2", SUCCEEDED, 1)) == []
    [raised] = raised_alerts(store, "flights.run")
    assert raised.end is not None
    assert raised.end.why == "run r2 succeeded"


def test_a_success_before_it_does_not(told):
    assert told(outcome("r1", SUCCEEDED), outcome("r2", minutes=1)) == [("r2",)]


def test_the_run_itself_ends_it_where_it_is_gone_on_with(told):
    told(outcome("r1"))
    assert told(outcome("r1", SUCCEEDED, 1)) == []


def test_a_failure_after_a_success_is_another_alert(told):
    seen = [outcome("r1"), outcome("r2", SUCCEEDED, 1), outcome("r3", minutes=2)]
    assert told(*seen) == [("r3",)]


def test_saying_it_again_changes_nothing(store, told):
    seen = [outcome("r1"), outcome("r2", SUCCEEDED, 1), outcome("r3", CANCELED, 2)]
    told(*seen)
    before = raised_alerts(store)
    told(*seen)
    assert raised_alerts(store) == before


def test_a_success_is_an_alert_that_is_over(store, told):
    told(outcome("r1", SUCCEEDED))
    [raised] = raised_alerts(store, "flights.success")
    assert (raised.alert.severity, raised.is_open) == ("info", False)


def test_what_has_no_severity_is_not_said(store, told):
    quiet = replace(RULE, failed="", canceled="", succeeded="")
    told(outcome("r1"), outcome("r2", CANCELED), outcome("r3", SUCCEEDED), rule=quiet)
    assert raised_alerts(store) == []


def test_what_ended_before_anybody_asked_is_not_said(told):
    assert told(outcome("old", minutes=-1)) == []


def test_a_run_that_has_just_ended_is_said_though_nobody_asked_before(store):
    outcomes = {"flights": [outcome("r1", minutes=-1)]}
    say(store, [RULE], outcomes, NOW, who="tests", of_now="r1")
    assert [raised.alert.key for raised in open_alerts(store)] == ["r1"]


def test_of_a_run_the_nodes_are_named_that_failed_to_the_end(store, tmp_path):
    history = History(store, tmp_path)
    history.execute("r1", "Trainer", state="failed")
    history.execute("r1", "Pusher", state="failed")
    history.execute("r1", "Trainer")
    [run] = list_runs(store)
    found = outcome_of(replace(run, state="failed"))
    assert found is not None
    assert list(found.failures) == ["Pusher"]


def test_a_run_that_is_under_way_has_no_outcome(store, tmp_path):
    History(store, tmp_path).execute("r1", "Trainer", state="running")
    [run] = list_runs(store)
    assert outcome_of(run) is None


def test_a_run_whose_process_is_gone_has_failed(store, tmp_path):
    History(store, tmp_path).execute("r1", "Trainer")
    [run] = list_runs(store)
    found = outcome_of(replace(run, state="abandoned"))
    assert found is not None
    assert found.summary == "run r1 failed: the process that ran it ended without saying so"
