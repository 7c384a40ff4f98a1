"""How many runs of a pipeline are under way at once in one store, whoever starts them."""

from __future__ import annotations

import json
import signal
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock import LocalRunner, RunLimit
from penstock.metadata import attempts, leases
from penstock.metadata.holders import Holder
from penstock.metadata.runs import list_runs
from penstock.metadata.store import connect, connection_config
from penstock.runners.local import LimitReached
from penstock.runners.local.display import Silent
from penstock.runners.local.limiting import UnderWay, Verdict, decide, reached, read_under_way
from penstock_support import limited_components as limited
from penstock_support.processes import Family, wait_until

pytestmark = pytest.mark.core

NAMES = st.frozensets(st.sampled_from("abcdef"))


@settings(deadline=None)
@given(st.integers(1, 4), st.sampled_from(["wait", "refuse"]), NAMES, NAMES)
def test_a_run_begins_only_where_there_is_certainly_room(most, when_reached, runs, unknown):
    verdict = decide(RunLimit(most, when_reached), UnderWay(runs, unknown))
    assert (verdict is Verdict.BEGIN) == (len(runs | unknown) < most)


@settings(deadline=None)
@given(st.integers(1, 4), NAMES, NAMES)
def test_a_run_is_refused_only_where_there_is_certainly_none(most, runs, unknown):
    verdict = decide(RunLimit(most, "refuse"), UnderWay(runs, unknown))
    assert (verdict is Verdict.REFUSE) == (len(runs) >= most)


@settings(deadline=None)
@given(st.integers(1, 4), NAMES, NAMES)
def test_a_run_that_waits_is_never_refused(most, runs, unknown):
    assert decide(RunLimit(most, "wait"), UnderWay(runs, unknown)) is not Verdict.REFUSE


class Heard(Silent):
    """Keeps what is said of waiting to begin, and tells that something was."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.waits = threading.Event()

    def queued(self, reason: str) -> None:
        self.said.append(reason)
        self.waits.set()


@pytest.fixture
def path(tmp_path) -> str:
    return str(tmp_path / "metadata.sqlite")


def family(path: str, folder: Path, run_id: str, limit: int = 1) -> Family:
    return Family(limited.__file__, ("waits", path, str(folder), run_id, str(limit)))


@contextmanager
def under_way(path: str, folder: Path, run_id: str):
    """A run that another process works on, and which ends when this does."""
    started = family(path, folder, run_id)
    process = started.start()
    try:
        wait_until((folder / "begun").exists)
        yield process
    finally:
        (folder / "go").touch()
        process.communicate(timeout=60)


def kill_a_run(path: str, folder: Path, run_id: str) -> None:
    """Kill a process while it works on a run."""
    process = family(path, folder, run_id).start()
    wait_until((folder / "begun").exists)
    process.kill()
    process.communicate(timeout=60)
    (folder / "begun").unlink()


def runner(path: str, folder: Path, limit: RunLimit | None, **options) -> LocalRunner:
    return LocalRunner(
        **{"display": Silent(), **options},
        pipeline_root=str(folder / "root"),
        metadata=path,
        limit=limit,
    )


def names(path: str) -> list[str]:
    with connect(connection_config(path)) as metadata:
        return [run.run_id for run in list_runs(metadata.store)]


@pytest.mark.parametrize("limit", [1, 2])
def test_processes_that_start_at_once_never_exceed_the_limit(path, tmp_path, limit):
    with connect(connection_config(path)):
        pass
    started = Family(limited.__file__, ("counts", path, str(tmp_path), "4", str(limit))).start()
    out, errors = started.communicate(timeout=180)
    assert started.returncode == 0, errors
    assert [state for _, state in json.loads(out)] == ["done"] * 4
    counted = limited.counted(tmp_path)
    assert len(counted) == 4
    assert max(counted) <= limit


def test_a_run_says_for_which_run_it_waits_and_begins_when_that_has_ended(path, tmp_path):
    display = Heard()
    with under_way(path, tmp_path, "first"):

        def let_go() -> None:
            display.waits.wait(60)
            (tmp_path / "go").touch()

        thread = threading.Thread(target=let_go)
        thread.start()
        result = runner(path, tmp_path, RunLimit(1), display=display).run(
            limited.counting, parameters={"folder": str(tmp_path)}
        )
        thread.join()
    assert result.succeeded
    assert display.said == ["run first is under way, and 1 of limited may be at once"]


def test_a_run_that_is_refused_names_those_that_are_under_way_and_leaves_nothing(path, tmp_path):
    with under_way(path, tmp_path, "first"):
        with pytest.raises(LimitReached, match="run first is under way, and 1 of limited") as told:
            runner(path, tmp_path, RunLimit(1, "refuse")).run(limited.counting)
        assert told.value.runs == ("first",)
        assert names(path) == ["first"]


def test_a_run_without_a_limit_begins(path, tmp_path):
    with under_way(path, tmp_path, "first"):
        parameters = {"folder": str(tmp_path)}
        assert runner(path, tmp_path, None).run(limited.counting, parameters=parameters).succeeded


def test_runs_of_other_pipelines_do_not_count(path, tmp_path):
    with under_way(path, tmp_path, "first"), connect(connection_config(path)) as metadata:
        assert read_under_way(metadata.store, "limited", "").runs == {"first"}
        assert read_under_way(metadata.store, "another", "") == UnderWay()


def test_a_run_of_which_nothing_is_recorded_yet_may_be_one_of_the_pipeline(path):
    with connect(connection_config(path)) as metadata:
        attempts.begin(metadata.store, "begun")
        assert read_under_way(metadata.store, "limited", "").unknown == {"begun"}


def test_a_run_that_was_killed_gives_its_place_back(path, tmp_path):
    kill_a_run(path, tmp_path, "killed")
    display = Heard()
    result = runner(path, tmp_path, RunLimit(1), display=display).run(
        limited.counting, parameters={"folder": str(tmp_path)}
    )
    assert result.succeeded
    assert display.said == []
    assert names(path) == [result.run_id, "killed"]


def test_on_another_machine_its_place_is_free_when_its_lease_has_run_out(
    path, tmp_path, monkeypatch
):
    with under_way(path, tmp_path, "first"), connect(connection_config(path)) as metadata:
        monkeypatch.setattr(Holder, "is_alive", lambda _: None)
        assert read_under_way(metadata.store, "limited", "").runs == {"first"}
        with monkeypatch.context() as later:
            later.setattr("penstock.metadata.turns.time.time", lambda: 1e12)
            assert read_under_way(metadata.store, "limited", "").runs == frozenset()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_waits_can_be_ended_and_leaves_nothing(path, tmp_path, number):
    with under_way(path, tmp_path, "first"):
        waiting = family(path, tmp_path, "second")
        process = waiting.start()
        assert process.stderr is not None
        assert process.stderr.readline() == (
            "waiting to begin: run first is under way, and 1 of limited may be at once\n"
        )
        process.send_signal(number)
        process.communicate(timeout=60)
        assert process.returncode != 0
        waiting.wait_for_its_end()
        assert names(path) == ["first"]


def test_going_on_with_a_run_asks_for_a_place_too(path, tmp_path):
    kill_a_run(path, tmp_path, "killed")
    with (
        under_way(path, tmp_path, "other"),
        pytest.raises(LimitReached, match="run other is under way"),
    ):
        runner(path, tmp_path, RunLimit(1, "refuse")).resume(limited.waiting, "killed")
    assert runner(path, tmp_path, RunLimit(1)).resume(limited.waiting, "killed").succeeded


def test_who_lost_the_lease_meanwhile_gives_the_place_back_and_asks_again(
    path, tmp_path, monkeypatch
):
    answers = iter([False, True])
    monkeypatch.setattr(leases.Lease, "is_ours", lambda *_: next(answers))
    result = runner(path, tmp_path, RunLimit(1)).run(
        limited.counting, parameters={"folder": str(tmp_path)}
    )
    with connect(connection_config(path)) as metadata:
        found = attempts.attempts(metadata.store, result.run_id)
    assert [attempt.state for attempt in found] == ["withdrawn", "done"]


def begun(folder: Path) -> list[str]:
    """Return the runs in the order in which they have begun."""
    return (folder / "order").read_text().split() if (folder / "order").exists() else []


def waits_in_order(path: str, folder: Path, run_id: str):
    """Start a process whose run waits to begin; return it once it says so."""
    started = Family(limited.__file__, ("orders", path, str(folder), run_id, "1"))
    process = started.start()
    assert process.stderr is not None
    assert process.stderr.readline().startswith("waiting to begin: run first is under way")
    return started, process


def test_of_several_that_wait_the_first_begins_first(path, tmp_path):
    with under_way(path, tmp_path, "first"):
        waiting = [waits_in_order(path, tmp_path, name) for name in ("c", "a", "b")]
    for _, process in waiting:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert begun(tmp_path) == ["c", "a", "b"]


def test_nobody_waits_for_one_that_was_killed_while_it_waited(path, tmp_path):
    with under_way(path, tmp_path, "first"):
        (_, killed), (_, second) = (waits_in_order(path, tmp_path, name) for name in ("a", "b"))
        killed.kill()
        killed.communicate(timeout=60)
    second.communicate(timeout=120)
    assert begun(tmp_path) == ["b"]


def test_a_run_that_comes_while_another_waits_does_not_overtake_it():
    assert decide(RunLimit(1), UnderWay(ahead=1)) is Verdict.WAIT
    assert decide(RunLimit(1, "refuse"), UnderWay(ahead=1)) is Verdict.ASK_AGAIN
    assert decide(RunLimit(2), UnderWay(ahead=1)) is Verdict.BEGIN


def test_a_run_that_waits_says_how_many_came_before():
    others = UnderWay(frozenset(["first"]), ahead=2)
    told = "run first is under way, 2 others wait that came before, and 1 of flights may be at once"
    assert reached("flights", RunLimit(1), others) == told
