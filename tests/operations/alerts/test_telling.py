"""What a sink is to be told, of alerts, silences and what it was told: each change once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.metadata.alerts import Addition, Alert, End, Raised
from penstock.operations.alerts.silences import Silence
from penstock.operations.alerts.telling import AGAIN, RAISED, RESOLVED, Told, due
from penstock_support.delivering import NOW, sink

pytestmark = pytest.mark.core

MINUTE = timedelta(minutes=1)

EVENTS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["ring", "add", "end", "silence"]), st.sampled_from("abc")),
        st.tuples(st.just("look"), st.integers(0, 90)),
    ),
    max_size=40,
)


def told_of(events, **options):
    """Return the messages that a sink gets while things happen, a minute each, and the alerts."""
    now, number = NOW, 1
    alerts: dict[str, Raised] = {}
    silences: list[Silence] = []
    told = [Told(1, (), now)]
    for what, which in [*events, ("look", 200)]:
        now += MINUTE
        raised = alerts.get(which)
        if what == "ring" and raised is None:
            alerts[which] = Raised(Alert("flights.drift", which, "s", now), "m")
        elif what == "add" and raised is not None and raised.is_open:
            added = Addition(now, (f"s{len(raised.additions)}",))
            alerts[which] = replace(raised, additions=(*raised.additions, added))
        elif what == "end" and raised is not None and raised.is_open:
            alerts[which] = replace(raised, end=End(now, "m"))
        elif what == "silence":
            silences.append(Silence(1, "flights.*", "", now, now + 5 * MINUTE, "a", "w"))
        elif what == "look":
            now += which * MINUTE
            changes = due(sink(**options), alerts.values(), told, silences, now).now
            if changes:
                number += 1
                told.append(Told(number, tuple(change.identity for change in changes), now))
    return told, alerts


@given(EVENTS, st.sampled_from([0, 3]), st.sampled_from([0, 1]))
def test_each_change_is_told_once_and_the_end_after_the_beginning(events, minutes, hours):
    told, alerts = told_of(events, group_minutes=minutes, repeat_hours=hours)
    identities = [identity for message in told for identity in message.changes]
    assert max(Counter(identities).values(), default=1) == 1
    for key, raised in alerts.items():
        kinds = [kind for _, about, kind, _ in identities if about == key]
        if raised.is_open:
            assert kinds[0] == RAISED
        elif kinds:
            assert (kinds[0], kinds[-1], kinds.count(RESOLVED)) == (RAISED, RESOLVED, 1)


@given(EVENTS)
def test_without_silences_all_is_told_and_nothing_again(events):
    heard = [event for event in events if event[0] != "silence"]
    told, alerts = told_of(heard, repeat_hours=0)
    kinds = Counter(kind for message in told for _, _, kind, _ in message.changes)
    assert kinds[RAISED] == len(alerts)
    assert kinds[RESOLVED] == sum(not raised.is_open for raised in alerts.values())
    assert kinds[AGAIN] == 0
