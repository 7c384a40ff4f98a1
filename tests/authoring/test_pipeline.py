from __future__ import annotations

import pytest

from penstock import pipeline
from penstock.errors import PipelineError
from penstock_support import example_components as examples

pytestmark = pytest.mark.core


def build(definition):
    return definition.build(pipeline_root="/nowhere")


def test_parameters_come_from_the_signature():
    found = {p.name: (p.type, p.default) for p in examples.training.parameters.values()}
    assert found == {
        "rows": (int, 3),
        "steps": (int, 7),
        "rate": (float, 0.25),
        "verbose": (bool, False),
    }


def test_the_name_is_the_function_s_unless_it_is_given():
    assert examples.training.name == "training"
    assert pipeline(name="other")(lambda: None).name == "other"


def test_nodes_that_returned_nodes_need_are_part_of_it():
    @pipeline
    def short():
        made = examples.MakeExamples()
        return examples.TrainModel(examples=made.outputs["examples"])

    assert [node.id for node in build(short).components] == ["MakeExamples", "TrainModel"]


def test_a_node_that_is_neither_returned_nor_used_is_an_error():
    @pipeline
    def forgetful():
        examples.MakeExamples().with_id("forgotten")
        return examples.MakeExamples()

    with pytest.raises(PipelineError, match="makes the node 'forgotten' but neither returns"):
        build(forgetful)


def test_two_nodes_of_one_name_are_an_error_with_the_remedy():
    @pipeline
    def twins():
        return [examples.MakeExamples(), examples.MakeExamples()]

    with pytest.raises(PipelineError, match=r"two nodes 'MakeExamples'.*with_id"):
        build(twins)


def test_a_node_with_the_pipeline_s_name_is_an_error_with_the_remedy():
    @pipeline
    def same():
        return examples.MakeExamples().with_id("same")

    with pytest.raises(PipelineError, match=r"has the pipeline's own name. Give it .*with_id"):
        build(same)


def test_a_name_that_kubernetes_would_not_take_is_an_error():
    with pytest.raises(PipelineError, match=r"up to 63 characters, and p{64} has 64. Give it a sh"):
        build(pipeline(name="p" * 64)(lambda: examples.MakeExamples()))


def test_a_cycle_is_an_error_that_names_its_nodes_in_their_order():
    @pipeline
    def circle():
        before = examples.Doubling()
        made = examples.MakeExamples()
        made.add_upstream_node(before)
        trained = examples.TrainModel(examples=made.outputs["examples"])
        after = examples.After(model=trained.outputs["model"])
        made.add_upstream_node(after)
        return [after, before, examples.Join(models=trained.outputs["model"])]

    with pytest.raises(PipelineError, match="its nodes form a cycle: ") as caught:
        build(circle)
    names = caught.value.message.partition(": its nodes form a cycle: ")[2].split(" -> ")
    order = ["MakeExamples", "TrainModel", "After"] * 2
    assert names[0] == names[-1]
    start = order.index(names[0])
    assert names[:-1] == order[start : start + 3]


def test_an_output_in_place_of_a_node_is_an_error():
    @pipeline
    def wrong():
        return [examples.MakeExamples().outputs["examples"]]

    with pytest.raises(PipelineError, match="Return the nodes themselves, not their outputs"):
        build(wrong)


def test_a_parameter_without_a_type_is_an_error():
    with pytest.raises(PipelineError, match="the parameter 'rows' has no type"):

        @pipeline
        def untyped(rows=3):
            return []


def test_a_default_of_another_type_is_an_error():
    with pytest.raises(PipelineError, match="'rows' is int, but its default is '3'"):

        @pipeline
        def wrong(rows: int = "3"):  # type: ignore[assignment]
            return []
