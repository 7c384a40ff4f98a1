"""Kinds of pipelines that TFX's compiler knows and `@pipeline` does not make."""

from __future__ import annotations

import pytest

from penstock import LocalRunner, _tfx
from penstock.errors import PipelineError
from penstock.metadata.runs import list_runs
from penstock.metadata.store import connect, connection_config
from penstock_support import example_components as examples

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
