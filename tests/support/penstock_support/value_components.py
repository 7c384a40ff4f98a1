"""Components that return values of all kinds, and take them."""

from __future__ import annotations

import decimal
from pathlib import Path
from typing import Any

import numpy as np

from penstock import Output, component
from penstock.artifacts import Model


def _deep() -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(3_000):
        inner = {"a": inner}
    return inner


VALUES: dict[str, Any] = {
    "none in a dict": {"step": None},
    "none in a list": [None, 1, "a"],
    "a great int in it": {"n": 2**70},
    "nan in it": {"x": float("nan")},
    "infinity in it": {"x": float("-inf")},
    "numpy in it": {"a": np.float32(1.5), "b": np.int64(3), "c": np.bool_(True)},
    "half a character in it": {"a": "\ud800"},
    "keys of numbers": {0: 1.0},
    "keys of both": {1: 2, "1": 3},
    "a path in it": {"p": Path("/data")},
    "a set in it": {"a": [1, {2}]},
    "an array in it": {"a": np.array([1, 2])},
    "bytes in it": {"a": b"x"},
    "much in it": _deep(),
    "a great int": 2**63,
    "the greatest int": 2**63 - 1,
    "true": True,
    "a float": 1.5,
    "an int of numpy": np.int64(7),
    "nan": float("nan"),
    "infinity": float("inf"),
    "an int": 3,
    "a float of numpy": np.float32(1.5),
    "a decimal": decimal.Decimal("1.5"),
    "beyond floats": 10**400,
    "a path": Path("/data"),
    "half a character": "a\ud800",
    "text": "text",
    "bytes": b"x",
}


@component
def ReturnsDict(which: str) -> dict:  # type: ignore[type-arg]  # as a newcomer writes it
    """Return a value."""
    return VALUES[which]


@component
def ReturnsList(which: str) -> list:  # type: ignore[type-arg]  # as a newcomer writes it
    """Return a value."""
    return VALUES[which]


@component
def ReturnsInt(which: str) -> int:
    """Return a value."""
    return VALUES[which]


@component
def ReturnsFloat(which: str) -> float:
    """Return a value."""
    return VALUES[which]


@component
def ReturnsStr(which: str) -> str:
    """Return a value."""
    return VALUES[which]


@component
def ReturnsBytes(which: str) -> bytes:
    """Return a value."""
    return VALUES[which]


@component
def TakesAny(value: Any) -> str:
    """Return what was taken, as Python writes it."""
    return repr(value)


@component
def TakesFloat(value: float) -> str:
    """Return what was taken, as Python writes it."""
    return repr(value)


@component
def TakesInt(value: int) -> str:
    """Return what was taken, as Python writes it."""
    return repr(value)


@component
def Marks(model: Output[Model], which: str) -> None:
    """Give a model a property that is no number."""
    Path(model.uri, "model").write_text("")
    model.set_float_custom_property("loss", VALUES[which])


@component
def NotDeclared():
    """Return what the signature does not say."""
    return {"loss": 0.5}


async def wait() -> int:
    """Do nothing, later."""
    return 1


@component
def ReturnsCoroutine() -> int:
    """Forget to wait."""
    return wait()  # type: ignore[return-value]  # that is the mistake


@component
def Beside() -> str:
    """Be another branch."""
    return "done"
