"""One table cleaned: duplicates and dropped rows are counted, nothing else changes."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.components.merge_tables.counts import TableCounts
from penstock.components.merge_tables.tables import Condition, DropRule, SourceTable
from penstock.errors import DataError, ParameterError, suggestion

# More combinations of values than rows can have are numbered anew, before they leave 64 bits.
_MOST_CODES = 1 << 62

# Odd, so that no two numbers become one, and without a pattern: 2**64 by the golden ratio.
_FACTOR = np.uint64(0x9E3779B97F4A7C15)

_COMPARISONS = {
    Condition.BELOW: pc.less,
    Condition.ABOVE: pc.greater,
    Condition.EQUAL: pc.equal,
    Condition.NOT_EQUAL: pc.not_equal,
}


def clean(
    read: pa.Table, table: SourceTable, beside: Sequence[str] = ()
) -> tuple[pa.Table, TableCounts]:
    """Return the table without duplicates and without the rows that its rules drop.

    The columns `beside` are not the table's: rows may be duplicates that differ in them.
    """
    own = read.select([name for name in read.column_names if name not in beside])
    rows = read.filter(pa.array(~duplicated(own)))
    duplicates = read.num_rows - rows.num_rows
    dropped: dict[str, int] = {}
    for rule in table.drop:
        if rule.name in dropped:
            raise ParameterError(f"table {table.name} has two drop rules {rule.name!r}")
        left = rows.filter(pa.array(~applies(rule, rows, table.name)))
        dropped[rule.name] = rows.num_rows - left.num_rows
        rows = left
    return rows, TableCounts(read.num_rows, duplicates, dropped, rows.num_rows)


def duplicated(table: pa.Table) -> np.ndarray:
    """Return which rows are equal to an earlier one in all columns; missing equals missing."""
    later = np.zeros(table.num_rows, dtype=bool)
    if table.num_columns:
        _, first = np.unique(row_codes(table.columns), return_index=True)
        later[:] = True
        later[first] = False
    return later


def row_codes(columns: Sequence[pa.ChunkedArray]) -> np.ndarray:
    """Return a number for each row, equal for rows that are equal in all columns."""
    rows = np.zeros(len(columns[0]), dtype=np.int64)
    different = 1
    for column in columns:
        codes, count = _value_codes(column)
        if different * count > _MOST_CODES:
            found, rows = np.unique(rows, return_inverse=True)
            different = len(found)
        rows, different = rows * count + codes, different * count
    return rows


def _value_codes(column: pa.ChunkedArray) -> tuple[np.ndarray, int]:
    """Return a number for each value, equal for equal values, and how many there are.

    Missing has one too.
    """
    if pa.types.is_floating(column.type) and not pa.types.is_float16(column.type):
        column = pc.add(column, pa.scalar(0, column.type))  # the zero below zero becomes zero
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    indices = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return indices, max(1, len(encoded.dictionary))


def row_hashes(columns: Sequence[pa.ChunkedArray]) -> np.ndarray:
    """Return a number for each row, equal for equal rows, whatever rows are beside it."""
    hashes = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        hashes = hashes * _FACTOR + _value_hashes(column)
        hashes = (hashes ^ (hashes >> np.uint64(29))) * _FACTOR
    return hashes ^ (hashes >> np.uint64(32))


def _value_hashes(column: pa.ChunkedArray) -> np.ndarray:
    """Return a number for each value, equal for equal values of the column's type."""
    if pa.types.is_floating(column.type):
        # Zeros of both signs are equal, and so is all that is no number.
        numbers = pc.add(column.cast(pa.float64()), pa.scalar(0.0)).fill_null(0.5).to_numpy()
        return np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64)
    if pa.types.is_integer(column.type):
        return column.fill_null(0).to_numpy().astype(np.int64).view(np.uint64)
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    texts = [str(value).encode() for value in encoded.dictionary.to_pylist()]
    of_values = np.array([zlib.crc32(text) for text in texts] or [0], np.uint64)
    return of_values[encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)]


def applies(rule: DropRule, rows: pa.Table, table_name: str) -> np.ndarray:
    """Return which rows meet the condition of a rule."""
    where = f"rule {rule.name!r} of table {table_name}"
    if rule.column not in rows.column_names:
        raise DataError(
            f"the {where} needs a column {rule.column!r}",
            hint=suggestion(rule.column, rows.column_names, noun="column"),
        )
    column = rows.column(rule.column)
    if rule.condition is Condition.MISSING:
        return pc.is_null(column, nan_is_null=True).to_numpy()
    if rule.value is None:
        raise ParameterError(f"the {where} needs a value to compare with")
    try:
        meets = _COMPARISONS[rule.condition](column, pa.scalar(rule.value))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"the {where} compares {rule.column} ({column.type}) with {rule.value!r}"
        ) from error
    return pc.fill_null(meets, False).to_numpy()
