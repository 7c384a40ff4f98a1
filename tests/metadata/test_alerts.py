"""Alerts in the store: one of each key, and what others wrote is read as far as it goes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from penstock.errors import ParameterError, StoreError
from penstock.metadata import journal
from penstock.metadata.alerts import (
    Addition,
    Alert,
    End,
    add_to_alert,
    alerts,
    find_end,
    open_alerts,
    raise_alert,
    raised_alerts,
    resolve_alert,
)

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


def test_what_is_over_is_no_other_alert(store):
    raise_alert(store, DRIFT, who="monitor")
    end = End(AT, "ada", "the sensor is mended")
    assert resolve_alert(store, "flights.drift", "w1", end)
    assert not resolve_alert(store, "flights.drift", "w1", End(AT, "bob"))
    assert alerts(store, "flights.drift") == [DRIFT]
    [raised] = raised_alerts(store)
    assert (raised.alert, raised.who, raised.end) == (DRIFT, "monitor", end)
    assert find_end(store, "flights.drift", "w1") == end
    assert open_alerts(store) == []


def test_alerts_of_all_names_are_listed_or_those_of_one(store):
    for name in ("flights.drift", "taxi.errors", "flights.drift"):
        raise_alert(store, Alert(name, "k", "s", AT), who="m")
    names = [raised.alert.name for raised in raised_alerts(store)]
    assert names == ["flights.drift", "taxi.errors"]
    assert [raised.alert.name for raised in open_alerts(store, "taxi.errors")] == ["taxi.errors"]


def test_an_alert_that_is_over_from_the_beginning_is_never_open(store):
    raise_alert(store, DRIFT, who="monitor", end=End(AT, "monitor", "it was fine again"))
    [raised] = raised_alerts(store)
    assert not raised.is_open


def test_what_is_added_to_an_alert_is_added_once(store):
    raise_alert(store, Alert("a", "k", "s", AT, data={"subjects": ["x"]}), who="m")
    added = Addition(AT, ("y",), ({"subject": "y", "value": 0.3},))
    assert add_to_alert(store, "a", "k", added)
    assert not add_to_alert(store, "a", "k", added)
    [raised] = raised_alerts(store)
    assert (raised.subjects, raised.additions) == (("x", "y"), (added,))
    assert alerts(store, "a")[0].subjects == ("x",)


def test_what_is_not_there_can_be_neither_added_to_nor_resolved(store):
    with pytest.raises(StoreError, match="the store has no alert a of the key 'k'.*alert list"):
        resolve_alert(store, "a", "k", End(AT, "m"))
    with pytest.raises(StoreError, match="the store has no alert a of the key 'k'"):
        add_to_alert(store, "a", "k", Addition(AT, ("x",)))


@pytest.mark.parametrize("name", ["", "a\nb", " a", "a" * 201])
def test_an_alert_has_a_name_that_can_be_shown(store, name):
    with pytest.raises(ParameterError, match="expected a name of an alert as flights.drift"):
        raise_alert(store, Alert(name, "k", "s", AT), who="m")


@pytest.mark.parametrize("key", ["", "k" * 501])
def test_an_alert_has_a_key_that_is_not_long(store, key):
    with pytest.raises(ParameterError, match="expected a key of 1 to 500 characters, got"):
        raise_alert(store, Alert("a", key, "s", AT), who="m")
