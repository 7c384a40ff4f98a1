"""Kinds of pipelines that TFX's compiler knows and `@pipeline` does not make."""

from __future__ import annotations

import pytest

from penstock import ForEach, LocalRunner, _tfx
from penstock.errors import PipelineError
from penstock.metadata.runs import list_runs
from penstock.metadata.store import connect, connection_config
from penstock_support import example_components as examples
from penstock_support.nested_pipelines import making, nested
from penstock_support.tfx_loops import over_the_latest, over_two_nodes

pytestmark = pytest.mark.core


@pytest.fixture
def runner(tmp_path):
    return LocalRunner(
        pipeline_root=str(tmp_path / "root"), metadata=str(tmp_path / "metadata.sqlite")
    )


@pytest.fixture
def asynchronous(tmp_path):
    from tfx.orchestration.pipeline import ExecutionMode

    made = examples.MakeExamples(rows=2)
    made.outputs["examples"].additional_properties["span"] = 3
    made.outputs["examples"].additional_custom_properties["owner"] = "me"
    trained = examples.TrainModel(examples=made.outputs["examples"])
    return _tfx.Pipeline(
        pipeline_name="asynchronous",
        pipeline_root=str(tmp_path / "root"),
        components=[made, trained],
        execution_mode=ExecutionMode.ASYNC,
    )


def test_an_asynchronous_pipeline_has_runs_like_others(runner, asynchronous, tmp_path):
    result = runner.run(asynchronous)
    with connect(connection_config(str(tmp_path / "metadata.sqlite"))) as metadata:
        [listed] = list_runs(metadata.store)
    assert (listed.run_id, listed.state) == (result.run_id, "done")


def test_outputs_of_an_asynchronous_pipeline_have_the_properties_that_it_gives_them(
    runner, asynchronous
):
    [artifact] = runner.run(asynchronous).nodes["MakeExamples"].outputs["examples"]
    assert artifact.span == 3
    assert artifact.get_string_custom_property("owner") == "me"


def test_a_node_for_a_person_is_refused_before_anything_runs(runner, tmp_path):
    from tfx.dsl.components.common.manual_node import ManualNode

    pipeline = _tfx.Pipeline(
        pipeline_name="manual",
        pipeline_root=str(tmp_path / "root"),
        components=[ManualNode(description="look at it"), examples.MakeExamples(rows=2)],
    )
    with pytest.raises(PipelineError, match="node ManualNode has no executor: a ManualNode is"):
        runner.run(pipeline)
    assert not (tmp_path / "metadata.sqlite").exists()


def test_the_rest_of_a_pipeline_with_a_node_for_a_person_runs(runner, tmp_path):
    from tfx.dsl.components.common.manual_node import ManualNode

    pipeline = _tfx.Pipeline(
        pipeline_name="manual",
        pipeline_root=str(tmp_path / "root"),
        components=[ManualNode(description="look at it"), examples.MakeExamples(rows=2)],
    )
    assert runner.run(pipeline, only=["MakeExamples"]).succeeded


def states(result):
    return {name: node.state.value for name, node in result.nodes.items()}


def test_pipelines_in_a_pipeline_run_as_one(runner, tmp_path):
    result = runner.run(nested(str(tmp_path / "root")))
    assert set(states(result).values()) == {"done"}
    [model] = result.nodes["deciding.training.TrainModel"].outputs["model"]
    assert model.uri.startswith(str(tmp_path / "root" / "deciding.training.TrainModel" / "model"))
    [said] = result.nodes["Last"].outputs["output"]
    assert said.read() == f"{model.uri}: 0.2 of {model.uri}"


def test_a_pipeline_whose_condition_does_not_hold_is_skipped_with_who_takes_from_it(
    runner, tmp_path
):
    assert states(runner.run(nested(str(tmp_path / "root"), rows=1))) == {
        "making.MakeExamples": "done",
        "deciding.training.TrainModel": "skipped",
        "deciding.Report": "skipped",
        "Last": "skipped",
    }


def test_nodes_of_pipelines_in_a_pipeline_are_taken_from_the_cache(runner, tmp_path):
    runner.run(nested(str(tmp_path / "root")))
    assert states(runner.run(nested(str(tmp_path / "root")))) == {
        "making.MakeExamples": "done",  # it says that it is not
        "deciding.training.TrainModel": "done",  # nor do pipelines that do not say that they are
        "deciding.Report": "done",
        "Last": "done",
    }


def test_a_part_of_pipelines_in_a_pipeline_runs(runner, tmp_path):
    first = runner.run(nested(str(tmp_path / "root")))
    second = runner.run(
        nested(str(tmp_path / "root")), from_nodes=["deciding.Report"], base_run=first.run_id
    )
    assert second.nodes["deciding.Report"].state.value == "done"
    assert second.nodes["deciding.training.TrainModel"].state.value != "done"


def test_a_loop_goes_over_what_a_pipeline_in_the_pipeline_puts_out(runner, tmp_path):
    made = making(2)
    with ForEach(made.outputs["examples"]) as one:
        trained = examples.TrainModel(examples=one)
    outer = _tfx.Pipeline("outer", str(tmp_path / "root"), components=[made, trained])
    result = runner.run(outer)
    assert states(result) == {"making.MakeExamples": "done", "TrainModel.0": "done"}
    assert result.nodes["TrainModel.0"].outputs["accuracy"][0].read() == 0.2


def test_a_loop_of_tfx_s_runs_for_each_artifact(runner, tmp_path):
    result = runner.run(over_two_nodes(str(tmp_path / "root")))
    assert result.nodes["Read.1"].outputs["output"][0].read() == "b"
    assert result.nodes["Joined"].outputs["output"][0].read() == "a b"


def test_a_loop_of_tfx_s_over_what_a_resolver_finds_runs_for_each_artifact(runner, tmp_path):
    runner.run(over_two_nodes(str(tmp_path / "root")))
    result = runner.run(over_the_latest(str(tmp_path / "root"), 2))
    assert states(result) == {"latest": "done", "Read.0": "done", "Read.1": "done"}
