"""When an earlier execution stands for a node, and what is recorded of one that it stands for."""

from __future__ import annotations

import pytest

from penstock import pipeline
from penstock.metadata.executions import node_executions
from penstock.runners.local import State
from penstock_support import example_components as examples
from penstock_support.addressed_components import ReadFolder


@pipeline
def addressing(rows: int = 3):
    made = examples.MakeExamples(rows=rows).with_options(cache=False)
    return ReadFolder(folder=made.outputs["examples"].future()[0].uri)


def test_a_parameter_that_says_where_an_input_is_counts_by_its_contents(run_pipeline):
    first, second = run_pipeline(addressing), run_pipeline(addressing)
    assert first.output("MakeExamples", "examples").uri != (
        second.output("MakeExamples", "examples").uri
    )
    assert second.nodes["ReadFolder"].state is State.CACHED


def test_a_parameter_that_says_where_other_contents_are_runs_its_node(run_pipeline):
    run_pipeline(addressing)
    assert run_pipeline(addressing, rows=4).nodes["ReadFolder"].state is State.DONE


@pipeline
def doubling(base: int = 2):
    return examples.Doubling(base=base)


def test_a_cached_execution_has_the_parameters_that_its_driver_computed(run_pipeline, store):
    run_pipeline(doubling)
    assert run_pipeline(doubling).nodes["Doubling"].state is State.CACHED
    newest = next(node_executions(store, "doubling", "Doubling"))
    assert newest.custom_properties["doubled"].int_value == 4


@pytest.fixture
def many(run_pipeline, store):
    for _ in range(6):
        run_pipeline(doubling)
    return store


def test_executions_of_a_node_come_newest_first_from_all_portions(many):
    found = [execution.id for execution in node_executions(many, "doubling", "Doubling")]
    assert len(found) == 6
    assert found == sorted(found, reverse=True)


def test_executions_of_a_node_can_be_those_of_a_run(many, run_pipeline):
    run = run_pipeline(doubling)
    found = list(node_executions(many, "doubling", "Doubling", run=run.run_id))
    assert [execution.id for execution in found] == [run.nodes["Doubling"].execution_id]
