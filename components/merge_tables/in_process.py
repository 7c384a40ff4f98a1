"""The whole merge: read, clean, join, derive, write by span, and count."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from penstock.components.merge_tables.cleaning import clean
from penstock.components.merge_tables.counts import MergeCounts, TableCounts, check_sums
from penstock.components.merge_tables.joining import join_tables
from penstock.components.merge_tables.reading import read_table
from penstock.components.merge_tables.tables import DerivedColumn, Join, Operation, SourceTable
from penstock.errors import DataError, ParameterError, suggestion

# Readers of Parquet folders pass over names that begin so.
COUNTS_FILE = "_counts.json"


def source_folder(artifact_uri: str | None, input_base: str | None) -> str:
    """Return the one folder that is given."""
    if bool(artifact_uri) == bool(input_base):
        raise ParameterError(
            "MergeTables takes its tables from `sources` or from `input_base`: "
            + ("both are given" if artifact_uri else "neither is given"),
            hint="Give exactly one of them.",
        )
    return artifact_uri or input_base or ""


def merge(
    folder: str,
    output: str,
    *,
    base: SourceTable,
    columns: Sequence[str],
    joins: Sequence[Join] = (),
    derived: Sequence[DerivedColumn] = (),
    span_column: str | None = None,
    last_span: int | None = None,
    progress: Callable[..., None] | None = None,
) -> MergeCounts:
    """Write the merged rows and `_counts.json` below `output` and return the counts."""
    rows, base_counts = clean(read_table(folder, base), base)
    if progress:
        progress(rows=base_counts.read)
    tables: dict[str, TableCounts] = {base.name: base_counts}
    join_counts = []
    for join in joins:
        right, tables[join.table.name] = clean(read_table(folder, join.table), join.table)
        rows, counted = join_tables(rows, right, join)
        join_counts.append(counted)
    for column in derived:
        rows = _with_derived(rows, column)
    beyond, written = _write(rows, output, _selected(rows, columns), span_column, last_span)
    counts = MergeCounts(tables, join_counts, beyond, written, base.name)
    check_sums(counts)
    with open(os.path.join(output, COUNTS_FILE), "w", encoding="utf-8") as file:
        json.dump(counts.to_json(), file, indent=2)
        file.write("\n")
    print(describe(counts))
    return counts


def describe(counts: MergeCounts) -> str:
    """Return the counts as lines for a person."""
    lines = []
    for name, table in counts.tables.items():
        drops = "".join(f", {n} dropped as {rule}" for rule, n in table.dropped.items())
        lines.append(f"{name}: {table.read} read, {table.duplicates} duplicate{drops}")
    lines += [
        f"join with {join.table}: {join.matched} matched, {join.unmatched} not"
        for join in counts.joins
    ]
    lines.append(f"{counts.rows_written} written to {len(counts.written)} file(s)")
    return "\n".join(lines)


def _selected(rows: pa.Table, columns: Sequence[str]) -> list[str]:
    for column in columns:
        if column not in rows.column_names:
            raise DataError(
                f"the merged rows have no column {column!r} to write",
                hint=suggestion(column, rows.column_names, noun="column"),
            )
    return list(columns)


def _with_derived(rows: pa.Table, derived: DerivedColumn) -> pa.Table:
    _selected(rows, derived.columns)
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


def _write(
    rows: pa.Table,
    output: str,
    columns: list[str],
    span_column: str | None,
    last_span: int | None,
) -> tuple[int, dict[str, int]]:
    """Write the files and return how many rows were left out, and those of each file."""
    if span_column is None:
        return 0, {"": _write_file(rows.select(columns), output)}
    spans = _span_values(rows, span_column)
    beyond, written = 0, {}
    for span in sorted(pc.unique(spans).to_pylist()):
        chosen = rows.filter(pc.equal(spans, span))
        if last_span is not None and span > last_span:
            beyond += chosen.num_rows
            continue
        name = f"span-{span:02d}"
        written[name] = _write_file(chosen.select(columns), os.path.join(output, name))
    return beyond, written


def _span_values(rows: pa.Table, span_column: str) -> pa.ChunkedArray:
    _selected(rows, [span_column])
    spans = rows.column(span_column)
    bad = None
    if not pa.types.is_integer(spans.type):
        bad = f"is {spans.type}"
    elif spans.null_count:
        bad = f"is missing in {spans.null_count} rows"
    elif len(spans) and pc.min(spans).as_py() < 0:
        bad = f"is {pc.min(spans).as_py()} in a row"
    if bad:
        raise DataError(f"spans are whole numbers from 0, and the column {span_column!r} {bad}")
    return spans


def _write_file(rows: pa.Table, folder: str) -> int:
    """Write one Parquet file and return the number of rows that its footer then states."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "data.parquet")
    pyarrow.parquet.write_table(rows.replace_schema_metadata(None), path)
    return pyarrow.parquet.read_metadata(path).num_rows
