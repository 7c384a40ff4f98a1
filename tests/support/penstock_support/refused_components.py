"""Nodes that make what not every store can hold, beside a branch that has nothing of it."""

from __future__ import annotations

import random
from pathlib import Path

from penstock import Input, Output, component, pipeline
from penstock.artifacts import Examples, Model

LONG_KEY = "k" * 300
# No database compresses it.
LONG_TEXT = "".join(chr(n) for n in random.Random(3).choices(range(33, 0x2FF), k=30_000))


@component
def Good(examples: Output[Examples]) -> int:
    """Make what every store holds."""
    Path(examples.uri, "data").write_text("x")
    return 1


@component
def After(examples: Input[Examples], model: Output[Model]):
    """Take it."""
    Path(model.uri, "model").write_text(examples.uri)


@component
def Undeclared(examples: Output[Examples]):
    """Set a property that the type does not declare."""
    examples.mlmd_artifact.properties["undeclared"].string_value = "x"


@component
def OtherKind(examples: Output[Examples]):
    """Set one to a value of another kind."""
    examples.mlmd_artifact.properties["span"].string_value = "x"


@component
def LongKey(examples: Output[Examples]):
    """Set a property with a long name."""
    examples.set_string_custom_property(LONG_KEY, "v")


@component
def LargeNumber(examples: Output[Examples]):
    """Set a whole number that takes more than four bytes."""
    examples.set_int_custom_property("rows", 2**40)


@component
def LongText(examples: Output[Examples]):
    """Set texts that are long, and far too long."""
    examples.set_string_custom_property("text", LONG_TEXT)
    examples.set_string_custom_property("huge", "x" * 20_000_000)


@component
def Named(examples: Output[Examples]):
    """Set the artifact's name."""
    examples.name = "the-same-for-all"


@component
def LongAddress(examples: Output[Examples]):
    """Say that the output is at a long address."""
    examples.uri = f"s3://{LONG_TEXT[:30_000]}{'x' * 70_000}"


@component
def LoneSurrogate(examples: Output[Examples]):
    """Fail with a text that is none in UTF-8."""
    raise ValueError(f"half of a character: \ud800 ({examples.type_name})")


@component
def LongError(examples: Output[Examples]):
    """Fail with a long text."""
    raise ValueError(f"{LONG_TEXT[:6_000]} ({examples.type_name})")


@component
def LongParameter(text: str = LONG_TEXT) -> int:
    """Take a long text."""
    return len(text)


@pipeline
def refused():
    """All of them."""
    good = Good()
    return [
        After(examples=good.outputs["examples"]),
        Undeclared(),
        OtherKind(),
        LongKey(),
        LargeNumber(),
        LongText(),
        Named(),
        Named().with_id("NamedAgain"),
        LongAddress(),
        LoneSurrogate(),
        LongError(),
        LongParameter(text=LONG_TEXT),
    ]
