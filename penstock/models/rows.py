"""Rows as people and programs have them, as an Arrow table."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from penstock.errors import DataError, RowError


def as_table(rows: Any) -> pa.Table:
    """Return rows as a table: an Arrow table or batch, a data frame, dicts by row, or one dict.

    A dict of lists, or of arrays, has its columns; any other dict is one row.

    Raises:
      DataError: the rows are of another kind, or a column has values of several kinds; the error
        names the row and the column.
    """
    if isinstance(rows, pa.Table):
        return rows
    if isinstance(rows, pa.RecordBatch):
        return pa.Table.from_batches([rows])
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(rows, pandas.DataFrame):
        return _of_columns({str(name): rows[name] for name in rows.columns})
    if isinstance(rows, Mapping):
        if rows and all(_is_column(value) for value in rows.values()):
            return _of_columns(rows)
        return _of_dicts([rows])
    if isinstance(rows, Sequence) and all(isinstance(row, Mapping) for row in rows):
        return _of_dicts(rows)
    to_arrow = getattr(rows, "to_arrow", None)  # Polars, and others after its example
    if callable(to_arrow):
        return as_table(to_arrow())
    raise DataError(
        f"expected an Arrow table, a data frame or dicts, got {type(rows).__name__}",
        hint="For one row: model.predict({'column': value, ...}).",
    )


def _is_column(value: Any) -> bool:
    return isinstance(value, (list, pa.Array, pa.ChunkedArray)) or hasattr(value, "__array__")


def _of_dicts(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    return _of_columns({name: [row.get(name) for row in rows] for name in names})


def _of_columns(columns: Mapping[str, Any]) -> pa.Table:
    wrong = next((name for name in columns if not _is_unicode(name)), None)
    if wrong is not None:
        raise DataError(f"expected a text as a column's name, got {wrong!a} (half a character)")
    arrays = {name: _array(values, name) for name, values in columns.items()}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        (first, rows), (other, more) = next(
            (a, b)
            for a, b in zip(lengths.items(), list(lengths.items())[1:], strict=False)
            if a[1] != b[1]
        )
        raise DataError(f"columns should be of one length: {first!r} has {rows}, {other!r} {more}")
    return pa.table(arrays)


def _array(values: Any, name: str) -> Any:
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    from_pandas = not isinstance(values, list)
    try:
        return pa.array(values, from_pandas=from_pandas)
    except UnicodeEncodeError:
        row, half = next((row, value) for row, value in enumerate(values) if not _is_unicode(value))
        raise RowError(
            f"expected a text, got {half!a:.60} (half a character)", row=row, column=name
        ) from None
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        return _numbers_or_error(list(values), name, error)


def _is_unicode(value: Any) -> bool:
    """Return whether all texts in a value can be encoded: JSON may have half a pair alone."""
    if isinstance(value, (list, tuple)):
        return all(map(_is_unicode, value))
    return not isinstance(value, str) or not any("\ud800" <= letter <= "\udfff" for letter in value)


def _numbers_or_error(values: list[Any], name: str, error: Exception) -> pa.Array:
    """Return whole and other numbers together as floats; they are one kind to people."""
    given = [(row, value) for row, value in enumerate(values) if value is not None]
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for _, v in given):
        floats: list[float | None] = [None] * len(values)
        for row, value in given:
            try:
                floats[row] = float(value)
            except OverflowError:
                raise RowError(
                    f"expected a number, got one of {value.bit_length()} bits",
                    row=row,
                    column=name,
                ) from None
        return pa.array(floats, pa.float64())
    first = type(given[0][1]) if given else type(None)
    for row, value in given:
        if type(value) is not first:
            raise RowError(
                f"expected {first.__name__} as in the rows before, got {value!r} "
                f"({type(value).__name__})",
                row=row,
                column=name,
            ) from error
    raise DataError(f"column {name!r} cannot be read: {error}", column=name) from error
