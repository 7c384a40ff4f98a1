"""Rows of a store that are ours, of which some cannot be read.

Another version of Penstock or somebody's hand may have written them: a property is missing or of
another type, its text is no JSON, a number is out of range. Whoever reads many rows skips such a
one with a warning that names it (`readable`, `property_or`); whoever must not go on without it gets
a `MalformedRowError`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from penstock.errors import StoreError

T = TypeVar("T")
V = TypeVar("V")

_FAULTS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
_SHOWN_CHARACTERS = 200
_HINT = "Something else has written it, or another version of Penstock. See: penstock doctor"


@dataclass(frozen=True)
class Row:
    """Which row it is: `kind` is its type in the store."""

    kind: str
    row_id: int
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.row_id} of the store, {_short(self.name)!r}"


class MalformedRowWarning(UserWarning):
    """A row of the store was left out, because it cannot be read."""


class MalformedRowError(StoreError):
    """A row of the store cannot be read; `problem` says why."""

    def __init__(self, row: Row, problem: str, *, hint: str = _HINT) -> None:
        super().__init__(f"{row}, cannot be read: {problem}", hint=hint)
        self.row = row
        self.problem = problem


@contextmanager
def reading(row: Row) -> Iterator[None]:
    """Raise MalformedRowError of the row for what goes wrong while it is read."""
    try:
        yield
    except _FAULTS as error:
        raise MalformedRowError(row, _problem(error)) from None


def readable(items: Iterable[T], read: Callable[[T], V]) -> Iterator[V]:
    """Yield what can be read of rows; warn of each that raises MalformedRowError."""
    for item in items:
        try:
            value = read(item)
        except MalformedRowError as error:
            warn(error)
            continue
        yield value


def property_or(row: Row, what: str, read: Callable[[], V], default: V) -> V:
    """Return what can be read of a property of a row; else warn, and return the default."""
    try:
        return read()
    except _FAULTS as error:
        warn(MalformedRowError(row, f"{what}: {_problem(error)}"))
        return default


def warn(error: MalformedRowError) -> None:
    """Warn once in a process of a row that was left out."""
    warnings.warn(f"{error.row}, is left out: {error.problem}", MalformedRowWarning, stacklevel=1)


def text_of(message: Any, name: str) -> str:
    """Return a custom property that is a text.

    Raises:
      ValueError: there is none of that name, or it is something else.
    """
    return str(_property(message, name, "string_value", "a text"))


def int_of(message: Any, name: str) -> int:
    """Return a custom property that is a whole number.

    Raises:
      ValueError: there is none of that name, or it is something else.
    """
    return int(_property(message, name, "int_value", "a whole number"))


def json_of(text: str, kind: type[V], name: str) -> V:
    """Return what a text of a property is as JSON.

    Raises:
      ValueError: it is none, or of another kind.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"expected JSON as {name!r}, got {_short(text)!r}") from None
    if not isinstance(content, kind):
        raise ValueError(f"expected a {kind.__name__} as {name!r}, got {_short(text)!r}")
    return content


def time_of(milliseconds: int) -> datetime:
    """Return a time that a store keeps of a row; what is out of range is the end of time."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000)
    except (ValueError, OverflowError, OSError):
        return datetime.max


def _property(message: Any, name: str, wanted: str, noun: str) -> Any:
    value = message.custom_properties.get(name)
    kind = None if value is None else value.WhichOneof("value")
    if kind != wanted:
        got = "nothing" if kind is None else f"a property of {kind}"
        raise ValueError(f"expected {noun} as {name!r}, got {got}")
    return getattr(value, wanted)


def _problem(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it lacks {error.args[0]!r}" if error.args else "something is missing"
    return _short(str(error)) or type(error).__name__


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
