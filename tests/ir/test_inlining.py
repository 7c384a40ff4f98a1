"""Pipelines in pipelines, as TFX's compiler writes them, become one pipeline of all their nodes."""

from __future__ import annotations

import pytest

from penstock import ForEach, _tfx
from penstock.errors import PipelineError
from penstock.ir.compiling import compile_pipeline
from penstock.ir.view import view
from penstock_support import example_components as examples
from penstock_support.nested_pipelines import making, nested, training

pytestmark = pytest.mark.core


@pytest.fixture
def nodes(tmp_path):
    return {node.id: node for node in view(compile_pipeline(nested(str(tmp_path))))}


def taken(node):
    """Return from which outputs a node takes each of its inputs, but those of conditions."""
    return {
        key: [(channel.producer_node_query.id, channel.output_key) for channel in spec.channels]
        for key, spec in node.proto.inputs.inputs.items()
        if not key.startswith("_")
    }


def test_each_node_has_the_name_of_its_pipeline_before_its_own(nodes):
    assert list(nodes) == [
        "making.MakeExamples",
        "deciding.training.TrainModel",
        "deciding.Report",
        "Last",
    ]


def test_a_node_takes_from_where_the_pipelines_around_it_take(nodes):
    assert taken(nodes["deciding.training.TrainModel"]) == {
        "examples": [("making.MakeExamples", "examples")]
    }


def test_a_node_takes_from_whom_a_pipeline_has_what_it_puts_out(nodes):
    assert taken(nodes["Last"])["model"] == [("deciding.training.TrainModel", "model")]


def test_a_condition_of_a_pipeline_is_one_of_each_of_its_nodes(nodes):
    conditions = {name: len(node.proto.inputs.conditionals) for name, node in nodes.items()}
    assert conditions == {
        "making.MakeExamples": 0,
        "deciding.training.TrainModel": 1,
        "deciding.Report": 1,
        "Last": 0,
    }


def test_all_nodes_are_of_the_outer_pipeline_and_its_run(nodes):
    for name, node in nodes.items():
        contexts = {c.type.name: c.name for c in node.proto.contexts.contexts}
        assert contexts["pipeline"].field_value.string_value == "outer"
        assert contexts["pipeline_run"].runtime_parameter.name == "pipeline-run-id"
        assert contexts["node"].field_value.string_value == f"outer.{name}"


def test_nodes_know_who_comes_before_and_after_them(nodes):
    last, train = nodes["Last"].proto, nodes["deciding.training.TrainModel"].proto
    assert list(last.upstream_nodes) == ["deciding.Report", "deciding.training.TrainModel"]
    assert list(train.upstream_nodes) == ["making.MakeExamples"]
    assert list(train.downstream_nodes) == ["deciding.Report", "Last"]


def test_options_of_a_node_in_a_pipeline_are_its_own(nodes):
    assert not nodes["making.MakeExamples"].is_cached
    assert nodes["Last"].is_cached


def test_a_node_that_is_told_to_wait_for_a_pipeline_waits_for_its_last_nodes(tmp_path):
    made = making(2)
    alone = examples.MakeExamples(rows=1).with_id("Alone")
    alone.add_upstream_node(made)
    outer = _tfx.Pipeline("outer", str(tmp_path), components=[made, alone])
    nodes = {node.id: node for node in view(compile_pipeline(outer))}
    assert list(nodes["Alone"].proto.upstream_nodes) == ["making.MakeExamples"]


def test_retries_of_a_pipeline_are_those_of_its_nodes(tmp_path):
    from tfx.dsl.experimental.node_execution_options.utils import NodeExecutionOptions

    made = making(2)
    made.node_execution_options = NodeExecutionOptions(max_execution_retries=3)
    outer = _tfx.Pipeline("outer", str(tmp_path), components=[made])
    [node] = view(compile_pipeline(outer))
    assert node.proto.execution_options.max_execution_retries == 3


def test_a_pipeline_in_a_loop_is_refused(tmp_path):
    made = examples.MakeExamples(rows=2)
    with ForEach([1, 2]):
        trained = training(made.outputs["examples"])
    outer = _tfx.Pipeline("outer", str(tmp_path), components=[made, trained])
    with pytest.raises(PipelineError, match="the pipeline training stand in each other"):
        compile_pipeline(outer)


@pytest.mark.needs("tensorflow_model_analysis")
def test_what_tfx_compiles_of_its_own_example_is_a_pipeline_of_its_seven_nodes():
    from tfx.dsl.compiler.testdata import composable_pipeline

    nodes = view(compile_pipeline(composable_pipeline.create_test_pipeline())).nodes
    assert sorted(nodes) == [
        "Evaluator",
        "data-ingestion-pipeline.CsvExampleGen",
        "data-ingestion-pipeline.SchemaGen",
        "data-ingestion-pipeline.StatisticsGen",
        "training-pipeline.Trainer",
        "validate-and-push-pipeline.Pusher",
        "validate-and-push-pipeline.infra-validator-pipeline.InfraValidator",
    ]
