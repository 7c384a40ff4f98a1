"""Merged rows as files: one, or one for each span."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from penstock.components.merge_tables.deriving import selected
from penstock.data.files.appearing import appearing
from penstock.errors import DataError

# The name of the span of all rows where there are no spans; its file stands in no folder.
NO_SPAN = ""


def by_span(
    rows: pa.Table, span_column: str | None, last_span: int | None
) -> Iterator[tuple[str | None, pa.Table]]:
    """Yield the rows of each span with its name, which is None beyond the last one."""
    if span_column is None:
        yield NO_SPAN, rows
        return
    spans = _span_values(rows, span_column)
    for span in sorted(pc.unique(spans).to_pylist()):
        is_beyond = last_span is not None and span > last_span
        yield None if is_beyond else f"span-{span:02d}", rows.filter(pc.equal(spans, span))


def _span_values(rows: pa.Table, span_column: str) -> pa.ChunkedArray:
    selected(rows, [span_column])
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


def write_span(rows: pa.Table, columns: Sequence[str], output: str, span: str) -> int:
    """Write the file of a span and return the number of rows that its footer then states.

    The same rows give the same bytes, in whatever chunks they come.
    """
    path = os.path.join(output, span, "data.parquet")
    whole = rows.select(list(columns)).combine_chunks().replace_schema_metadata(None)
    with appearing(path) as aside:
        pyarrow.parquet.write_table(whole, aside)
    return pyarrow.parquet.read_metadata(path).num_rows
