"""Sinks are told of each change at least once, by whoever comes, and one keeps no other."""

from __future__ import annotations

from datetime import timedelta

import pytest

from penstock.metadata.alerts import Addition, add_to_alert
from penstock.metadata.store import connect, connection_config
from penstock.operations.alerts.notices import notices
from penstock.operations.alerts.silences import end_silence, silence
from penstock.operations.alerts.sinks.undelivered import Undelivered
from penstock.operations.alerts.steps import DeliveryStep
from penstock.testing import FakeSink
from penstock_support.alerts_at_once import deliver_at_once
from penstock_support.delivering import NOW, Post, end, killed_at, ring, sink

HOUR = timedelta(hours=1)


@pytest.fixture
def post(address, store):
    """Sinks of a store that were told once that there is nothing."""
    post = Post(address)
    post.deliver()
    return post


@pytest.mark.core
def test_an_alert_and_its_end_are_told_once(store, post):
    ring(store)
    [delivery] = post.deliver()
    assert [message.sink for message in delivery.taken] == ["team"]
    post.deliver()
    end(store)
    post.deliver()
    post.deliver()
    assert post.told() == ["raised flights.drift", "resolved flights.drift"]


@pytest.mark.core
def test_what_comes_within_a_while_is_one_message(store, address):
    post = Post(address, sink(group_minutes=10))
    post.deliver()
    ring(store)
    [delivery] = post.deliver(minutes=5)
    assert (delivery.taken, delivery.waiting) == ((), 1)
    ring(store, "w2", at=NOW + timedelta(minutes=9))
    post.deliver(minutes=10)
    [message] = post.fake.messages("team")
    assert [alert["key"] for alert in message["alerts"]] == ["w1", "w2"]


@pytest.mark.core
def test_subjects_that_are_added_are_told(store, post):
    ring(store)
    post.deliver()
    add_to_alert(store, "flights.drift", "w1", Addition(NOW, ("y",)))
    post.deliver()
    [_, message] = post.fake.messages("team")
    [alert] = message["alerts"]
    assert (alert["change"], alert["added"]) == ("more", ["y"])


@pytest.mark.core
def test_what_is_still_open_is_said_again(store, address):
    post = Post(address, sink(repeat_hours=4))
    ring(store)
    for hours in (0, 3, 4, 5, 8):
        post.deliver(minutes=60 * hours)
    assert post.told() == ["raised flights.drift", *["again flights.drift"] * 2]


@pytest.mark.core
def test_what_is_over_is_not_said_again(store, address):
    post = Post(address, sink(repeat_hours=4))
    ring(store)
    post.deliver()
    end(store)
    for hours in (0, 4, 8):
        post.deliver(minutes=60 * hours)
    assert post.told() == ["raised flights.drift", "resolved flights.drift"]


@pytest.mark.core
def test_a_new_sink_is_told_what_is_open_and_nothing_that_is_over(store, address):
    ring(store, "old", at=NOW - HOUR)
    end(store, "old", at=NOW - HOUR / 2)
    ring(store, "open", at=NOW - HOUR)
    post = Post(address)
    post.deliver()
    [message] = post.fake.messages("team")
    assert [alert["key"] for alert in message["alerts"]] == ["open"]


@pytest.mark.core
def test_what_began_and_ended_between_two_looks_is_told(store, post):
    later = NOW + HOUR
    ring(store, at=later)
    end(store, at=later)
    post.deliver(minutes=61)
    assert post.told() == ["raised flights.drift", "resolved flights.drift"]


@pytest.mark.core
def test_a_sink_is_told_what_it_asks_for(store, address):
    wants = sink("wants", alerts=("flights.*",), min_severity="warning", send_resolved=False)
    post = Post(address, wants, sink("named"))
    post.deliver()
    ring(store)
    ring(store, name="taxi.drift")
    ring(store, "info", severity="info")
    ring(store, "named", data={"sinks": ["named"]})
    ring(store, "nobody", data={"sinks": []})
    end(store)
    post.deliver()
    assert post.told("wants") == ["raised flights.drift"]
    [message] = post.fake.messages("named")
    assert {alert["key"] for alert in message["alerts"]} == {"w1", "info", "named"}


@pytest.mark.core
def test_nobody_is_told_of_what_is_silenced_until_the_silence_ends(store, post):
    silence(store, "flights.*", NOW, NOW + HOUR, who="ada", why="a holiday")
    ring(store)
    [delivery] = post.deliver(minutes=30)
    assert (post.told(), delivery.waiting) == ([], 0)
    post.deliver(minutes=60)
    assert post.told() == ["raised flights.drift"]


@pytest.mark.core
def test_a_silence_that_is_taken_back_holds_no_more(store, post):
    made = silence(store, "flights.*", NOW, NOW + HOUR, who="ada", why="a holiday")
    ring(store)
    end_silence(store, made.number, NOW + HOUR / 4, who="bob")
    post.deliver(minutes=30)
    assert post.told() == ["raised flights.drift"]


@pytest.mark.core
def test_what_was_over_before_its_silence_ended_is_not_told(store, post):
    silence(store, "flights.*", NOW, NOW + HOUR, who="ada", why="a holiday")
    ring(store)
    end(store, at=NOW + HOUR / 2)
    post.deliver(minutes=120)
    assert post.told() == []


@pytest.mark.core
def test_that_something_is_over_is_told_though_it_is_silenced_meanwhile(store, post):
    ring(store)
    post.deliver()
    silence(store, "flights.*", NOW, NOW + HOUR, who="ada", why="a holiday")
    end(store, at=NOW + HOUR / 2)
    post.deliver(minutes=40)
    assert post.told() == ["raised flights.drift", "resolved flights.drift"]


@pytest.mark.core
def test_a_silence_of_a_subject_holds_for_what_is_about_nothing_else(store, post):
    silence(store, "*", NOW, NOW + HOUR, who="ada", why="a holiday", subject="dep_*")
    ring(store, "w1", data={"subjects": ["dep_delay"]})
    ring(store, "w2", data={"subjects": ["dep_delay", "distance"]})
    ring(store, "w3", data={})
    post.deliver(minutes=1)
    [message] = post.fake.messages("team")
    assert [alert["key"] for alert in message["alerts"]] == ["w2", "w3"]


@pytest.mark.core
def test_a_sink_that_is_away_delays_only_itself_and_is_tried_again_ever_later(store, address):
    post = Post(address, sink("away"), sink("there"))
    post.deliver()
    ring(store)
    away = FakeSink(post.fake.folder, away=frozenset({"away"}))
    first, other = post.deliver(fake=away)
    assert (first.problem, first.waiting) == ("away does not answer", 1)
    assert first.again == NOW + timedelta(seconds=30)
    assert [message.sink for message in other.taken] == ["there"]
    ring(store, "w2")
    [waits, _] = post.deliver(minutes=0.25)
    assert (waits.problem, waits.waiting) == ("away does not answer", 2)
    [second, _] = post.deliver(minutes=0.5, fake=away)
    assert second.again == NOW + timedelta(seconds=30 + 60)
    post.deliver(minutes=2)
    assert post.told("away") == ["raised flights.drift"] * 2
    assert len(post.fake.messages("there")) == 2


@pytest.mark.core
def test_what_a_sink_refuses_for_ever_keeps_nothing_that_comes_later(store, post):
    ring(store)
    refusing = FakeSink(post.fake.folder, refusing=frozenset({"team"}))
    [delivery] = post.deliver(fake=refusing)
    assert (delivery.problem, delivery.waiting) == ("team refuses it", 0)
    ring(store, "w2")
    post.deliver()
    [message] = post.fake.messages("team")
    assert [alert["key"] for alert in message["alerts"]] == ["w2"]


@pytest.mark.core
def test_after_three_days_nobody_tries_any_more(store, address):
    post = Post(address, sink(repeat_hours=0))
    post.deliver()
    away = FakeSink(post.fake.folder, away=frozenset({"team"}))
    ring(store)
    for day in range(4):
        post.deliver(minutes=day * 24 * 60, fake=away)
    assert [notice.state for notice in notices(store, "team")] == ["done", "failed"]


@pytest.mark.core
def test_a_sink_that_says_when_is_tried_again_then(store, post):
    def busy(*_):
        raise Undelivered("too many requests", after=600)

    ring(store)
    [delivery] = post.deliver(fake=busy)
    assert delivery.again == NOW + timedelta(minutes=10)


@pytest.mark.core
def test_what_nobody_foresaw_of_a_sink_is_its_problem(store, post):
    def broken(*_):
        raise KeyError("x")

    ring(store)
    [delivery] = post.deliver(fake=broken)
    assert delivery.problem == "KeyError when it was sent: 'x'"


@pytest.mark.core
def test_a_thousand_alerts_are_messages_of_a_hundred(store, post):
    for number in range(250):
        ring(store, f"w{number}")
    post.deliver()
    assert [len(m["alerts"]) for m in post.fake.messages("team")] == [100, 100, 50]


CASES = [DeliveryStep.HELD, DeliveryStep.RECORDED, DeliveryStep.SENT, DeliveryStep.CONFIRMED]


def test_every_step_is_among_the_cases():
    assert set(CASES) == set(DeliveryStep)


@pytest.mark.parametrize("step", CASES, ids=lambda step: step.name)
def test_killed_at_a_step_it_is_told_by_the_next_under_the_same_id(store, address, post, step):
    ring(store)
    assert killed_at(address, step)
    post.deliver()
    messages = post.fake.messages("team")
    assert post.told() == ["raised flights.drift"]
    assert len(messages) == (2 if step is DeliveryStep.SENT else 1)
    assert len({message["id"] for message in messages}) == 1


def test_of_several_who_deliver_at_once_one_tells_it(new_address, tmp_path):
    address = new_address()
    folder = tmp_path / "sinks"
    with connect(connection_config(address)) as metadata:
        post = Post(address)
        post.deliver()
        for number in range(3):
            ring(metadata.store, f"w{number}")
            deliver_at_once(address, folder)
        post.fake = FakeSink(folder)
        post.deliver()
    assert len(post.fake.messages("team")) <= 3
    assert post.told() == ["raised flights.drift"] * 3
