"""Components that read what others have written."""

from __future__ import annotations

from typing import Any

from penstock import Input, component, pipeline
from penstock.artifacts import JsonValue


@component
def ReadsValue(value: Input[JsonValue]) -> str:
    """Return what a value artifact holds."""
    return str(value.value)


@component
def TakesValue(value: list[Any]) -> int:
    """Return how many there are."""
    return len(value)


@component
def RunsCode(module_file: str = "", module_path: str = "", run_fn: str = "") -> str:
    """Return the names of code that it is given."""
    return f"{module_file} {module_path} {run_fn}"


@component
def Refuses() -> int:
    """Raise."""
    raise ValueError("no")


@pipeline
def taking():
    """Take a value."""
    return TakesValue(value=[1])
