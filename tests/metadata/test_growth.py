"""What is read of a store does not depend on how many runs it has."""

from __future__ import annotations

import time
from itertools import count

import pytest

from penstock.errors import RunError
from penstock.execution.recovery import mark_abandoned
from penstock.metadata import attempts, holders, turns
from penstock.metadata.runs import find_run, list_runs
from penstock.metadata.store import connect, connection_config
from penstock_support.histories import History, Reading, new_store

MANY = 120
IN_TWO_HOURS = time.time() + 7200


def write_ended(store, names) -> None:
    """Write attempts that have ended, with one call."""
    contexts = []
    for name in names:
        attempt = attempts.Attempt(name, 1, "done", holders.this_process(), 0.0)
        context = turns.as_context(attempt)
        context.type_id = turns.context_type_id(store, attempts.ATTEMPT_CONTEXT)
        contexts.append(context)
    store.put_contexts(contexts)


def note_later(store) -> None:
    """Note what has ended, as a command does two hours from now."""
    attempts.note_ended(store, attempts.read_recent(store), IN_TWO_HOURS)


@pytest.fixture(params=["with queries", "without queries"])
def metadata(request, new_address):
    with connect(connection_config(new_address())) as connected:
        connected.store._has_queries = request.param == "with queries"
        yield connected


@pytest.fixture
def store(metadata):
    return metadata.store


def names(number: int, numbers=count(1)) -> list[str]:
    return [f"ended-{next(numbers)}" for _ in range(number)]


def test_attempts_that_are_long_over_are_not_read_again(store):
    write_ended(store, names(MANY))
    assert len(attempts.read_recent(store).contexts) == MANY
    note_later(store)
    assert attempts.read_recent(store).contexts == ()


def test_what_runs_among_what_is_over_is_still_found(store):
    running = attempts.begin(store, "running")
    write_ended(store, names(MANY))
    note_later(store)
    later = attempts.begin(store, "later")
    assert sorted(a.run_id for a in attempts.read_recent(store).running()) == ["later", "running"]
    turns.end(store, running, "done")
    turns.end(store, later, "done")
    assert attempts.read_recent(store).running() == []


def test_what_is_young_is_not_taken_for_over(store):
    write_ended(store, names(MANY))
    attempts.note_ended(store, attempts.read_recent(store))
    assert len(attempts.read_recent(store).contexts) == MANY


def test_an_older_note_written_over_a_newer_one_is_as_true(store):
    running = attempts.begin(store, "running")
    write_ended(store, names(MANY))
    older = attempts.read_recent(store)
    write_ended(store, names(MANY))
    note_later(store)
    attempts.note_ended(store, older, IN_TWO_HOURS)
    assert attempts.read_recent(store).running() == [running]


def test_what_was_running_leaves_the_note_when_it_has_ended(store):
    write_ended(store, names(MANY))
    ones = [attempts.begin(store, name) for name in names(MANY)]
    note_later(store)
    assert len(attempts.read_recent(store).contexts) == MANY
    for one in ones:
        turns.end(store, one, "done")
    note_later(store)
    assert attempts.read_recent(store).contexts == ()


def test_an_abandoned_attempt_below_the_note_is_marked(metadata, monkeypatch):
    attempts.begin(metadata.store, "killed")
    write_ended(metadata.store, names(MANY))
    note_later(metadata.store)
    monkeypatch.setattr(holders.Holder, "is_alive", lambda _: False)
    assert mark_abandoned(metadata) == ["killed"]
    assert attempts.attempts(metadata.store, "killed")[0].state == turns.ABANDONED


def test_looking_for_abandoned_attempts_reads_no_more_after_many(metadata, monkeypatch):
    for _ in range(3):
        write_ended(metadata.store, names(MANY))
    note_later(metadata.store)
    read = Reading().install(monkeypatch)
    mark_abandoned(metadata)
    # Without queries, a page that ends with an older one.
    assert read.nodes <= 101
    assert read.calls <= 4


def test_an_attempt_reads_no_more_after_many(store, monkeypatch):
    turns.end(store, attempts.begin(store, "first"), "done")

    def reading() -> int:
        with monkeypatch.context() as patched:
            read = Reading().install(patched)
            attempt = attempts.begin(store, names(1)[0])
            turns.renew(store, attempt)
            turns.end(store, attempt, "done")
        return read.calls

    before = reading()
    write_ended(store, names(MANY))
    assert reading() == before


@pytest.fixture(scope="module")
def many_runs(tmp_path_factory):
    store = new_store()
    history = History(store, tmp_path_factory.mktemp("roots"))
    for number in range(MANY):
        history.execute(f"run-{number:03}", "Gen", {}, {"examples": "Examples"})
    return store


@pytest.mark.parametrize("asked", ["latest", "latest~2", "run-117", "117"])
def test_finding_a_run_reads_a_page_of_runs_at_most(many_runs, monkeypatch, asked):
    read = Reading().install(monkeypatch)
    find_run(many_runs, asked)
    assert read.nodes <= 25 + 10


def test_the_newest_runs_are_listed_without_the_older_ones(many_runs, monkeypatch):
    read = Reading().install(monkeypatch)
    found = list_runs(many_runs, most=3)
    assert [run.run_id for run in found] == ["run-119", "run-118", "run-117"]
    # 25 at a time: each with its context, an execution and an artifact, and where they belong.
    assert read.nodes <= 25 * 6


def test_runs_beyond_the_first_page_are_listed_once_each(many_runs):
    found = [run.run_id for run in list_runs(many_runs, most=MANY)]
    assert found == [f"run-{number:03}" for number in reversed(range(MANY))]


@pytest.mark.parametrize("asked", ["1_7", "%", "run-0%", "RUN-117"])
def test_what_queries_take_for_a_pattern_is_a_name_here(many_runs, asked):
    with pytest.raises(RunError, match="there is no run"):
        find_run(many_runs, asked)
