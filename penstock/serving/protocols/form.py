"""What the forms have in common: columns asked about, predictions given, values in JSON."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from penstock.data.coding.columns import is_list
from penstock.errors import DataError
from penstock.models.predictions import PREDICTION, PROBABILITIES, classes_of
from penstock.models.signature import Column, Signature
from penstock.serving.protocols import json_text

BASE64 = "b64"
# Of rows whose columns nobody knows; each may have others.
_MOST_VALUES = 10_000_000


@dataclass(frozen=True)
class Served:
    """A model as the forms see it."""

    name: str
    version: int
    signature: Signature | None

    @property
    def inputs(self) -> tuple[Column, ...]:
        """The columns that it takes, as far as its files say."""
        return self.signature.inputs if self.signature is not None else ()


@dataclass(frozen=True)
class Asked:
    """What a request asks about: columns of values, and how it wants to be answered."""

    columns: Mapping[str, Sequence[Any]]
    rows: int
    manner: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Predicted:
    """The predictions for one request: its part of a table, and of its columns as lists."""

    table: pa.Table
    columns: Mapping[str, list[Any]]
    classes: tuple[Any, ...] | None = None


@dataclass(frozen=True)
class Form:
    """A form of requests: how a body is read, and how an answer is written.

    `read` gets the body and how many of its bytes are JSON, 0 for all; `write` returns the body and
    the same of it.
    """

    read: Callable[[bytes, int, Served], Asked]
    write: Callable[[Predicted, Asked, Served], tuple[bytes, int]]


def parsed(body: bytes) -> Any:
    """Return the JSON of a body.

    Raises:
      DataError: it is no JSON.
    """
    try:
        return json_text.loads(body)
    except ValueError as error:
        raise DataError(f"the body should be JSON, and is not: {error}") from None


def written(content: Any) -> bytes:
    """Return a value as JSON; numbers that are none are null there."""
    return json_text.dumps(content, _as_json)


def _as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return text_or_base64(value)
    return str(value)


def text_or_base64(value: bytes) -> Any:
    """Return bytes as text where they are one."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {BASE64: base64.b64encode(value).decode()}


def plain_value(value: Any) -> Any:
    """Return a value of JSON as rows have it: bytes for `{"b64": …}`.

    Raises:
      DataError: it is an object of another kind, or no base64.
    """
    if isinstance(value, dict):
        if list(value) != [BASE64] or not isinstance(value[BASE64], str):
            raise DataError(
                f"expected a value, got an object with {', '.join(map(repr, value)) or 'nothing'}"
            )
        try:
            return base64.b64decode(value[BASE64], validate=True)
        except ValueError as error:  # no base64, or no ASCII
            raise DataError(f"expected base64: {error}") from None
    if isinstance(value, list):
        return [plain_value(v) for v in value] if _has_objects(value) else value
    return value


def _has_objects(values: list[Any]) -> bool:
    return any(isinstance(value, (dict, list)) for value in values)


def of_model(given: Mapping[str, Any], served: Served) -> Mapping[str, Any]:
    """Return what is given for columns that a model takes; all of it where it takes none of them.

    So what a caller sends besides costs nothing, and where there is nothing else an error can name
    it.
    """
    known = {column.name: given[column.name] for column in served.inputs if column.name in given}
    return known or given


def columns_of(rows: Sequence[Any], served: Served) -> dict[str, list[Any]]:
    """Return rows, an object each, as columns; those that the model does not take are left out.

    Raises:
      DataError: one is no object, or together they have columns without end.
    """
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise DataError(f"row {number}: expected an object with columns, got {short(row)}")
    if len(rows) == 1:
        return {n: [_value(value, n, 0)] for n, value in of_model(rows[0], served).items()}
    names = of_model(dict.fromkeys(name for row in rows for name in row), served)
    if len(names) * len(rows) > _MOST_VALUES:
        raise DataError(
            f"expected rows of the same columns, got {len(names)} names in {len(rows)} rows"
        )
    return {
        name: [_value(row.get(name), name, number) for number, row in enumerate(rows)]
        for name in names
    }


def _value(value: Any, name: str, row: int) -> Any:
    if not isinstance(value, (dict, list)):
        return value
    try:
        return plain_value(value)
    except DataError as error:
        raise DataError(f"row {row}: {error.message}", column=name) from None


def predicted(table: pa.Table, signature: Signature | None) -> Predicted:
    """Return predictions with their columns as lists."""
    columns = {name: _listed(table.column(name)) for name in table.column_names}
    classes = classes_of(table)
    if classes is None and signature is not None:
        named = (signature.output(name) for name in (PROBABILITIES, PREDICTION))
        classes = next((column.classes for column in named if column and column.classes), None)
    return Predicted(table, columns, classes)


def part(whole: Predicted, start: int, rows: int) -> Predicted:
    """Return the predictions of some rows."""
    if start == 0 and rows == whole.table.num_rows:
        return whole
    columns = {name: values[start : start + rows] for name, values in whole.columns.items()}
    return Predicted(whole.table.slice(start, rows), columns, whole.classes)


def _listed(column: Any) -> list[Any]:
    """Return a column's values as Python has them; lists of numbers by way of NumPy."""
    kind = column.type
    if pa.types.is_fixed_size_list(kind) and not is_list(kind.value_type) and not column.null_count:
        flat = pa.concat_arrays([chunk.flatten() for chunk in column.chunks] or [pa.array([])])
        if pa.types.is_floating(flat.type) and not flat.null_count:
            matrix = flat.to_numpy(zero_copy_only=False).reshape(-1, kind.list_size)
            return np.asarray(matrix, np.float64).tolist() if len(flat) else []
    return column.to_pylist()


def short(value: Any) -> str:
    """Return a value as an error names it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
