"""One table cleaned: duplicates and dropped rows are counted, nothing else changes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from penstock.components.merge_tables.counts import TableCounts
from penstock.components.merge_tables.tables import Condition, DropRule, SourceTable
from penstock.errors import DataError, ParameterError, suggestion

_COMPARISONS = {
    Condition.BELOW: pc.less,
    Condition.ABOVE: pc.greater,
    Condition.EQUAL: pc.equal,
    Condition.NOT_EQUAL: pc.not_equal,
}


def clean(read: pa.Table, table: SourceTable) -> tuple[pa.Table, TableCounts]:
    """Return the table without duplicates and without the rows that its rules drop."""
    rows = read.filter(pa.array(~duplicated(read)))
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
    if not table.num_columns:
        return np.zeros(table.num_rows, dtype=bool)
    # Codes instead of values: pandas would turn integers with gaps into floats.
    codes = {str(i): value_codes(column) for i, column in enumerate(table.columns)}
    return pd.DataFrame(codes).duplicated().to_numpy()


def value_codes(column: pa.ChunkedArray) -> np.ndarray:
    """Return a number for each value, equal for equal values; missing has one too."""
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return encoded.indices.to_numpy(zero_copy_only=False)


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
