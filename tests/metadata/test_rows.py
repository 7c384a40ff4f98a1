"""A row of ours that cannot be read costs a warning that names it, and nothing else."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock._tfx import metadata_store_pb2 as proto
from penstock.ir.reading import RUN_CONTEXT
from penstock.metadata import alerts, attempts, journal, registered, run_requests, turns
from penstock.metadata.alerts import Alert
from penstock.metadata.garbage.snapshot import read_snapshot
from penstock.metadata.inspection import malformed_rows
from penstock.metadata.rows import MalformedRowError, MalformedRowWarning
from penstock.metadata.runs import list_runs
from penstock.operations.entries import READERS
from penstock_support.histories import new_store


def _run(store: Any) -> Any:
    context = proto.Context(name="r1", type_id=turns.context_type_id(store, RUN_CONTEXT))
    properties = context.custom_properties
    properties["state"].string_value = "done"
    properties["pipeline_root"].string_value = "/root"
    properties["definition"].string_value = "flights"
    properties["options"].string_value = json.dumps(vars(run_requests.RunOptions()))
    properties["environment"].string_value = '{"python": "3.11"}'
    properties["graph"].string_value = '[["Gen", [], true]]'
    properties["parameter:steps"].string_value = "10"
    return store.put_contexts([context])[0]


def _attempt(store: Any) -> Any:
    attempts.begin(store, "r1")
    return store.get_context_by_type_and_name(attempts.ATTEMPT_CONTEXT, "r1/1").id


def _lease(store: Any) -> Any:
    turns.take(store, turns.Turn, "gc")
    return store.get_context_by_type_and_name("lease", "gc/1").id


def _ended(store: Any) -> Any:
    type_id = turns.context_type_id(store, attempts.ENDED_CONTEXT)
    context = proto.Context(name=attempts.ENDED_CONTEXT, type_id=type_id)
    context.custom_properties["ended"].string_value = '{"through": 0, "but": []}'
    return store.put_contexts([context])[0]


def _alert(store: Any) -> Any:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    alerts.raise_alert(store, Alert("a", "k", "s", at), who="ann")
    return journal.find(store, "alert/a", "k").entry_id


def _version(store: Any) -> Any:
    content = {"artifact_id": 1, "uri": "u", "digest": "d", "facts": {}, "change": "register"}
    entry = journal.append(store, "model/m", content, after=None, who="ann")
    return entry.entry_id


@dataclass(frozen=True)
class Kind:
    """A type of rows: how one is written, and its properties that must be readable."""

    write: Callable[[Any], int]
    properties: tuple[str, ...]


_ENTRY = ("journal", "key", "who", "state", "intent", "outcome")
KINDS = {
    "run_attempt": Kind(_attempt, ("state", "holder", "until")),
    "lease": Kind(_lease, ("state", "holder", "until")),
    "ended_attempts": Kind(_ended, ("ended",)),
    "alert": Kind(_alert, _ENTRY),
    "model": Kind(_version, _ENTRY),
    "pipeline_run": Kind(_run, ("options", "environment", "graph", "parameter:steps")),
}
MUTATIONS = {
    "of another type": lambda value: setattr(value, "int_value", 3),
    "no JSON": lambda value: setattr(value, "string_value", "{half"),
    "another JSON": lambda value: setattr(value, "string_value", "3"),
    "out of range": lambda value: setattr(value, "double_value", 1e308),
}
# What a text may be.
_FREE = {
    ("state", "no JSON"),
    *((name, "another JSON") for name in ("state", "parameter:steps", "until")),
}
CASES = [
    (kind, name, mutation)
    for kind in KINDS
    for name in KINDS[kind].properties
    for mutation in MUTATIONS
    if (name, mutation) not in _FREE
]


def spoil(store: Any, context_id: int, name: str, change: Callable[[Any], None]) -> None:
    [context] = store.get_contexts_by_id([context_id])
    change(context.custom_properties[name])
    store.put_contexts([context])


def read_all(store: Any) -> None:
    """Read what commands read."""
    list_runs(store)
    attempts.read_recent(store).running()
    journal.entries_below(store, "alert")
    alerts.raised_alerts(store)
    registered.read_models(store)
    for context in store.get_contexts_by_type(RUN_CONTEXT):
        run_requests.run_graph(context)
        run_requests.run_environment(context)


@pytest.mark.parametrize(("kind", "name", "mutation"), CASES)
def test_a_row_that_cannot_be_read_is_named_once_and_the_rest_is_read(kind, name, mutation):
    store = new_store()
    context_id = KINDS[kind].write(store)
    [before] = store.get_contexts_by_id([context_id])
    spoil(store, context_id, name, MUTATIONS[mutation])
    alerts.raise_alert(store, Alert("other", "k", "s", datetime(2026, 1, 1, tzinfo=UTC)), who="ann")
    [problem] = malformed_rows(store, READERS)
    assert problem.row.row_id == context_id
    assert problem.row.name == before.name
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default", MalformedRowWarning)
        read_all(store)
        read_all(store)
        assert [raised.alert.name for raised in alerts.raised_alerts(store)][-1] == "other"
    texts = [str(warning.message) for warning in said]
    assert len(texts) == len(set(texts))
    assert all(f" {context_id} of the store" in text for text in texts)


VALUES = st.one_of(
    st.builds(lambda n: ("int_value", n), st.integers(-(2**31), 2**31 - 1)),
    st.builds(lambda n: ("double_value", n), st.floats(allow_nan=False, allow_infinity=False)),
    st.builds(lambda b: ("bool_value", b), st.booleans()),
    st.builds(
        lambda content: ("string_value", json.dumps(content)),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["machine", "name", "process_id", "born", "through", "but"])
                    | st.sampled_from(["change", "artifact_id", "at", "data", "facts", "subjects"]),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=6,
        ),
    ),
    st.builds(lambda text: ("string_value", text), st.text(max_size=9)),
)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_whatever_a_property_holds_all_is_read_or_named(data):
    kind = data.draw(st.sampled_from(sorted(KINDS)))
    store = new_store()
    context_id = KINDS[kind].write(store)
    for name in data.draw(st.sets(st.sampled_from(KINDS[kind].properties), min_size=1)):
        field, value = data.draw(VALUES)
        if "\0" not in str(value):
            spoil(store, context_id, name, lambda v, f=field, c=value: setattr(v, f, c))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MalformedRowWarning)
        read_all(store)
        problems = list(malformed_rows(store, READERS))
    assert all(problem.row.row_id == context_id for problem in problems)


def test_a_property_that_is_missing_is_said():
    store = new_store()
    type_id = turns.context_type_id(store, attempts.ATTEMPT_CONTEXT)
    store.put_contexts([proto.Context(name="r1/1", type_id=type_id)])
    [problem] = malformed_rows(store, READERS)
    assert str(problem) == (
        "run_attempt 1 of the store, 'r1/1', cannot be read: expected a text as 'until', got "
        "nothing. Something else has written it, or another version of Penstock. See: penstock "
        "doctor"
    )


def test_a_turn_that_may_be_held_is_not_taken():
    store = new_store()
    spoil(store, _lease(store), "holder", MUTATIONS["no JSON"])
    with pytest.raises(MalformedRowError, match="Somebody may hold gc. If nobody writes to"):
        turns.take(store, turns.Turn, "gc")


def test_a_turn_that_says_that_it_is_over_is_followed_by_another():
    store = new_store()
    lease = _lease(store)
    spoil(store, lease, "holder", MUTATIONS["no JSON"])
    spoil(store, lease, "state", lambda value: setattr(value, "string_value", "done"))
    with pytest.warns(MalformedRowWarning, match="lease 1 of the store, 'gc/1', is left out"):
        assert turns.take(store, turns.Turn, "gc").number == 2


def test_a_turn_that_nobody_renews_is_over():
    store = new_store()
    lease = _lease(store)
    spoil(store, lease, "holder", MUTATIONS["no JSON"])
    [context] = store.get_contexts_by_id([lease])
    assert not turns.is_over(context)
    assert turns.is_over(context, time.time() + turns.QUIET_SECONDS + 60)


def test_a_run_with_an_attempt_that_cannot_be_read_is_taken_for_held():
    store = new_store()
    spoil(store, _attempt(store), "holder", MUTATIONS["no JSON"])
    with pytest.warns(MalformedRowWarning):
        assert read_snapshot(store).held_runs == {"r1"}


@pytest.mark.parametrize("name", ["intent", "key"])
def test_garbage_is_not_collected_beside_a_registered_model_that_cannot_be_read(name):
    store = new_store()
    spoil(store, _version(store), name, MUTATIONS["no JSON"])
    with pytest.raises(MalformedRowError, match="journal_entry 1 of the store, 'model/m/1'"):
        read_snapshot(store)


def test_versions_keep_their_numbers_where_one_cannot_be_read():
    store = new_store()
    first = _version(store)
    content = journal.last(store, "model/m").intent
    journal.append(store, "model/m", content, after=journal.last(store, "model/m"), who="ann")
    spoil(store, first, "intent", MUTATIONS["no JSON"])
    with pytest.warns(MalformedRowWarning, match="entry 1 of the model, before it"):
        assert registered.read_models(store) == []


def test_a_run_is_not_resumed_with_parameters_that_cannot_be_read():
    store = new_store()
    spoil(store, _run(store), "parameter:steps", MUTATIONS["no JSON"])
    with pytest.raises(MalformedRowError, match="expected JSON as 'parameter:steps', got '{half'"):
        run_requests.read_request(store, "r1")


def test_a_run_is_listed_without_what_cannot_be_read_of_it():
    store = new_store()
    spoil(store, _run(store), "parameter:steps", MUTATIONS["no JSON"])
    with pytest.warns(MalformedRowWarning, match="pipeline_run 1 of the store, 'r1'"):
        [run] = list_runs(store)
    assert (run.run_id, run.state, run.parameters) == ("r1", "done", {})


def test_what_counts_since_a_time_that_cannot_be_read_is_not_gone_on_with():
    store, now = new_store(), datetime(2026, 1, 1, tzinfo=UTC)
    assert journal.since(store, "line", now, who="ann", about="nightly") == now
    entry = journal.find(store, "since/nightly", "line")
    spoil(store, entry.entry_id, "intent", lambda v: setattr(v, "string_value", '{"since": 3}'))
    with pytest.raises(MalformedRowError, match="'since/nightly/line', cannot be read"):
        journal.since(store, "line", now, who="ann", about="nightly")
    assert [problem.row.name for problem in malformed_rows(store, READERS)] == [
        "since/nightly/line"
    ]
