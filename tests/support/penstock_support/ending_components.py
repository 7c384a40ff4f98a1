"""A pipeline of a node that leaves something to do at the end of its process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penstock import Output, component, pipeline
from penstock.artifacts import Model


def _fail() -> None:
    raise ValueError("no end is without a fault")


@component
def Leaves(model: Output[Model], fails_at_the_end: bool = False) -> None:
    """Have a file of the model be written when the process ends."""
    import atexit

    atexit.register(Path(model.uri, "at_the_end").touch)
    if fails_at_the_end:
        atexit.register(_fail)


@component
def Converts(model: Output[Model]) -> None:
    """Have AutoGraph rewrite a function of Python's, and say to which file."""
    import colorsys

    import tensorflow as tf

    converted = tf.autograph.to_graph(colorsys.rgb_to_hls)
    Path(model.uri, "generated").write_text(converted.ag_module.__file__)


@pipeline
def leaves(fails_at_the_end: bool = False) -> list[Any]:
    """Leave something."""
    return [Leaves(fails_at_the_end=fails_at_the_end)]


@pipeline
def converts() -> list[Any]:
    """Convert a function."""
    return [Converts()]
