"""What has no value while a pipeline is defined says so, wherever Python would ask for one."""

from __future__ import annotations

import copy
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock import Cond, Input, _tfx, component, pipeline
from penstock.artifacts import Integer
from penstock.errors import PipelineError
from penstock.runners.local import State
from penstock_support import example_components as examples

pytestmark = pytest.mark.core

DECIDING: dict[str, Callable[[Any], Any]] = {
    "if": lambda p: 1 if p else 2,
    "not": lambda p: not p,
    "or": lambda p: p or "full",
    "==": lambda p: p == "full",
    "== by the other": lambda p: "full" == p,  # noqa: SIM300 - it is the other's turn
    "!=": lambda p: p != "full",
    "<": lambda p: p < 3,
    "in a list": lambda p: p in ["full"],
    "in a set": lambda p: p in {"full"},
    "dict.get": lambda p: {"full": 1}.get(p),
    "a key": lambda p: {p: 1},
    "max": lambda p: max(p, 3),
    "sorted": lambda p: sorted([p, 1]),
    "list.index": lambda p: ["full"].index(p),
}
COMPUTING: dict[str, Callable[[Any], Any]] = {
    "an f-string": lambda p: f"{p}/data",
    "%": lambda p: "%s/data" % p,  # noqa: UP031 - it is one of the ways
    "format": "{}".format,
    "str": str,
    "int": int,
    "float": float,
    "round": round,
    "floor": math.floor,
    "len": len,
    "list": list,
    "range": range,
    "in it": lambda p: "a" in p,
    "an index": lambda p: [1, 2][p],
    "an item": lambda p: p[0],
    "+": lambda p: p + 1,
    "+ by the other": lambda p: "data/" + p,
    "-": lambda p: -p,
    "//": lambda p: p // 2,
    "**": lambda p: 2**p,
    "a path": Path,
    "os.path.join": lambda p: os.path.join("data", p),
    "open": lambda p: open(p),  # noqa: SIM115 - it is one of the ways
    "str.lower": lambda p: p.lower() if p.type is str else p.bit_length(),
}
NAMED_BY_PYTHON: dict[str, Callable[[Any], Any]] = {
    "json.dumps": lambda p: json.dumps({"mode": p}),
    "str.join": lambda p: "".join([p]),
    "str.startswith": lambda p: "full".startswith(p),
    "os.environ": lambda p: os.environ.update(MODE=p),
}


def defined_with(operation: Callable[[Any], Any], kind: type) -> str:
    """Return what is said where a pipeline does so with its parameter."""

    def chosen(p: Any) -> list[Any]:
        operation(p)
        return [examples.Doubling()]

    chosen.__annotations__["p"] = kind
    chosen.__defaults__ = (kind("7"),)
    with pytest.raises(PipelineError) as raised:
        pipeline(chosen).build(pipeline_root="root")
    return str(raised.value)


@pytest.mark.parametrize("kind", [str, int])
@pytest.mark.parametrize("operation", DECIDING.values(), ids=list(DECIDING))
def test_a_decision_on_a_parameter_says_what_a_condition_is(operation, kind):
    said = defined_with(operation, kind)
    assert said.startswith("the pipeline parameter 'p' has no value while the pipeline is defined")
    assert 'write: with Cond(chosen.outputs["output"] == ...)' in said


@pytest.mark.parametrize("kind", [str, int])
@pytest.mark.parametrize("operation", COMPUTING.values(), ids=list(COMPUTING))
def test_computing_with_a_parameter_says_where_to_do_it(operation, kind):
    said = defined_with(operation, kind)
    assert said.startswith("the pipeline parameter 'p' has no value while the pipeline is defined")
    assert "compute with it inside a component" in said


@pytest.mark.parametrize("operation", NAMED_BY_PYTHON.values(), ids=list(NAMED_BY_PYTHON))
def test_functions_that_ask_for_nothing_are_answered_too(operation):
    said = defined_with(operation, str)
    assert said.startswith("a pipeline parameter has no value while the pipeline is defined: ")
    assert f"({__file__}:" in said


def test_a_parameter_can_be_copied_and_shown(made_parameter):
    assert copy.deepcopy(made_parameter).name == "mode"
    assert repr(made_parameter) == "<pipeline parameter mode: str>"


@pytest.fixture
def made_parameter():
    @pipeline
    def some(mode: str = "full"):
        return [examples.Doubling()]

    return some.parameters["mode"]


@pytest.fixture
def returned():
    """An output that holds a number, of a node that has not run."""
    return examples.MakeExamples().outputs["output"]


VALUES = {
    "if": lambda value: 1 if value else 2,
    "an f-string": lambda value: f"{value}",
    "len": len,
    "list": list,
    "+": lambda value: value + 1,
    "a path": Path,
    "a condition as a value": lambda value: 1 if value > 3 else 2,
    "a future as a value": lambda value: 1 if value.future()[0].value else 2,
    "in a list": lambda value: value in ["full"],
}


@pytest.mark.parametrize("operation", VALUES.values(), ids=list(VALUES))
def test_what_a_node_returns_has_no_value_yet(operation, returned):
    with pytest.raises(PipelineError) as raised:
        operation(returned)
    assert "has no value while the pipeline is defined" in str(raised.value)
    assert "with Cond(...)" in str(raised.value)


@pytest.mark.parametrize(
    "operation",
    [
        lambda model: f"{model}/weights",
        lambda model: model == "none",
        lambda model: model in ["a"],
        lambda model: model or "none",
    ],
)
def test_an_artifact_that_is_not_made_is_no_text(operation):
    made = examples.MakeExamples().outputs["examples"]
    with pytest.raises(PipelineError) as raised:
        operation(made)
    assert str(raised.value) == (
        "MakeExamples.outputs['examples'] is not made yet while the pipeline is defined. Pass it "
        "on to an input of a component as it is; its body reads .uri. For a parameter write "
        "MakeExamples.outputs['examples'].future()[0].uri."
    )


@component
def MayReturn(number: Input[Integer] | None = None) -> int | None:
    """Return a number, or not."""


def test_optional_results_are_wired_to_optional_inputs():
    returned = MayReturn().outputs["output"]
    assert MayReturn(number=returned).with_id("second").inputs["number"] is returned


def test_outputs_are_equal_to_themselves_alone(returned):
    other = examples.MakeExamples().with_id("other").outputs["output"]
    assert returned == returned
    assert returned != other
    assert len({returned, other, returned}) == 2


def test_a_comparison_of_an_output_is_a_condition(returned):
    for condition in (returned > 3, returned == 3, returned != 3, returned <= 3):
        assert isinstance(condition, _tfx.Placeholder)


@pipeline
def by_a_condition(base: int = 2):
    """Do one thing or the other, by a parameter."""
    chosen = examples.MakeExamples(rows=base)
    with Cond(chosen.outputs["output"] == 3):
        one = examples.Doubling().with_id("one")
    with Cond(chosen.outputs["output"] != 3):
        other = examples.Doubling().with_id("other")
    return [chosen, one, other]


@pytest.mark.parametrize(("base", "done"), [(3, "one"), (2, "other")])
def test_a_condition_on_a_parameter_chooses_when_the_pipeline_runs(run_pipeline, base, done):
    result = run_pipeline(by_a_condition, base=base)
    states = {name: result.nodes[name].state for name in ("one", "other")}
    assert [name for name, state in states.items() if state is State.DONE] == [done]


@pytest.mark.parametrize(("rows", "count"), [(1, 0), (2, 1), (4, 2)])
def test_a_condition_stands_in_another_one_on_the_same_output(run_pipeline, rows, count):
    @pipeline(name="nested")
    def toy():
        chosen = examples.MakeExamples(rows=rows)
        with Cond(chosen.outputs["output"] > 1):
            one = examples.Doubling().with_id("one")
            with Cond(chosen.outputs["output"] > 3):
                two = examples.Doubling().with_id("two")
        return [one, two]

    result = run_pipeline(toy)
    states = [result.nodes[name].state for name in ("one", "two")]
    assert states.count(State.DONE) == count
