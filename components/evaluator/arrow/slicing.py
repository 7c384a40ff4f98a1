"""Slices: the rows that agree in some columns, and which of them a row is in."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from penstock.data.coding.columns import is_list
from penstock.data.results import evaluation_messages as messages
from penstock.errors import DataError, ParameterError

Value = str | int | float
# Columns and their values, sorted; all rows are the slice without any.
SliceKey = tuple[tuple[str, Value], ...]


@dataclass(frozen=True)
class SliceSpec:
    """A slice for each combination of the columns' values, on rows with the values that are given.

    A row with several values in a column is in a slice for each, one without any in none.
    """

    columns: frozenset[str]
    values: frozenset[tuple[str, Value]]

    @classmethod
    def of(cls, spec: Any) -> SliceSpec:
        """Return the spec of a SlicingSpec message.

        Raises:
          ParameterError: it names a column twice.
        """
        twice = sorted(set(spec.feature_keys) & set(spec.feature_values))
        if twice:
            raise ParameterError(
                f"a slicing_spec has {twice[0]!r} in feature_keys and in feature_values",
                hint="Leave out one of the two.",
            )
        return cls(
            frozenset(spec.feature_keys),
            frozenset((name, _typed(text)) for name, text in spec.feature_values.items()),
        )

    def applies_to(self, key: SliceKey) -> bool:
        """Return whether a slice is one of the spec's."""
        columns, values = set(self.columns), set(self.values)
        for name, value in key:
            typed = _typed(value)
            if (name, typed) in values:
                values.remove((name, typed))
            elif name in columns:
                columns.remove(name)
            else:
                return False
        return not columns and not values

    def keys_of(self, row: Mapping[str, Sequence[Value]]) -> list[SliceKey]:
        """Return the slices that a row is in, which has these distinct values by column."""
        for name, wanted in self.values:
            # A text of digits is asked for as a number is.
            if not any(value == wanted or _typed(value) == wanted for value in row.get(name, ())):
                return []
        choices = [[(name, value) for value in row.get(name, ())] for name in self.columns]
        return [tuple(sorted([*self.values, *chosen])) for chosen in itertools.product(*choices)]


def _typed(value: Value) -> Value:
    """Return what a text says, if it is a number; TFMA's configs have all values as texts."""
    if isinstance(value, (int, float)):
        return value
    try:
        return float(value) if "." in value else int(value)
    except ValueError:
        return value


_AS_THEY_ARE = (
    pa.types.is_null,
    pa.types.is_integer,
    pa.types.is_string,
    pa.types.is_large_string,
)


class Slices:
    """The slices found so far, numbered in the order of their first rows.

    Rows that agree in all columns that slicing looks at are in the same slices, so that these are
    found once for each such combination of values.
    """

    def __init__(self, specs: Sequence[Any]):
        self.keys: list[SliceKey] = []
        self._numbers: dict[SliceKey, int] = {}
        self._specs = [SliceSpec.of(spec) for spec in specs] or [
            SliceSpec(frozenset(), frozenset())
        ]
        names = {
            name for spec in self._specs for name in (*spec.columns, *(n for n, _ in spec.values))
        }
        self.columns = sorted(names)
        self._never_seen = set(names)
        self._numbers_by_values: dict[Any, np.ndarray] = {}

    def assign(self, table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and slice numbers, of the same length: each row once for each slice."""
        rows = table.num_rows
        columns = [_values_of(table, name) for name in self.columns]
        for name, column in zip(self.columns, columns, strict=True):
            if name in self._never_seen and any(column):
                self._never_seen.remove(name)
        combinations = zip(*columns, strict=True) if columns else [()] * rows
        numbers = [self._numbers_of(combination) for combination in combinations]
        lengths = [len(some) for some in numbers]
        joined = np.concatenate(numbers) if numbers else np.empty(0, np.int64)
        return np.repeat(np.arange(rows), lengths), joined.astype(np.int64)

    def merge(self, other: Slices) -> np.ndarray:
        """Add the slices of rows that come after these; return the numbers of those here."""
        self._never_seen &= other._never_seen
        return np.array([self._number(key) for key in other.keys], np.int64)

    def __getstate__(self) -> dict[str, Any]:
        """Return what is sent to others: not what rows were found to be in by their values."""
        return {**self.__dict__, "_numbers_by_values": {}}

    @property
    def columns_without_values(self) -> list[str]:
        """The columns that no row so far had a value in."""
        return sorted(self._never_seen)

    def _numbers_of(self, combination: Any) -> np.ndarray:
        numbers = self._numbers_by_values.get(combination)
        if numbers is None:
            row = dict(zip(self.columns, combination, strict=True))
            keys = dict.fromkeys(key for spec in self._specs for key in spec.keys_of(row))
            numbers = np.array([self._number(key) for key in keys], np.int64)
            self._numbers_by_values[combination] = numbers
        return numbers

    def _number(self, key: SliceKey) -> int:
        number = self._numbers.setdefault(key, len(self.keys))
        if number == len(self.keys):
            self.keys.append(key)
        return number


def _values_of(table: pa.Table, name: str) -> list[tuple[Value, ...]]:
    """Return the distinct values of each row, in their order."""
    position = table.schema.get_field_index(name)
    if position < 0:
        return [()] * table.num_rows
    result: list[tuple[Value, ...]] = []
    for array in table.column(position).chunks:
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        if is_list(array.type):
            values = _plain_values(array.flatten(), name)
            lengths = [0 if row is None else row for row in _lengths(array)]
            bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64).tolist()
            result += [_distinct(values[start:end]) for start, end in pairwise(bounds)]
        else:
            result += [_distinct([value]) for value in _plain_values(array, name)]
    return result


def _distinct(values: Sequence[Value | None]) -> tuple[Value, ...]:
    if len(values) == 1:
        return () if values[0] is None else (values[0],)
    return tuple(sorted({value for value in values if value is not None}))


def _lengths(array: pa.Array) -> list[int | None]:
    import pyarrow.compute as pc

    if pa.types.is_fixed_size_list(array.type):
        return [array.type.list_size if valid else 0 for valid in array.is_valid().to_pylist()]
    return pc.list_value_length(array).to_pylist()


def _plain_values(array: pa.Array, name: str) -> list[Value | None]:
    """Return values as tf.Examples have them: texts, whole numbers, and floats of 32 bits."""
    kind = array.type
    if pa.types.is_floating(kind):
        numbers = array.cast(pa.float32()).to_pylist()
        return [None if number != number else number for number in numbers]
    if pa.types.is_boolean(kind):
        return [None if flag is None else int(flag) for flag in array.to_pylist()]
    values = array.to_pylist()
    if any(is_one(kind) for is_one in _AS_THEY_ARE):
        return values
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return [None if value is None else _text(value, name) for value in values]
    raise DataError(
        f"slices are by texts and numbers, and the column {name!r} is {kind}",
        column=name,
        hint="Slice by another column, or write this one as text.",
    )


def _text(value: bytes, name: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise DataError(
            f"slices are by texts and numbers, and a value of the column {name!r} is not UTF-8: "
            f"{value[:40]!r}",
            column=name,
            hint="Slice by another column, or write this one as text.",
        ) from None


def to_message(key: SliceKey) -> Any:
    """Return a slice's key as the SliceKey message."""
    message = messages.SliceKey()
    for name, value in key:
        single = message.single_slice_keys.add(column=name)
        if isinstance(value, str):
            single.bytes_value = value.encode()
        elif isinstance(value, int):
            single.int64_value = value
        else:
            single.float_value = value
    return message
