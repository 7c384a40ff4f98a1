"""Who has a run in hand: leases of processes that live, died, or are somewhere else."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from penstock.errors import RunError
from penstock.execution.recovery import mark_abandoned
from penstock.metadata import attempts, holders, turns
from penstock.metadata.attempts import Attempt
from penstock.metadata.holders import Holder
from penstock.metadata.run_requests import run_state
from penstock.metadata.store import connect, connection_config
from penstock.metadata.turns import ABANDONED, RUNNING
from penstock_support import attempts_at_once
from penstock_support.histories import History

pytestmark = pytest.mark.core


@pytest.fixture
def metadata(tmp_path):
    with connect(connection_config(str(tmp_path / "metadata.sqlite"))) as connected:
        yield connected


@pytest.fixture
def store(metadata):
    return metadata.store


@pytest.fixture
def sleeper():
    """Another process, and its holder as it would write it down itself."""
    process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    yield process
    process.kill()
    process.wait()


def holder_of(process) -> Holder:
    return replace(holders.this_process(), process_id=process.pid, born=holders.birth(process.pid))


def held_by(holder: Holder, until: float) -> Attempt:
    return Attempt("run", 1, RUNNING, holder, until)


LONG_AGO, IN_A_WHILE = 0.0, time.time() + 3600


def test_a_process_that_lives_has_not_abandoned_its_run_however_old_its_lease(sleeper):
    assert not held_by(holder_of(sleeper), LONG_AGO).is_abandoned()


def test_a_process_that_is_gone_has_abandoned_its_run_at_once(sleeper):
    holder = holder_of(sleeper)
    sleeper.kill()
    sleeper.wait()
    assert held_by(holder, IN_A_WHILE).is_abandoned()


def test_a_process_id_that_was_used_again_is_another_process(sleeper):
    holder = holder_of(sleeper)
    assert held_by(replace(holder, born=holder.born - 1), IN_A_WHILE).is_abandoned()


def test_a_zombie_has_abandoned_its_run(sleeper):
    holder = holder_of(sleeper)
    sleeper.kill()
    # Waited for without reaping it, so that it stays a zombie.
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert held_by(holder, IN_A_WHILE).is_abandoned()


def test_a_stopped_process_has_not_abandoned_its_run(sleeper):
    holder = holder_of(sleeper)
    sleeper.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED)
    assert not held_by(holder, LONG_AGO).is_abandoned()


@pytest.mark.parametrize(("until", "abandoned"), [(99.0, True), (101.0, False)])
def test_of_another_machine_s_process_only_the_lease_is_known(sleeper, until, abandoned):
    elsewhere = replace(holder_of(sleeper), machine="another boot")
    assert held_by(elsewhere, until).is_abandoned(now=100.0) is abandoned


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_of_a_process_that_proc_hides_only_the_lease_is_known(monkeypatch, sleeper):
    holder = holder_of(sleeper)
    # As /proc answers about other users' processes when it is mounted with hidepid.
    monkeypatch.setattr(holders, "birth", lambda _: None)
    os.setresuid(65534, 65534, 0)
    try:
        assert holder.is_alive() is None
    finally:
        os.setresuid(0, 0, 0)


def test_an_attempt_that_ended_is_not_abandoned(sleeper):
    holder = replace(holder_of(sleeper), born=1)
    assert not replace(held_by(holder, LONG_AGO), state="done").is_abandoned()


def test_attempts_are_numbered(store):
    first = attempts.begin(store, "run")
    turns.end(store, first, "failed")
    second = attempts.begin(store, "run")
    assert [(a.number, a.state) for a in attempts.attempts(store, "run")] == [
        (1, "failed"),
        (2, "running"),
    ]
    assert second.holder == holders.this_process()


def test_a_run_that_is_being_run_is_refused_with_its_process(store):
    attempts.begin(store, "run")
    with pytest.raises(RunError) as caught:
        attempts.begin(store, "run")
    assert f"run run is being run by process {os.getpid()} on " in str(caught.value)
    assert "Wait for its end, or stop that process first" in str(caught.value)


def test_a_renewed_lease_ends_later(store):
    attempt = attempts.begin(store, "run")
    assert turns.renew(store, attempt)
    [renewed] = attempts.attempts(store, "run")
    assert renewed.until > attempt.until


def test_an_attempt_that_was_taken_for_abandoned_is_not_renewed_and_keeps_that_state(store):
    attempt = attempts.begin(store, "run")
    turns.end(store, attempt, ABANDONED)
    assert not turns.renew(store, attempt)
    turns.end(store, attempt, "done")
    assert [a.state for a in attempts.attempts(store, "run")] == [ABANDONED]


def test_an_attempt_is_lost_when_there_is_a_later_one_even_if_its_mark_was_overwritten(store):
    attempt = attempts.begin(store, "run")
    turns.end(store, attempt, ABANDONED)
    attempts.begin(store, "run")
    # What a renewal does that had read the state just before the mark.
    context = store.get_context_by_type_and_name(attempts.ATTEMPT_CONTEXT, "run/1")
    context.custom_properties["state"].string_value = RUNNING
    store.put_contexts([context])
    assert not turns.renew(store, attempt)


def test_of_processes_that_resume_at_once_exactly_one_wins(tmp_path, store):
    turns.end(store, attempts.begin(store, "run"), "failed")
    context = multiprocessing.get_context("spawn")
    ready, go, answers = context.Semaphore(0), context.Event(), context.Queue()
    path = str(tmp_path / "metadata.sqlite")
    racers = [
        context.Process(target=attempts_at_once.begin_when_told, args=(path, ready, go, answers))
        for _ in range(4)
    ]
    for racer in racers:
        racer.start()
    for _ in racers:
        assert ready.acquire(timeout=60)
    go.set()
    answered = [answers.get(timeout=60) for _ in racers]
    for racer in racers:
        racer.join(timeout=60)
    assert [answer for answer in answered if answer[0] == "begun"] == [("begun", 2)]
    assert all("is being run by process" in text for kind, text in answered if kind == "refused")


@pytest.fixture
def abandoned(tmp_path, metadata):
    """A run with a node under way, of a process that is gone."""
    history = History(metadata.store, tmp_path / "root")
    history.execute("run", "done")
    history.execute("run", "half", state="running")
    attempt = attempts.begin(metadata.store, "run")
    _change_holder(metadata.store, replace(attempt.holder, born=1))
    return attempt


def _change_holder(store, holder: Holder) -> None:
    context = store.get_context_by_type_and_name(attempts.ATTEMPT_CONTEXT, "run/1")
    context.custom_properties["holder"].string_value = json.dumps(vars(holder))
    store.put_contexts([context])


def test_marking_ends_what_was_running_and_tells_of_whom(metadata, abandoned):
    assert mark_abandoned(metadata) == ["run"]
    done, half = sorted(metadata.store.get_executions(), key=lambda e: e.id)
    assert (done.last_known_state, half.last_known_state) == (done.COMPLETE, half.FAILED)
    told = half.custom_properties["__execution_result__"].string_value
    assert f"process {os.getpid()} on " in told
    assert "ended without saying so" in told


def test_marking_twice_finds_nothing_the_second_time(metadata, abandoned):
    mark_abandoned(metadata)
    assert mark_abandoned(metadata) == []


def test_marking_that_was_killed_in_the_middle_goes_on(metadata, abandoned, monkeypatch):
    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(turns, "end", die)
        with pytest.raises(Killed):
            mark_abandoned(metadata)
    assert mark_abandoned(metadata) == ["run"]


def test_an_abandoned_run_must_be_marked_before_it_can_be_begun(metadata, abandoned):
    with pytest.raises(RunError, match="is being run by process"):
        attempts.begin(metadata.store, "run")
    mark_abandoned(metadata)
    assert attempts.begin(metadata.store, "run").number == 2


def test_a_run_that_recorded_its_end_keeps_its_state_though_its_attempt_did_not(
    metadata, abandoned
):
    context = metadata.store.get_context_by_type_and_name("pipeline_run", "run")
    context.custom_properties["state"].string_value = "done"
    metadata.store.put_contexts([context])
    mark_abandoned(metadata)
    context = metadata.store.get_context_by_type_and_name("pipeline_run", "run")
    assert run_state(context) == "done"


def test_what_this_process_gave_up_is_abandoned_and_what_it_is_at_is_not(metadata):
    given_up, going_on = (attempts.begin(metadata.store, name) for name in ("one", "two"))
    with pytest.raises(OSError, match="away"), turns.in_hand(given_up):
        raise OSError("away")
    assert given_up.is_abandoned()
    assert not going_on.is_abandoned()
    assert mark_abandoned(metadata) == ["one"]


def test_what_another_process_has_is_not_given_up_with_one_of_its_name(sleeper, store):
    attempt = attempts.begin(store, "one")
    with pytest.raises(OSError, match="away"), turns.in_hand(attempt):
        raise OSError("away")
    assert not replace(attempt, holder=holder_of(sleeper)).is_abandoned()


def test_what_was_given_up_and_is_begun_again_is_not_abandoned(tmp_path, store):
    with pytest.raises(OSError, match="away"), turns.in_hand(attempts.begin(store, "again")):
        raise OSError("away")
    with connect(connection_config(str(tmp_path / "other.sqlite"))) as other:
        assert not attempts.begin(other.store, "again").is_abandoned()
