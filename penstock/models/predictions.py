"""What flavors have in common: tables of predictions, and matrices of columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from penstock.data.coding.columns import is_list
from penstock.errors import DataError

PREDICTION = "prediction"
PROBABILITIES = "probabilities"

_CLASSES = b"classes"


def classification(probabilities: Any, classes: Sequence[Any]) -> pa.Table:
    """Return the table of a classifier: `prediction`, the likeliest class, and `probabilities`.

    `probabilities` are of shape (rows, classes), or (rows,) for the second of two classes.
    """
    matrix = np.asarray(probabilities, np.float64)
    if matrix.ndim == 1 or (matrix.shape[1] == 1 and len(classes) == 2):
        second = matrix.reshape(-1)
        matrix = np.stack([1 - second, second], axis=1)
    if matrix.shape[1] != len(classes):
        raise DataError(
            f"a classifier of {len(classes)} classes should give as many probabilities a row, and "
            f"gives {matrix.shape[1]}",
            hint="The classes that were given with the model are "
            f"{', '.join(map(repr, classes[:10]))}.",
        )
    labels = pa.array(list(classes))
    if pa.types.is_integer(labels.type):
        labels = labels.cast(pa.int64())
    likeliest = pa.array(matrix.argmax(axis=1) if len(matrix) else [], pa.int64())
    table = pa.table({PREDICTION: labels.take(likeliest), PROBABILITIES: fixed_lists(matrix)})
    return table.replace_schema_metadata({_CLASSES: json.dumps(labels.to_pylist())})


def class_labels(own: Sequence[Any], given: Sequence[Any] | None) -> tuple[Any, ...]:
    """Return the labels of a model's classes, in the order of its probabilities.

    `own` are the classes as the model has them. Where these are numbers of the classes that were
    `given` with it, they are those; otherwise both must be the same, in whatever order.

    Raises:
      DataError: they are neither.
    """
    known = [value.item() if hasattr(value, "item") else value for value in own]
    if given is None or set(known) == set(given):
        return tuple(known)
    if all(isinstance(v, (int, float)) and v in range(len(given)) for v in known):
        return tuple(given[int(value)] for value in known)
    raise DataError(
        f"the model tells the classes {', '.join(map(repr, known[:10]))} apart, and was given the "
        f"classes {', '.join(map(repr, given[:10]))}",
        hint="Train it on these labels, or on their numbers: penstock.models.class_numbers.",
    )


def classes_of(table: pa.Table) -> tuple[Any, ...] | None:
    """Return the classes of a table that `classification` made; None for other tables."""
    text = (table.schema.metadata or {}).get(_CLASSES)
    return None if text is None else tuple(json.loads(text))


def regression(values: Any) -> pa.Table:
    """Return the table of a regression: `prediction`, one number a row or a list of them."""
    array = np.asarray(values, np.float64)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    column = pa.array(array) if array.ndim == 1 else fixed_lists(array)
    return pa.table({PREDICTION: column})


def fixed_lists(matrix: Any) -> pa.Array:
    """Return an array of shape (rows, size, ...) as lists of that size."""
    array = np.ascontiguousarray(matrix)
    values = pa.array(array.reshape(-1))
    for size in reversed(array.shape[1:]):
        values = pa.FixedSizeListArray.from_arrays(values, size)
    return values


def array_of(table: pa.Table, name: str) -> Any:
    """Return a column as a NumPy array: of shape (rows,), or (rows, size) for lists of one size.

    Numbers that are missing are NaN, and texts that are missing None.
    """
    column = table.column(name)
    if is_list(column.type):
        flat = pa.concat_arrays([chunk.flatten() for chunk in column.chunks] or [pa.array([])])
        values = flat.to_numpy(zero_copy_only=False)
        return values.reshape(table.num_rows, -1 if table.num_rows else 0)
    return column.to_numpy()


def matrix_of(table: pa.Table, names: Sequence[str], dtype: Any = np.float64) -> Any:
    """Return columns of numbers as one matrix of shape (rows, columns); missing ones are NaN.

    A column of lists of one size has a column for each of their places.

    Raises:
      DataError: a column is not of numbers.
    """
    parts = []
    for name in names:
        array = array_of(table, name)
        if array.dtype.kind not in "biuf":
            raise DataError(
                f"the model takes numbers, and column {name!r} is {table.schema.field(name).type}",
                column=name,
                hint="Make numbers of it in the model's features (penstock.models.features), or "
                "leave it out.",
            )
        parts.append(array.astype(dtype).reshape(len(array), -1))
    return np.concatenate(parts, axis=1) if parts else np.empty((table.num_rows, 0), dtype)
