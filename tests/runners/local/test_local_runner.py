from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from penstock import LocalRunner, pipeline
from penstock._tfx import metadata_store_pb2
from penstock.components import LatestArtifact
from penstock.errors import ParameterError, StoreError
from penstock.metadata import turns
from penstock.metadata.attempts import Attempt
from penstock.runners.local import RunFailed, State
from penstock.runners.local.display import NodeView, PlainLines, Silent
from penstock_support import IMPORT_PATH
from penstock_support import example_components as examples

States = metadata_store_pb2.Execution


def only_file(folder: str) -> str:
    [path] = Path(folder).iterdir()
    return path.read_text()


def execution_states(store) -> dict[str, int]:
    types = {t.id: t.name.rpartition(".")[2] for t in store.get_execution_types()}
    return {types[e.type_id]: e.last_known_state for e in store.get_executions()}


@pytest.fixture
def trained(run_pipeline):
    return run_pipeline(examples.training, rows=5, steps=9, verbose=True)


def test_a_pipeline_runs_to_its_end(trained):
    assert trained.succeeded
    assert [n.state for n in trained.nodes.values()] == [State.DONE] * 3


def test_parameters_reach_the_bodies_with_their_types(trained):
    text = only_file(trained.output("TrainModel", "model").uri)
    assert text == ("5 TrainArgs(num_steps=9, splits=['train']) Mode.FAST 0.25 True None")


def test_results_become_value_artifacts(trained):
    artifact = trained.output("TrainModel", "accuracy")
    artifact.read()
    assert artifact.value == 0.5


def test_a_result_reaches_the_parameter_that_it_is_wired_to(trained):
    artifact = trained.output("Report", "output")
    artifact.read()
    assert artifact.value == f"0.5 of {trained.output('TrainModel', 'model').uri}"


def test_artifacts_stand_where_tfx_puts_them(trained, tmp_path):
    execution = trained.nodes["TrainModel"].execution_id
    expected = tmp_path / "root" / "TrainModel" / "model" / str(execution)
    assert trained.output("TrainModel", "model").uri == str(expected)


def test_an_unknown_node_of_a_result_is_answered_with_the_nearest(trained):
    with pytest.raises(Exception, match="no node 'TrainModle'. Did you mean 'TrainModel'"):
        trained.outputs("TrainModle")


def test_the_same_again_is_cached(run_pipeline, trained):
    again = run_pipeline(examples.training, rows=5, steps=9, verbose=True)
    assert [n.state for n in again.nodes.values()] == [State.CACHED] * 3
    assert again.output("Report", "output").id == trained.output("Report", "output").id


def test_a_changed_parameter_runs_its_node_and_what_follows(run_pipeline, trained):
    again = run_pipeline(examples.training, rows=5, steps=10, verbose=True)
    assert [n.state for n in again.nodes.values()] == [State.CACHED, State.DONE, State.DONE]


def test_the_cache_can_be_left_aside(run_pipeline, trained):
    again = run_pipeline(examples.training, rows=5, steps=9, verbose=True, cache=False)
    assert [n.state for n in again.nodes.values()] == [State.DONE] * 3


@pytest.mark.parametrize(("hours", "state"), [(1, State.CACHED), (3, State.DONE)])
def test_what_is_older_than_a_node_takes_is_made_again(run_pipeline, monkeypatch, hours, state):
    @pipeline
    def fresh():
        return examples.MakeExamples(rows=1, names=["a"]).with_options(cache="2h")

    run_pipeline(fresh)
    run_pipeline(fresh)
    later = SimpleNamespace(time=lambda: time.time() + 3600 * hours)
    monkeypatch.setattr("penstock.execution.cache.time", later)
    assert run_pipeline(fresh).nodes["MakeExamples"].state is state


def test_how_old_what_is_cached_may_be_is_an_interval():
    node = examples.MakeExamples(rows=1, names=["a"])
    with pytest.raises(ParameterError, match="True, False or how old .*: expected an interval"):
        node.with_options(cache="2 hours")


def test_cached_outputs_that_are_gone_are_made_again(run_pipeline, trained, tmp_path):
    Path(trained.output("TrainModel", "model").uri).rename(tmp_path / "elsewhere")
    again = run_pipeline(examples.training, rows=5, steps=9, verbose=True)
    assert again.nodes["TrainModel"].state is State.DONE


def test_an_unknown_parameter_stops_before_anything_runs(run_pipeline, tmp_path):
    with pytest.raises(ParameterError, match="no parameter 'row'"):
        run_pipeline(examples.training, row=5)
    assert not (tmp_path / "metadata.sqlite").exists()


def test_independent_nodes_work_at_the_same_time(run_pipeline, tmp_path):
    @pipeline
    def meeting():
        place = str(tmp_path)
        left = examples.Meets(meeting_place=place, me="left", other="right").with_id("left")
        right = examples.Meets(meeting_place=place, me="right", other="left").with_id("right")
        return [left, right]

    assert run_pipeline(meeting, parallelism=2).succeeded


@pipeline
def partly_failing():
    failing = examples.Fails().with_id("failing")
    after = examples.After(model=failing.outputs["model"]).with_id("after")
    beside = examples.Doubling().with_id("beside")
    return [failing, after, beside]


@pytest.fixture
def failed(run_pipeline):
    return run_pipeline(partly_failing)


def test_a_failed_node_stops_only_what_depends_on_it(failed):
    assert {name: node.state for name, node in failed.nodes.items()} == {
        "failing": State.FAILED,
        "after": State.SKIPPED,
        "beside": State.DONE,
    }


def test_a_failure_is_told_with_its_error_and_what_was_skipped_with_its_reason(failed):
    headline, _, lines = failed.nodes["failing"].error.partition("\n")
    assert headline.startswith("ValueError: no such luck (")
    assert "example_components.py" in headline
    assert lines.endswith("raise ValueError(message)")
    assert failed.nodes["after"].error == "failing failed"


def test_a_node_s_log_has_what_it_printed_and_its_traceback(failed):
    log = Path(failed.nodes["failing"].log_path).read_text()
    assert "something to read in the log" in log
    assert "raise ValueError(message)" in log


def test_a_failed_node_leaves_nothing_half_written(failed, tmp_path):
    assert not list((tmp_path / "root").rglob("half"))


def test_a_failure_is_recorded_in_the_store(failed, store):
    assert execution_states(store) == {"Fails": States.FAILED, "Doubling": States.COMPLETE}


def test_a_failed_run_raises_with_its_result(tmp_path):
    runner = LocalRunner(
        pipeline_root=str(tmp_path), metadata=str(tmp_path / "db"), display=Silent()
    )
    with pytest.raises(RunFailed, match="node failing failed: ValueError: no such luck") as caught:
        runner.run(partly_failing)
    assert caught.value.result.state is State.FAILED


def test_a_killed_worker_fails_its_node_and_leaves_nothing(run_pipeline, store, tmp_path):
    @pipeline
    def doomed():
        return examples.KillsItself()

    result = run_pipeline(doomed)
    assert "killed by SIGKILL" in result.nodes["KillsItself"].error
    assert not list((tmp_path / "root").rglob("half"))
    assert execution_states(store) == {"KillsItself": States.FAILED}


SCRIPT = """
import sys
sys.path[:0] = {paths!r}
from penstock_support import example_components as examples
from penstock import LocalRunner, pipeline

@pipeline
def endless():
    waiting = examples.WaitsForever(started={started!r})
    return examples.After(model=waiting.outputs["model"])

if __name__ == "__main__":
    runner = LocalRunner(pipeline_root={root!r}, metadata={metadata!r})
    result = runner.run(endless, raise_on_failure=False)
    print(result.state.value, *(node.state.value for node in result.nodes.values()))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_recorded_as_canceled_and_leaves_nothing(number, tmp_path, request):
    started = tmp_path / "started"
    script = tmp_path / "script.py"
    script.write_text(
        SCRIPT.format(
            paths=[IMPORT_PATH],
            started=str(started),
            root=str(tmp_path / "root"),
            metadata=str(tmp_path / "metadata.sqlite"),
        )
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(script)], stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not started.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert output.split() == ["canceled", "canceled", "skipped"]
    assert not list((tmp_path / "root").rglob("half"))
    store = request.getfixturevalue("store")
    assert execution_states(store) == {"WaitsForever": States.CANCELED}


def test_resolved_parameters_reach_the_body_and_the_store(run_pipeline, store):
    @pipeline
    def doubling(base: int = 4):
        return examples.Doubling(base=base)

    result = run_pipeline(doubling)
    assert only_file(result.output("Doubling", "model").uri) == "4 8 {'base': 4}"
    [execution] = store.get_executions()
    assert execution.custom_properties["doubled"].int_value == 8


def test_a_body_learns_its_node_and_its_progress_is_shown(tmp_path):
    views: list[NodeView] = []

    class Watching(Silent):
        def changed(self, node):
            views.append(node)

    @pipeline
    def described():
        return examples.Describes().with_id("me")

    runner = LocalRunner(
        pipeline_root=str(tmp_path), metadata=str(tmp_path / "db"), display=Watching()
    )
    result = runner.run(described)
    artifact = result.output("me", "output")
    artifact.read()
    assert artifact.value == "described/me/1"
    assert views[-1].counts == {"rows": 7}


def test_beam_arguments_of_the_runner_and_the_node_reach_the_body(tmp_path):
    @pipeline
    def beamy():
        return examples.UsesBeam().with_beam_pipeline_args(["--own=1"])

    runner = LocalRunner(
        pipeline_root=str(tmp_path),
        metadata=str(tmp_path / "db"),
        beam_args=("--runner=DirectRunner",),
        display=Silent(),
    )
    artifact = runner.run(beamy).output("UsesBeam", "output")
    artifact.read()
    assert artifact.value == "--runner=DirectRunner --own=1"


def test_the_latest_artifact_is_the_last_run_s_not_this_one_s(run_pipeline):
    @pipeline
    def remembering(base: int = 1):
        made = examples.Doubling(base=base)
        last = LatestArtifact(made.outputs["model"]).with_id("last")
        return [examples.Join(models=last.outputs["model"]), made]

    first = run_pipeline(remembering, base=1)
    second = run_pipeline(remembering, base=2)
    artifact = second.output("Join", "output")
    artifact.read()
    assert artifact.value == [first.output("Doubling", "model").uri]


def test_plain_lines_have_a_line_for_every_change(capsys):
    lines = PlainLines(sys.stdout)
    node = NodeView("Trainer")
    lines.start("flights  run 1", {"Trainer": node})
    node.state, node.seconds, node.counts = State.DONE, 3.21, {"steps": 1000}
    lines.changed(node)
    assert capsys.readouterr().out.splitlines() == [
        "flights  run 1",
        "Trainer  done      3.2 s  1,000 steps",
    ]


@pytest.mark.parametrize(("rows", "state"), [(5, State.DONE), (1, State.SKIPPED)])
def test_tfx_s_conditions_decide_whether_nodes_run(run_pipeline, rows, state):
    from tfx.dsl.experimental.conditionals.conditional import Cond

    @pipeline
    def conditional(rows: int = 3):
        made = examples.MakeExamples(rows=rows)
        with Cond(made.outputs["output"].future()[0].value > 2):
            trained = examples.TrainModel(examples=made.outputs["examples"])
        return [trained, examples.After(model=trained.outputs["model"])]

    result = run_pipeline(conditional, rows=rows)
    assert result.succeeded
    assert {name: node.state for name, node in result.nodes.items()} == {
        "MakeExamples": State.DONE,
        "TrainModel": state,
        "After": state,
    }


def test_an_importer_brings_in_what_is_there_already(run_pipeline, tmp_path):
    from penstock._tfx import Importer
    from penstock.artifacts import Model

    (tmp_path / "model").mkdir()

    @pipeline
    def importing():
        model = Importer(source_uri=str(tmp_path / "model"), artifact_type=Model)
        return examples.Join(models=model.outputs["result"])

    result = run_pipeline(importing)
    artifact = result.output("Join", "output")
    artifact.read()
    assert artifact.value == [str(tmp_path / "model")]
    assert result.output("Importer", "result").id


def test_a_tfx_pipeline_keeps_its_own_root_and_store(tmp_path):
    from penstock import _tfx

    made = examples.MakeExamples(rows=2)
    classic = _tfx.Pipeline(
        pipeline_name="classic",
        pipeline_root=str(tmp_path / "own_root"),
        metadata_connection_config=_tfx.metadata.sqlite_metadata_connection_config(
            str(tmp_path / "own.db")
        ),
        components=[made],
    )
    result = LocalRunner(display=Silent()).run(classic)
    assert result.output("MakeExamples", "examples").uri.startswith(str(tmp_path / "own_root"))
    assert (tmp_path / "own.db").exists()


@pytest.fixture
def unwritable_store(monkeypatch) -> Iterator[StoreError]:
    """A store that cannot be written whenever a run says that it is alive."""
    error = StoreError("the metadata store failed: disk I/O error")

    def refuse(store: Any, attempt: Attempt) -> bool:
        refused.append(attempt)
        raise error

    refused: list[Attempt] = []
    monkeypatch.setattr(turns, "RENEWAL_SECONDS", 0.0)
    monkeypatch.setattr(turns, "renew", refuse)
    yield error
    assert refused


def test_a_run_goes_on_while_its_lease_cannot_be_renewed_but_lasts(run_pipeline, unwritable_store):
    assert run_pipeline(examples.training).succeeded


def test_a_run_whose_lease_ended_before_it_could_be_renewed_ends(
    run_pipeline, unwritable_store, monkeypatch
):
    monkeypatch.setattr(turns, "TERM_SECONDS", -1.0)
    with pytest.raises(StoreError) as raised:
        run_pipeline(examples.training)
    assert raised.value is unwritable_store


def test_a_module_that_breaks_while_it_is_preloaded_fails_only_who_imports_it(run_pipeline):
    @pipeline
    def preloading():
        return [
            examples.PreloadsBroken().with_id("needs"),
            examples.PreloadsBroken(wanted=False).with_id("does_not"),
        ]

    nodes = run_pipeline(preloading).nodes
    assert nodes["does_not"].state is State.DONE
    assert "RuntimeError: this module is broken" in str(nodes["needs"].error)
