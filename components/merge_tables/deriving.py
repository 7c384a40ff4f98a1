"""Columns of merged rows: those that are there, and those that come of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.components.merge_tables.tables import DerivedColumn, Operation
from penstock.errors import DataError, ParameterError, suggestion


def selected(rows: pa.Table, columns: Sequence[str]) -> list[str]:
    """Return names of columns.

    Raises:
      DataError: there is no such column.
    """
    for column in columns:
        if column not in rows.column_names:
            raise DataError(
                f"the merged rows have no column {column!r} to write",
                hint=suggestion(column, rows.column_names, noun="column"),
            )
    return list(columns)


def with_derived(rows: pa.Table, derived: DerivedColumn) -> pa.Table:
    """Return the rows with one column more.

    Raises:
      DataError: a column is missing, or there already.
      ParameterError: the operation is of other columns.
    """
    selected(rows, derived.columns)
    if derived.name in rows.column_names:
        raise DataError(f"the derived column {derived.name!r} is there already")
    needed = 1 if derived.operation is Operation.AT_LEAST else 3
    if len(derived.columns) != needed:
        raise ParameterError(
            f"the derived column {derived.name!r} ({derived.operation.value}) needs {needed} "
            f"column(s), got {len(derived.columns)}"
        )
    inputs = [rows.column(name) for name in derived.columns]
    if derived.operation is Operation.WEEKDAY:
        return rows.append_column(derived.name, _weekday(*inputs))
    if derived.value is None:
        raise ParameterError(f"the derived column {derived.name!r} (at_least) needs a value")
    at_least = pc.greater_equal(inputs[0], pa.scalar(derived.value))
    return rows.append_column(derived.name, at_least.cast(pa.int64()))


def _weekday(year: Any, month: Any, day: Any) -> Any:
    # Days since 1970 by counting from the civil calendar, so that missing parts stay missing.
    months = pc.add(pc.multiply(pc.subtract(year, 1970), 12), pc.subtract(month, 1))
    valid = pc.is_valid(pc.add(months, day)).to_numpy()
    first = pc.fill_null(months, 0).to_numpy().astype("datetime64[M]").astype("datetime64[D]")
    days = (first.astype(np.int64) + pc.fill_null(day, 1).to_numpy()) - 1
    # 1970-01-01 was a Thursday.
    return pa.array((days + 3) % 7 + 1, mask=~valid)
