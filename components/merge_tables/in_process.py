"""The whole merge: read, clean, join, derive, write by span, and count."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence

from penstock.components.merge_tables import in_parts
from penstock.components.merge_tables.cleaning import clean
from penstock.components.merge_tables.counts import MergeCounts, TableCounts, check_sums
from penstock.components.merge_tables.in_parts import Merge, joined
from penstock.components.merge_tables.reading import read_table
from penstock.components.merge_tables.spans import by_span, write_span
from penstock.components.merge_tables.tables import DerivedColumn, Join, SourceTable
from penstock.data.parallel.choosing import workers_of
from penstock.errors import ParameterError
from penstock.project.clusters import Cluster

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
    temporary: str | None = None,
    cluster: Cluster | None = None,
) -> MergeCounts:
    """Write the merged rows and `_counts.json` below `output` and return the counts.

    The rows of a large table are merged in parts, by way of the folder `temporary`; with a
    `cluster` its workers do that.
    """
    asked = Merge(
        base, tuple(joins), tuple(derived), tuple(columns), span_column, last_span, output
    )
    parts = in_parts.count(folder, base) if temporary is not None else 1
    if temporary is not None and parts > 1:
        with workers_of(cluster) as workers:
            counts = in_parts.merge(asked, folder, temporary, parts, workers, progress)
    else:
        counts = _merge_at_once(asked, folder, progress)
    check_sums(counts)
    with open(os.path.join(output, COUNTS_FILE), "w", encoding="utf-8") as file:
        json.dump(counts.to_json(), file, indent=2)
        file.write("\n")
    print(describe(counts))
    return counts


def _merge_at_once(asked: Merge, folder: str, progress: Callable[..., None] | None) -> MergeCounts:
    rows, of_base = clean(read_table(folder, asked.base), asked.base)
    if progress:
        progress(rows=of_base.read)
    tables: dict[str, TableCounts] = {asked.base.name: of_base}
    rights = []
    for join in asked.joins:
        right, tables[join.table.name] = clean(read_table(folder, join.table), join.table)
        rights.append(right)
    rows, join_counts = joined(asked, rows, rights)
    beyond, written = 0, {}
    for span, chosen in by_span(rows, asked.span_column, asked.last_span):
        if span is None:
            beyond += chosen.num_rows
        else:
            written[span] = write_span(chosen, asked.columns, asked.output, span)
    return MergeCounts(tables, join_counts, beyond, written, asked.base.name)


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
