"""What nodes return: kept exactly, or refused in that node's name, while other branches go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock import pipeline
from penstock.runners.local import State
from penstock_support import value_components as components

pytestmark = pytest.mark.core

KEPT = {
    "none in a dict": (components.ReturnsDict, components.TakesAny, "{'step': None}"),
    "none in a list": (components.ReturnsList, components.TakesAny, "[None, 1, 'a']"),
    "a great int in it": (components.ReturnsDict, components.TakesAny, f"{{'n': {2**70}}}"),
    "nan in it": (components.ReturnsDict, components.TakesAny, "{'x': nan}"),
    "infinity in it": (components.ReturnsDict, components.TakesAny, "{'x': -inf}"),
    "numpy in it": (
        components.ReturnsDict,
        components.TakesAny,
        "{'a': 1.5, 'b': 3, 'c': True}",
    ),
    "half a character in it": (components.ReturnsDict, components.TakesAny, "{'a': '\\ud800'}"),
    "the greatest int": (components.ReturnsInt, components.TakesInt, str(2**63 - 1)),
    "an int of numpy": (components.ReturnsInt, components.TakesInt, "7"),
    "nan": (components.ReturnsFloat, components.TakesFloat, "nan"),
    "infinity": (components.ReturnsFloat, components.TakesFloat, "inf"),
    "an int": (components.ReturnsFloat, components.TakesFloat, "3.0"),
    "a float of numpy": (components.ReturnsFloat, components.TakesFloat, "1.5"),
}

REFUSED = {
    "keys of numbers": (components.ReturnsDict, ": expected keys of text, got 0 (int)"),
    "keys of both": (components.ReturnsDict, ": expected keys of text, got 1 (int)"),
    "a path in it": (
        components.ReturnsDict,
        "['p']: expected what JSON can hold, got PosixPath('/data') (PosixPath). Write str(...)",
    ),
    "a set in it": (components.ReturnsDict, "['a'][1]: expected what JSON can hold, got {2} (set)"),
    "an array in it": (components.ReturnsDict, "got array([1, 2]) (ndarray). Write .tolist()"),
    "bytes in it": (components.ReturnsDict, "['a']: expected what JSON can hold, got b'x' (bytes)"),
    "much in it": (components.ReturnsDict, "stand in one another too deeply, or for ever"),
    "true": (components.ReturnsInt, ": expected int, got True (bool)"),
    "a float": (components.ReturnsInt, ": expected int, got 1.5 (float)"),
    "a decimal": (components.ReturnsFloat, ": expected float, got Decimal('1.5') (Decimal)"),
    "beyond floats": (components.ReturnsFloat, ": expected float, got 10000"),
    "a path": (components.ReturnsStr, ": expected str, got PosixPath('/data') (PosixPath)"),
    "half a character": (components.ReturnsStr, "which has half a character at position 1"),
    "text": (components.ReturnsBytes, ": expected bytes, got 'text' (str)"),
    "nan in it": (components.ReturnsList, ": expected list, got {'x': nan} (dict)"),
}


@pytest.fixture
def passing_on(run_pipeline):
    """Run a node that returns a value, one that takes it, and one beside."""

    def run(which: str, returns: Any, takes: Any = None) -> Any:
        @pipeline(name="values")
        def values():
            made = returns(which=which).with_id("made")
            nodes = [made, components.Beside()]
            if takes:
                nodes.append(takes(value=made.outputs["output"]).with_id("taken"))
            return nodes

        return run_pipeline(values)

    return run


@pytest.mark.parametrize(("which", "how"), KEPT.items(), ids=list(KEPT))
def test_a_value_reaches_another_node_as_it_is(passing_on, which, how):
    returns, takes, expected = how
    result = passing_on(which, returns, takes)
    artifact = result.output("taken", "output")
    artifact.read()
    assert artifact.value == expected


@pytest.mark.parametrize(("which", "how"), REFUSED.items(), ids=list(REFUSED))
def test_a_value_that_cannot_be_kept_is_refused_by_its_place(passing_on, which, how):
    returns, said = how
    result = passing_on(which, returns)
    error = str(result.nodes["made"].error)
    assert error.startswith(f"{returns.__name__}.outputs['output']")
    assert said in error
    assert result.nodes["Beside"].state is State.DONE


def test_an_int_that_no_parameter_can_be_fails_only_the_node_that_takes_it(passing_on):
    result = passing_on("a great int", components.ReturnsInt, components.TakesInt)
    states = {name: node.state for name, node in result.nodes.items()}
    assert states == {"made": State.DONE, "Beside": State.DONE, "taken": State.FAILED}
    assert f"its parameter 'value' cannot be {2**63} (int)" in str(result.nodes["taken"].error)
    made = result.output("made", "output")
    made.read()
    assert made.value == 2**63


@pytest.mark.parametrize("which", ["nan", "infinity"])
def test_a_property_that_is_no_number_is_refused_by_its_name(passing_on, which):
    result = passing_on(which, components.Marks)
    assert f"the output 'model' has the property 'loss' = {components.VALUES[which]}" in str(
        result.nodes["made"].error
    )
    assert result.nodes["Beside"].state is State.DONE


def test_a_parameter_that_is_no_number_is_the_same_in_the_next_run(run_pipeline):
    @pipeline
    def chosen(rate: float = 1.0):
        return [components.TakesFloat(value=rate)]

    first, second = (run_pipeline(chosen, rate=float("nan")) for _ in range(2))
    artifact = first.output("TakesFloat", "output")
    artifact.read()
    assert artifact.value == "nan"
    assert second.nodes["TakesFloat"].state is State.CACHED


def test_what_is_not_declared_is_not_kept_and_the_log_says_so(run_pipeline):
    @pipeline
    def silent():
        return [components.NotDeclared()]

    node = run_pipeline(silent).nodes["NotDeclared"]
    assert node.state is State.DONE
    assert "What NotDeclared returned (dict) is not kept" in Path(node.log_path).read_text()


def test_a_coroutine_that_nobody_waited_for_is_not_a_result(run_pipeline):
    @pipeline
    def hasty():
        return [components.ReturnsCoroutine(), components.Beside()]

    node = run_pipeline(hasty).nodes["ReturnsCoroutine"]
    assert "ReturnsCoroutine returned a coroutine, which has not run" in str(node.error)
