"""What nodes give each other, and whether it is what they take."""

from __future__ import annotations

import pytest

from penstock import Input, Output, component, ir, pipeline
from penstock.artifacts import Examples, Model, Schema
from penstock.operations.delivery.checks import State
from penstock.operations.delivery.contracts import check_contracts

pytestmark = pytest.mark.core


@component
def Read(examples: Output[Examples]) -> int:
    return 1


@component
def Infer(examples: Input[Examples], schema: Output[Schema]) -> None: ...


@component
def Fit(
    examples: Input[Examples], model: Output[Model], schema: Input[Schema] | None = None
) -> None: ...


@component
def Serve(model: Input[Model]) -> int:
    return 1


@pipeline(name="whole")
def whole():
    read = Read()
    fit = Fit(examples=read.outputs["examples"])
    return [Serve(model=fit.outputs["model"])]


@pipeline(name="idle")
def idle():
    read = Read()
    infer = Infer(examples=read.outputs["examples"])
    fit = Fit(examples=read.outputs["examples"])
    return [infer, Serve(model=fit.outputs["model"])]


def checks(defined, change=lambda _: None):
    compiled = ir.compile_pipeline(defined, pipeline_root="/root")
    change({entry.pipeline_node.node_info.id: entry.pipeline_node for entry in compiled.nodes})
    bound = ir.view(ir.bind(compiled, run_id="run", parameters={}))
    return [(c.state, c.message) for c in check_contracts(bound, "p")]


def test_what_fits_passes():
    assert checks(whole) == [(State.PASSED, "the inputs of 3 nodes are given, and fit")]


def test_work_that_nobody_takes_is_a_warning():
    assert checks(idle) == [(State.WARNED, "nothing takes what Infer makes: schema (Schema)")]


def test_an_input_that_nothing_gives_is_a_failure():
    def change(nodes):
        del nodes["Fit"].inputs.inputs["examples"]

    assert (
        State.FAILED,
        "nothing gives Fit its input examples (Examples)",
    ) in checks(whole, change)


def test_an_input_that_may_be_left_out_need_not_be_given():
    assert not any("schema" in message for _, message in checks(whole))


def test_an_output_that_is_none_of_its_producers_is_a_failure():
    def change(nodes):
        nodes["Serve"].inputs.inputs["model"].channels[0].output_key = "models"

    assert (
        State.FAILED,
        "nothing gives Serve its input model: Fit has no output models",
    ) in checks(whole, change)


def test_a_type_that_does_not_fit_is_a_failure():
    def change(nodes):
        nodes["Read"].outputs.outputs["examples"].artifact_spec.type.name = "Schema"

    assert checks(whole, change) == [
        (State.FAILED, "Fit takes Examples as its input examples, and Read.examples is Schema")
    ]
