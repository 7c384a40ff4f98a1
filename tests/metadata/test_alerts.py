"""Alerts in the store: one of each key, and what others wrote is read as far as it goes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from penstock.errors import ParameterError
from penstock.metadata import journal
from penstock.metadata.alerts import Alert, alerts, raise_alert

pytestmark = pytest.mark.core

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
DRIFT = Alert("flights.drift", "w1", "dep_delay has drifted", AT, "critical", {"js": 0.2})


def test_an_alert_comes_back_as_it_was(store):
    assert raise_alert(store, DRIFT, who="monitor")
    assert alerts(store, "flights.drift") == [DRIFT]


def test_of_one_key_there_is_one_alert(store):
    raise_alert(store, DRIFT, who="monitor")
    assert not raise_alert(store, Alert("flights.drift", "w1", "again", AT), who="other")
    assert alerts(store, "flights.drift") == [DRIFT]


@pytest.mark.parametrize("content", [{}, {"at": "soon", "data": 3}, {"at": None}])
def test_what_others_wrote_is_read_as_far_as_it_goes(store, content):
    journal.intend(store, "alert/a", "k", content, who="other", state=journal.DONE)
    [alert] = alerts(store, "a")
    assert (alert.summary, alert.severity, alert.data) == ("k", "warning", {})
    assert alert.at.tzinfo is not None


def test_a_severity_is_one_that_there_is(store):
    alert = Alert("a", "k", "s", AT, "bad")
    with pytest.raises(ParameterError, match="severity of info, warning, critical, got 'bad'"):
        raise_alert(store, alert, who="monitor")


def test_a_time_has_a_zone(store):
    alert = Alert("a", "k", "s", datetime(2026, 5, 4))
    with pytest.raises(ParameterError, match="expected a time with a zone, got 2026-05-04T00:00"):
        raise_alert(store, alert, who="monitor")
