"""What is decided once is recorded once, whoever else decides at the same moment."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from penstock.errors import StoreError
from penstock.metadata import journal
from penstock.metadata.journal import DONE, INTENDED, TakenError
from penstock.metadata.leases import held
from penstock.metadata.store import connect, connection_config
from penstock.metadata.turns import Held, Turn, last_of, latest
from penstock.models.of_run import is_run_id

pytestmark = pytest.mark.core


@pytest.fixture
def connection(tmp_path):
    return connection_config(str(tmp_path / "metadata.sqlite"))


@pytest.fixture
def store(connection):
    with connect(connection) as metadata:
        yield metadata.store


def test_an_entry_is_found_by_its_key(store):
    journal.intend(store, "trigger/new_month", "span-7", {"span": 7}, who="ann")
    entry = journal.find(store, "trigger/new_month", "span-7")
    assert (entry.state, entry.who, entry.intent) == (INTENDED, "ann", {"span": 7})


def test_a_key_is_taken_once(store):
    journal.intend(store, "deploy/staging", "f1", {"n": 1}, who="ann")
    with pytest.raises(TakenError, match=r"^ann was first to write deploy/staging/f1") as error:
        journal.intend(store, "deploy/staging", "f1", {"n": 2}, who="bob")
    assert error.value.entry.intent == {"n": 1}


def test_what_came_of_an_entry_takes_the_place_of_nothing_else(store):
    entry = journal.intend(store, "j", "k", {"n": 1}, who="ann")
    journal.conclude(store, entry, DONE, {"run": "r1"})
    found = journal.find(store, "j", "k")
    assert (found.state, found.intent, found.outcome) == (DONE, {"n": 1}, {"run": "r1"})


def test_a_shorter_outcome_leaves_nothing_of_a_longer_one(store):
    entry = journal.intend(store, "j", "k", {}, who="ann")
    journal.conclude(store, entry, DONE, {"text": "x" * 9000})
    journal.conclude(store, entry, DONE, {"text": "y"})
    assert journal.find(store, "j", "k").outcome == {"text": "y"}


def test_of_two_who_append_after_the_same_entry_one_is_told_of_the_other(store):
    first = journal.append(store, "alias/m/champion", {"to": 1}, after=None, who="ann")
    journal.append(store, "alias/m/champion", {"to": 2}, after=first, who="bob")
    with pytest.raises(TakenError) as error:
        journal.append(store, "alias/m/champion", {"to": 3}, after=first, who="cyd")
    assert (error.value.entry.who, error.value.entry.intent) == ("bob", {"to": 2})


def test_the_last_entry_is_how_things_stand(store):
    entry = None
    for number in range(11):
        entry = journal.append(store, "j", {"n": number}, after=entry, who="ann")
    assert journal.last(store, "j").intent == {"n": 10}
    assert [e.number for e in journal.entries(store, "j")] == list(range(1, 12))


def test_entries_are_those_of_the_journal_alone(store):
    for name in ("a_b", "axb", "a_b/c", "A_B"):
        journal.intend(store, name, "k", {"of": name}, who="ann")
    assert [e.intent["of"] for e in journal.entries(store, "a_b")] == ["a_b"]
    assert [e.intent["of"] for e in journal.entries_below(store, "a_b")] == ["a_b/c"]
    assert [e.intent["of"] for e in journal.entries(store, "A_B")] == ["A_B"]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=400),
    value=st.text(st.characters(exclude_categories=["Cs"]), max_size=6000),
)
@example(key="a\0b", value="\0")
def test_any_key_and_any_text_come_back_as_they_were(store, key, value):
    try:
        journal.intend(store, "wild", key, {"text": value}, who="ann")
    except TakenError:
        return
    found = journal.find(store, "wild", key)
    assert (found.key, found.intent) == (key, {"text": value})


@given(st.integers(0, 5000))
def test_the_last_of_many_is_found_by_asking_for_few(count):
    asked = []

    def numbered(number):
        asked.append(number)
        return number if number <= count else None

    assert last_of(numbered) == (count or None)
    assert len(asked) <= 2 * max(count, 1).bit_length() + 1


def test_a_lease_is_held_by_one_at_a_time(store, connection):
    with held(store, connection, "deploy production"):
        with pytest.raises(Held, match="deploy production is being run by process"):
            with held(store, connection, "deploy production"):
                pass
    with held(store, connection, "deploy production"):
        assert latest(store, Turn, "deploy production").number == 2


def test_entries_are_read_from_a_key_on(store):
    for key in ("20260503t2300z", "20260504t0000z", "20260504t0100z"):
        journal.intend(store, "judged/flights", key, {}, who="ann")
        journal.intend(store, "judged/flights-2", key, {}, who="ann")
    found = journal.entries(store, "judged/flights", first_key="20260504t0000z")
    assert [entry.key for entry in found] == ["20260504t0000z", "20260504t0100z"]


def test_what_is_no_entry_is_named(store):
    entry = journal.intend(store, "j", "k", {}, who="ann")
    [context] = store.get_contexts_by_id([entry.entry_id])
    context.custom_properties["intent"].string_value = "{half"
    store.put_contexts([context])
    text = "journal_entry 1 of the store, 'j/k', cannot be read: expected JSON as 'intent', got"
    with pytest.raises(StoreError, match=text):
        journal.find(store, "j", "k")


def test_runs_of_an_entry_are_named_as_other_runs_and_apart(store):
    entry = journal.intend(store, "deploy/staging", "f1", {}, who="ann")
    found = journal.find(store, "deploy/staging", "f1")
    assert found.run_id() == entry.run_id() != entry.run_id("canary")
    assert is_run_id(entry.run_id())
