"""What becomes of a node when publishing it fails half-way."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock._tfx import metadata_store_pb2
from penstock.execution.schedule import State
from penstock.metadata import attempts
from penstock.metadata.runs import find_run
from penstock.metadata.store import connect, connection_config
from penstock.testing import Step
from penstock_support import crash_components as crashing
from penstock_support.resuming_components import OnlyHere

States = metadata_store_pb2.Execution


class RaisesAt:
    """Raises an error when a node takes a step."""

    def __init__(self, step: Step, node_id: str, error: Exception) -> None:
        self.where, self.error = (step, node_id), error

    def __call__(self, step: Step, node_id: str) -> None:
        if (step, node_id) == self.where:
            raise self.error


def run(folder: Path, error: Exception, step: Step = Step.MOVED):
    runner = crashing.runner_in(folder, on_step=OnlyHere(RaisesAt(step, "Trains", error)))
    parameters = {"serving": str(folder / "serving")}
    return runner.run(crashing.pushing, parameters=parameters, raise_on_failure=False)


def written_by(folder: Path, node_id: str) -> list[Path]:
    """Return the folders of executions of a node, published or staged."""
    return [path for path in (folder / "root" / node_id).rglob("*") if path.name.isdigit()]


def executions(folder: Path) -> list[int]:
    with connect(connection_config(str(folder / "metadata.sqlite"))) as metadata:
        return [execution.last_known_state for execution in metadata.store.get_executions()]


def test_an_output_that_cannot_be_moved_fails_the_node_and_takes_the_others_back(tmp_path):
    result = run(tmp_path, OSError(5, "the disk is broken"))
    assert result.nodes["Trains"].state is State.FAILED
    assert "the disk is broken" in result.nodes["Trains"].error
    assert written_by(tmp_path, "Trains") == []
    assert executions(tmp_path) == [States.COMPLETE, States.FAILED]


@pytest.mark.parametrize("step", [Step.REGISTERED, Step.STAGED, Step.REPORTED, Step.MOVED])
def test_an_unexpected_error_ends_the_run_and_leaves_nothing_running(tmp_path, step):
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, ZeroDivisionError("of ours"), step)
    assert written_by(tmp_path, "Trains") == []
    assert executions(tmp_path) == [States.COMPLETE, States.FAILED]
    with connect(connection_config(str(tmp_path / "metadata.sqlite"))) as metadata:
        latest = find_run(metadata.store, "latest")
        assert latest.state == "failed"
        found = attempts.attempts(metadata.store, latest.run_id)
        assert [attempt.state for attempt in found] == ["failed"]


def test_a_run_that_ended_in_an_error_after_a_node_was_recorded_keeps_that_node(tmp_path):
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, ZeroDivisionError("of ours"), Step.RECORDED)
    assert executions(tmp_path) == [States.COMPLETE, States.COMPLETE]
    assert not list((tmp_path / "root" / "Trains" / ".system").glob("*/*"))
    assert crashing.runner_in(tmp_path).resume(crashing.pushing).succeeded
