"""Loops of TFX's own are loops like ours."""

from __future__ import annotations

import pytest

from penstock import compile_pipeline
from penstock.ir.loops import LoopSpec, Source
from penstock.ir.view import view
from penstock_support.tfx_loops import over_the_latest, over_two_nodes

pytestmark = pytest.mark.core


def test_a_node_of_a_loop_knows_what_it_goes_over(tmp_path):
    read = view(compile_pipeline(over_two_nodes(str(tmp_path)))).nodes["Read"]
    assert read.loops == (
        LoopSpec(
            "ForEach(Rows_a.examples and Rows_b.examples) of Read",
            "artifacts",
            (Source("Rows_a", "examples"), Source("Rows_b", "examples")),
            ("examples",),
        ),
    )


def test_it_has_its_own_options_too(tmp_path):
    read = view(compile_pipeline(over_two_nodes(str(tmp_path)))).nodes["Read"]
    assert read.proto.execution_options.max_execution_retries == 2


def test_nothing_is_left_for_tfx_to_take_apart(tmp_path):
    inputs = view(compile_pipeline(over_two_nodes(str(tmp_path)))).nodes["Read"].proto.inputs
    assert not inputs.input_graphs
    assert list(inputs.inputs) == ["examples"]


def test_a_loop_of_ir_that_tfx_has_compiled_is_one_too(tmp_path):
    from tfx.dsl.compiler.compiler import Compiler

    compiled = Compiler().compile(over_the_latest(str(tmp_path), 2))
    [loop] = view(compile_pipeline(compiled)).nodes["Read"].loops
    assert loop.sources == (Source("latest", "examples"),)


@pytest.mark.needs("tensorflow_model_analysis")
def test_the_loops_of_tfx_s_own_example_are_known():
    from tfx.dsl.compiler.testdata import foreach_pipeline

    nodes = view(compile_pipeline(foreach_pipeline.create_test_pipeline()))
    assert [node.id for node in nodes if node.loops] == ["StatisticsGen", "Trainer", "Pusher"]
