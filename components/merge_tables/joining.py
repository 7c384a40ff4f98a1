"""Two tables joined, row for row: a join adds columns and never rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.components.merge_tables.cleaning import duplicated, row_codes
from penstock.components.merge_tables.counts import JoinCounts
from penstock.components.merge_tables.tables import Join, JoinKind
from penstock.errors import DataError, suggestion

_SHOWN_KEYS = 5


class DuplicateKeysError(DataError):
    """A join would multiply rows; `keys` are the key values that the right table has twice."""

    def __init__(self, message: str, *, keys: list[dict[str, object]], hint: str) -> None:
        super().__init__(message, hint=hint)
        self.keys = keys


def join_tables(left: pa.Table, right: pa.Table, join: Join) -> tuple[pa.Table, JoinCounts]:
    """Return `left` with the columns of `right`, in the order of `left`, and the counts."""
    name = join.table.name
    _check_columns(left, right, join)
    _check_unique(right, join)
    index = _matching_rows(left, right, join.on)
    matched = index >= 0
    if join.kind is JoinKind.INNER:
        left, index = left.filter(pa.array(matched)), index[matched]
    take = pa.array(index, mask=index < 0)
    joined = left
    for column in right.column_names:
        if column not in join.on:
            joined = joined.append_column(
                right.schema.field(column), right.column(column).combine_chunks().take(take)
            )
    matches = int(matched.sum())
    missing = len(matched) - matches
    counts = JoinCounts(name, join.kind.value, len(matched), matches, missing, joined.num_rows)
    return joined, counts


def _check_columns(left: pa.Table, right: pa.Table, join: Join) -> None:
    name = join.table.name
    if not join.on:
        raise DataError(f"the join with {name} names no columns to join on")
    for key in join.on:
        for side, table in (("the rows so far", left), (f"table {name}", right)):
            if key not in table.column_names:
                raise DataError(
                    f"the join with {name} is on {key!r}, and {side} have no such column",
                    hint=suggestion(key, table.column_names, noun="column"),
                )
        types = left.schema.field(key).type, right.schema.field(key).type
        if types[0] != types[1]:
            raise DataError(
                f"the join with {name} is on {key!r}, which is {types[0]} on the left and "
                f"{types[1]} in {name}"
            )
    both = [c for c in right.column_names if c in left.column_names and c not in join.on]
    if both:
        raise DataError(
            f"the join with {name} would give two columns {both[0]!r}",
            hint=f"Rename it in the table {name}: rename={{{both[0]!r}: '{name}_{both[0]}'}}.",
        )


def _check_unique(right: pa.Table, join: Join) -> None:
    keys = right.select(list(join.on)).filter(pa.array(_present(right, join.on)))
    again = keys.filter(pa.array(duplicated(keys)))
    if not again.num_rows:
        return
    values = again.filter(pa.array(~duplicated(again))).to_pylist()
    examples = "; ".join(
        ", ".join(f"{k}={v!r}" for k, v in row.items()) for row in values[:_SHOWN_KEYS]
    )
    more = f" and {len(values) - _SHOWN_KEYS} more" if len(values) > _SHOWN_KEYS else ""
    raise DuplicateKeysError(
        f"the join with {join.table.name} would multiply rows: {len(values)} of its keys "
        f"({', '.join(join.on)}) are there more than once: {examples}{more}",
        keys=values,
        hint="Add a column to the keys that tells them apart, or a drop rule that keeps one.",
    )


def _present(table: pa.Table, on: tuple[str, ...]) -> np.ndarray:
    """Return which rows have a key without a missing part."""
    present = np.ones(table.num_rows, dtype=bool)
    for key in on:
        present &= pc.is_valid(table.column(key)).to_numpy()
    return present


def _matching_rows(left: pa.Table, right: pa.Table, on: tuple[str, ...]) -> np.ndarray:
    """Return for each row of `left` the row of `right` with its key, or -1."""
    both = [
        pa.chunked_array([*left.column(key).chunks, *right.column(key).chunks], key_type)
        for key, key_type in ((key, left.schema.field(key).type) for key in on)
    ]
    codes = row_codes(both)
    of_left, of_right = codes[: left.num_rows], codes[left.num_rows :]
    rows = np.flatnonzero(_present(right, on))
    rows = rows[np.argsort(of_right[rows])]
    if not len(rows):
        return np.full(left.num_rows, -1, dtype=np.int64)
    sorted_codes = of_right[rows]
    at = np.minimum(np.searchsorted(sorted_codes, of_left), len(rows) - 1)
    matched = (sorted_codes[at] == of_left) & _present(left, on)
    return np.where(matched, rows[at], -1)
