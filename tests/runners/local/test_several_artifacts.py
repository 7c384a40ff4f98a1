"""An input that takes one artifact, where several come."""

from __future__ import annotations

import pytest

from penstock import _tfx, pipeline
from penstock.artifacts import Examples
from penstock.errors import RunError, WiringError
from penstock.runners.local import State
from penstock_support import example_components as examples

pytestmark = pytest.mark.core


@pipeline(name="training")
def of_the_latest_two():
    """Train on two Examples, though the component takes one."""
    latest = _tfx.Resolver(
        strategy_class=_tfx.LatestArtifactStrategy,
        config={"desired_num_of_artifacts": 2},
        examples=_tfx.types.Channel(type=Examples),
    ).with_id("latest")
    trained = examples.TrainModel(examples=latest.outputs["examples"])
    return [latest, trained, examples.Doubling()]


@pytest.fixture
def run_on_two(run_pipeline):
    for rows in (1, 2):
        run_pipeline(examples.training, rows=rows)
    return run_pipeline(of_the_latest_two)


def test_a_component_that_takes_one_artifact_does_not_take_the_first_of_two(run_on_two):
    node = run_on_two.nodes["TrainModel"]
    assert node.state is State.FAILED
    assert "TrainModel.examples takes one Examples, and 2 came:\n  /" in str(node.error)
    assert "A component takes several where it says Input[list[Examples]]." in str(node.error)


def test_other_branches_go_on(run_on_two):
    assert run_on_two.nodes["Doubling"].state is State.DONE


def test_the_single_artifact_of_an_output_that_has_two_is_refused(run_on_two):
    with pytest.raises(RunError, match="has 2 artifacts in its output 'examples'"):
        run_on_two.output("latest", "examples")


def test_two_outputs_wired_to_an_input_that_takes_one_are_refused_where_it_is_written():
    one, two = (examples.MakeExamples().with_id(name) for name in ("one", "two"))
    both = _tfx.union([one.outputs["examples"], two.outputs["examples"]])
    with pytest.raises(WiringError) as raised:
        examples.TrainModel(examples=both)
    assert str(raised.value).startswith(
        "TrainModel.examples takes one Examples, and 2 are wired to it: "
        "one.outputs['examples'] and two.outputs['examples']. Choose one of them"
    )
