"""Components of which parts are run, and pipelines of them."""

from __future__ import annotations

from typing import Any

from penstock import _tfx, component, pipeline, with_options


@component
def Load(number: int) -> int:
    """Return a number."""
    return number


@component
def Failing() -> int:
    """Fail."""
    raise ValueError("there is none")


@component
def Add(number: int, to_add: int = 1) -> int:
    """Add to a number."""
    return number + to_add


@component
def Subtract(minuend: int, subtrahend: int) -> int:
    """Subtract a number from another one."""
    return minuend - subtrahend


@component
def After(word: str = "done") -> str:
    """Return a word."""
    return word


@pipeline
def difference(loaded: int = 1, to_add: int = 1):
    """Subtract a number from what was made of it; beside it another one is made."""
    load = Load(number=loaded)
    add = Add(number=load.outputs["output"], to_add=to_add)
    other = Load(number=loaded).with_id("Other")
    subtract = Subtract(minuend=add.outputs["output"], subtrahend=load.outputs["output"])
    both = Subtract(minuend=subtract.outputs["output"], subtrahend=other.outputs["output"]).with_id(
        "Both"
    )
    return [load, add, other, subtract, both]


@pipeline
def siblings(left: int = 1, right: int = 2):
    """Subtract two numbers that have nothing to do with each other."""
    one = Load(number=left).with_id("Left")
    two = Load(number=right).with_id("Right")
    return [one, two, Subtract(minuend=one.outputs["output"], subtrahend=two.outputs["output"])]


def trees(root: str, store: Any) -> Any:
    """Return a pipeline of TFX's with branches."""
    load = Load(number=1)
    add = Add(number=load.outputs["output"].future()[0].value, to_add=2)
    beside = Add(number=load.outputs["output"].future()[0].value, to_add=3).with_id("Beside")
    other = Load(number=5).with_id("Other")
    after = After()
    after.add_upstream_nodes([other, add])
    return _pipeline("trees", root, store, [load, add, beside, other, after])


def tolerant(root: str, store: Any) -> Any:
    """Return a pipeline of TFX's in which a node may fail, and does."""
    load = Load(number=1)
    failing = with_options(Failing(), optional=True)
    failing.add_upstream_node(load)
    after = After()
    after.add_upstream_nodes([load, failing])
    return _pipeline("tolerant", root, store, [load, failing, after])


def _pipeline(name: str, root: str, store: Any, components: list[Any]) -> Any:
    return _tfx.Pipeline(name, root, metadata_connection_config=store, components=components)
