"""Going on with a run: after a failure, an interruption or a kill, and when it cannot be."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from penstock._tfx import metadata_store_pb2
from penstock.errors import RunError
from penstock.execution.recovery import mark_abandoned
from penstock.execution.schedule import State
from penstock.metadata import attempts, turns
from penstock.metadata.runs import find_run
from penstock.metadata.store import connect, connection_config
from penstock.surfaces.cli.summary import print_run
from penstock.testing import KillAt, Silent, Step
from penstock_support import resuming_components as resuming
from penstock_support.processes import Family, wait_until
from penstock_support.resuming_components import OnlyHere, runner_in, runs_of

States = metadata_store_pb2.Execution


def run(folder: Path, **options):
    parameters = {"folder": str(folder), **options.pop("parameters", {})}
    return runner_in(folder).run(
        resuming.three, parameters=parameters, raise_on_failure=False, **options
    )


def resume(folder: Path, run_id: str = "latest"):
    return runner_in(folder).resume(resuming.three, run_id, raise_on_failure=False)


def counts(folder: Path) -> tuple[int, ...]:
    return tuple(runs_of(folder, name) for name in ("First", "Second", "Third"))


def states(result) -> list[State]:
    return [node.state for node in result.nodes.values()]


def connected(folder: Path):
    return connect(connection_config(str(folder / "metadata.sqlite")))


@pytest.fixture
def failed(tmp_path):
    (tmp_path / "broken").touch()
    result = run(tmp_path, parameters={"rows": 5})
    assert states(result) == [State.DONE, State.FAILED, State.SKIPPED]
    (tmp_path / "broken").unlink()
    return result


@pytest.fixture
def resumed(failed, tmp_path):
    return resume(tmp_path)


def test_a_failed_run_goes_on_where_it_stood(resumed, tmp_path):
    assert states(resumed) == [State.DONE] * 3
    assert counts(tmp_path) == (1, 2, 1)


def test_it_stays_the_same_run_with_its_parameters_and_outputs(resumed, failed):
    assert resumed.run_id == failed.run_id
    assert resumed.parameters["rows"] == 5
    kept = [result.output("First", "model").id for result in (failed, resumed)]
    assert kept[0] == kept[1]
    measured = resumed.output("Third", "output")
    measured.read()
    assert measured.value == 10


def test_the_store_has_all_executions_in_one_run_that_is_done(resumed, tmp_path):
    with connected(tmp_path) as metadata:
        record = find_run(metadata.store, "latest")
    assert record.state == "done"
    assert [(node.node_id, node.state) for node in record.nodes] == [
        ("First", "done"),
        ("Second", "failed"),
        ("Second", "done"),
        ("Third", "done"),
    ]


def test_a_run_that_is_over_is_not_resumed(resumed, tmp_path):
    with pytest.raises(RunError) as caught:
        resume(tmp_path)
    assert f"run {resumed.run_id} has come to its end: there is nothing to resume" in str(
        caught.value
    )


def test_a_run_that_fails_again_is_resumed_again(failed, tmp_path):
    (tmp_path / "broken").touch()
    assert states(resume(tmp_path)) == [State.DONE, State.FAILED, State.SKIPPED]
    (tmp_path / "broken").unlink()
    assert resume(tmp_path).succeeded
    assert counts(tmp_path) == (1, 3, 1)


def test_an_unknown_run_is_named(failed, tmp_path):
    with pytest.raises(RunError, match="there is no run 'nonesuch'"):
        resume(tmp_path, "nonesuch")


def test_a_run_of_another_pipeline_is_refused(failed, tmp_path):
    with pytest.raises(RunError, match=f"run {failed.run_id} is one of pipeline three, not of oth"):
        runner_in(tmp_path).resume(resuming.other, failed.run_id)


def test_damaged_outputs_of_a_finished_node_are_refused_before_anything_runs(failed, tmp_path):
    Path(failed.output("First", "model").uri, "model").write_text("something else")
    with pytest.raises(RunError) as caught:
        resume(tmp_path)
    assert f"run {failed.run_id} cannot be resumed: of node First, " in str(caught.value)
    assert "was changed. Start a new run; what is intact comes from the cache." in str(caught.value)
    assert counts(tmp_path) == (1, 1, 0)


def test_outputs_that_are_gone_are_refused_with_their_path(failed, tmp_path):
    uri = failed.output("First", "model").uri
    shutil.rmtree(uri)
    with pytest.raises(RunError, match=f"of node First, {uri} is gone"):
        resume(tmp_path)


def test_the_options_of_the_run_are_kept(tmp_path):
    run(tmp_path)
    (tmp_path / "broken").touch()
    part = run(tmp_path, only=["Second"], cache=False)
    assert part.state is State.FAILED
    (tmp_path / "broken").unlink()
    result = resume(tmp_path)
    assert states(result) == [State.CACHED, State.DONE, State.SKIPPED]
    assert counts(tmp_path) == (1, 3, 1)


def test_the_run_that_lends_is_the_one_that_was_meant_when_the_run_began(tmp_path):
    first = run(tmp_path, parameters={"rows": 2})
    (tmp_path / "broken").touch()
    run(tmp_path, only=["Second"], cache=False, base_run="latest")
    (tmp_path / "broken").unlink()
    result = resume(tmp_path)
    assert result.output("First", "model").id == first.output("First", "model").id


CODE = """
from pathlib import Path
from penstock import Input, component, pipeline
from penstock.artifacts import Model
from penstock_support.resuming_components import First

@component
def Checks(model: Input[Model]) -> int:
    "Look at a model."
    {body}

@pipeline
def checked(folder: str = ""):
    "Make a model and look at it."
    first = First(folder=folder)
    return [first, Checks(model=first.outputs["model"])]
"""


def test_code_that_was_fixed_in_between_is_what_runs(tmp_path, monkeypatch):
    from penstock.config import read_config

    module = tmp_path / "checked_pipeline.py"
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("sys.dont_write_bytecode", True)

    def load(body: str):
        import sys

        module.write_text(CODE.format(body=body))
        sys.modules.pop("checked_pipeline", None)
        return read_config(None).load_pipeline(f"{module}:checked")

    broken = load("raise ValueError('a mistake')")
    parameters = {"folder": str(tmp_path)}
    first = runner_in(tmp_path).run(broken, parameters=parameters, raise_on_failure=False)
    assert first.nodes["Checks"].error.startswith("ValueError: a mistake")
    result = runner_in(tmp_path).resume(load("return 7"))
    value = result.output("Checks", "output")
    value.read()
    assert value.value == 7
    assert runs_of(tmp_path, "First") == 1


@pytest.fixture
def waiting(tmp_path, request):
    """A run in a process of its own whose second node waits."""
    (tmp_path / "waiting").touch()
    given = getattr(request, "param", "plain")
    family = Family(resuming.__file__, (str(tmp_path), given))
    process = family.start()
    wait_until(lambda: runs_of(tmp_path, "Second") == 1)
    yield family, process
    (tmp_path / "waiting").unlink(missing_ok=True)
    for process_id in family.alive():
        os.kill(process_id, signal.SIGKILL)
    process.communicate(timeout=60)


def test_a_run_that_is_under_way_is_refused_also_when_its_process_is_stopped(waiting, tmp_path):
    _, process = waiting
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    with connected(tmp_path) as metadata:
        assert mark_abandoned(metadata) == []
    with pytest.raises(RunError, match=f"is being run by process {process.pid} on "):
        resume(tmp_path)
    (tmp_path / "waiting").unlink()
    process.send_signal(signal.SIGCONT)
    output, _ = process.communicate(timeout=60)
    assert output == "done\n"


def test_a_canceled_run_is_resumed(waiting, tmp_path):
    _, process = waiting
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert output == "canceled\n"
    (tmp_path / "waiting").unlink()
    assert states(resume(tmp_path)) == [State.DONE] * 3
    assert counts(tmp_path) == (1, 2, 1)


# Work that knows secrets has a third kind of process, which writes its log.
@pytest.mark.parametrize("waiting", ["plain", "secret"], indirect=True)
def test_no_process_outlives_a_runner_that_is_killed_and_the_run_is_resumed(
    waiting, tmp_path, monkeypatch, request
):
    family, process = waiting
    secret = "[secret]" in request.node.name
    monkeypatch.setenv("RESUMING_TOKEN", "a-token-that-nobody-sees")
    # The runner, its nursery (and what Python starts with that), the worker.
    assert len(family.alive()) >= (4 if secret else 3)
    process.kill()
    family.wait_for_its_end()
    (tmp_path / "waiting").unlink()
    assert states(resume(tmp_path)) == [State.DONE] * 3
    assert counts(tmp_path) == (1, 2, 1)
    assert not list((tmp_path / "root").rglob("half"))


def test_no_process_outlives_a_runner_that_is_killed_before_its_nursery_is_ready(tmp_path):
    family = Family(resuming.__file__, (str(tmp_path),))
    process = family.start()
    wait_until(lambda: len(family.alive()) > 1)
    process.kill()
    family.wait_for_its_end()
    process.communicate(timeout=60)
    assert resume(tmp_path).succeeded


def test_workers_die_with_a_nursery_that_is_killed_and_their_node_fails(waiting, tmp_path):
    family, process = waiting
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert output == "failed\n"
    family.wait_for_its_end()
    with connected(tmp_path) as metadata:
        errors = [node.error for node in find_run(metadata.store, "latest").nodes]
    assert errors == ["", "the process that starts its workers was killed"]


def test_a_run_that_was_taken_for_abandoned_notices_and_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(turns, "RENEWAL_SECONDS", 0.0)

    def steal(step: Step, node_id: str) -> None:
        if (step, node_id) == (Step.STAGED, "Second"):
            with connected(tmp_path) as metadata:
                [attempt] = attempts.read_recent(metadata.store).running()
                turns.end(metadata.store, attempt, turns.ABANDONED)
                thief.append(attempts.begin(metadata.store, attempt.run_id))

    thief: list[attempts.Attempt] = []
    runner = runner_in(tmp_path, on_step=OnlyHere(steal))
    with pytest.raises(RunError, match="was taken for abandoned while this process was not heard"):
        runner.run(resuming.three, parameters={"folder": str(tmp_path)})
    with connected(tmp_path) as metadata:
        found = attempts.attempts(metadata.store, thief[0].run_id)
        assert [a.state for a in found] == ["abandoned", "running"]
        record = find_run(metadata.store, "latest")
        assert record.state == "running"
        assert {node.node_id for node in record.nodes} == {"First", "Second"}
        assert not list((tmp_path / "root" / "Second").glob("made/*"))


def test_executions_of_a_process_that_had_lost_the_run_are_ended_when_it_is_resumed(
    failed, tmp_path
):
    with connected(tmp_path) as metadata:
        record = find_run(metadata.store, "latest")
        [second] = metadata.store.get_executions_by_id([record.nodes[1].execution_id])
        second.last_known_state = States.RUNNING
        metadata.store.put_executions([second])
    half = tmp_path / "root" / "Second" / "made" / str(second.id)
    half.mkdir(parents=True)
    assert resume(tmp_path).succeeded
    assert not half.exists()
    with connected(tmp_path) as metadata:
        [second] = metadata.store.get_executions_by_id([second.id])
    assert second.last_known_state == States.FAILED
    assert "lost the run" in second.custom_properties["__execution_result__"].string_value


def test_a_run_is_cleaned_up_below_the_root_that_it_was_resumed_with(failed, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    runner = runner_in(
        tmp_path, pipeline_root=str(elsewhere), on_step=OnlyHere(Interrupt(Step.MOVED, "Second"))
    )
    with pytest.raises(KeyboardInterrupt):
        runner.resume(resuming.three)
    assert list(elsewhere.glob("Second/*/*/*")) == []


class Interrupt:
    """Raises at a step what nothing here expects."""

    def __init__(self, step: Step, node_id: str) -> None:
        self.where = (step, node_id)

    def __call__(self, step: Step, node_id: str) -> None:
        if (step, node_id) == self.where:
            raise KeyboardInterrupt


def test_a_run_that_was_killed_before_its_first_node_began_is_shown_and_resumed(tmp_path, capsys):
    runner = runner_in(tmp_path, display=Dies())
    with pytest.raises(Dies.Died):
        runner.run(resuming.three, parameters={"folder": str(tmp_path), "rows": 4})
    with connected(tmp_path) as metadata:
        print_run(find_run(metadata.store, "latest"), {}, {})
    assert "three  run 2" in capsys.readouterr().out
    result = resume(tmp_path)
    assert result.succeeded
    assert result.parameters["rows"] == 4


def test_what_a_failed_execution_left_is_removed_when_its_run_is_resumed(failed, tmp_path):
    # As when another machine, which cannot reach the root, marked the run abandoned.
    execution_id = failed.nodes["Second"].execution_id
    half = tmp_path / "root" / "Second" / "made" / str(execution_id)
    half.mkdir(parents=True)
    assert resume(tmp_path).succeeded
    assert not half.exists()


class Dies(Silent):
    """A display that fails when it begins."""

    class Died(Exception):
        pass

    def start(self, title, nodes):
        raise self.Died


def test_a_worker_that_is_killed_fails_its_node_alone(tmp_path):
    runner = runner_in(tmp_path, on_step=KillAt(Step.WORKED, "Second"))
    result = runner.run(
        resuming.three, parameters={"folder": str(tmp_path)}, raise_on_failure=False
    )
    assert "killed by SIGKILL" in result.nodes["Second"].error
    assert states(resume(tmp_path)) == [State.DONE] * 3


def test_a_run_can_be_named(tmp_path):
    assert run(tmp_path, run_id="span-7").run_id == "span-7"


def test_a_name_is_given_once(tmp_path):
    run(tmp_path, run_id="span-7")
    with pytest.raises(RunError, match=r"there is a run span-7 already\. Go on with it: penstock"):
        run(tmp_path, run_id="span-7")
    assert counts(tmp_path) == (1, 1, 1)


def test_a_refused_name_leaves_the_run_as_it_was(tmp_path):
    (tmp_path / "broken").touch()
    run(tmp_path, run_id="span-7")
    (tmp_path / "broken").unlink()
    with pytest.raises(RunError):
        run(tmp_path, run_id="span-7")
    assert states(resume(tmp_path, "span-7")) == [State.DONE] * 3
