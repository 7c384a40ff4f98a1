"""MergeTables: clean tables and join them into one, with every row accounted for."""

from __future__ import annotations

from typing import Any

from penstock import BeamOptions, Input, NodeContext, Output, Resolved, component
from penstock.artifacts import Tables
from penstock.components.merge_tables.fingerprint import fingerprint
from penstock.components.merge_tables.tables import (
    Condition,
    DerivedColumn,
    DropRule,
    Join,
    JoinKind,
    Operation,
    SourceTable,
)
from penstock.data.parallel.choosing import workers_of
from penstock.data.parallel.fetching import by_workers, local_copy

__all__ = [
    "Condition",
    "DerivedColumn",
    "DropRule",
    "Join",
    "JoinKind",
    "MergeTables",
    "Operation",
    "SourceTable",
]


def _resolve(parameters: dict[str, Any]) -> dict[str, Any]:
    folder = parameters["input_base"]
    return {"input_fingerprint": fingerprint(folder) if folder else ""}


@component(resolve=_resolve)
def MergeTables(
    tables: Output[Tables],
    base: SourceTable,
    columns: tuple[str, ...],
    sources: Input[Tables] | None = None,
    input_base: str | None = None,
    joins: tuple[Join, ...] = (),
    derived: tuple[DerivedColumn, ...] = (),
    span_column: str | None = None,
    last_span: int | None = None,
    input_fingerprint: Resolved[str] = "",
    beam: BeamOptions = BeamOptions(),
    context: NodeContext = NodeContext(),
) -> None:
    """Clean the table `base`, join others to it and write the named `columns` as Parquet.

    The tables are files of the artifact `sources` or of `input_base`, a folder or the URL of one
    in an object store. Duplicates go
    first, then the tables' drop rules apply, then the joins in their order, then the derived
    columns. With `span_column`, whose values are whole numbers from 0, each value's rows become
    `span-{SPAN:02d}/data.parquet`, up to `last_span`; without it all become `data.parquet`.
    Row order is that of the base table, and the same input gives the same bytes.

    Every row is counted: read, duplicate, dropped and by which rule, matched or not in each join,
    written to which span. The sums are checked before anything is handed on. They are written to
    `_counts.json` beside the data and to the artifact's custom properties `rows_read`,
    `rows_written` (of the base table) and `counts` (JSON).

    Raises:
      DataError: a file, a column or a key does not fit, or a join would multiply rows.
      ParameterError: not exactly one of `sources` and `input_base` is given.
    """
    from penstock.components.merge_tables import in_process

    cluster = beam.only_cluster()
    source = in_process.source_folder(sources and sources.uri, input_base)
    counts = in_process.merge(
        local_copy(source, context.temporary_directory, by_workers(workers_of(cluster))),
        tables.uri,
        base=base,
        joins=joins,
        derived=derived,
        columns=columns,
        span_column=span_column,
        last_span=last_span,
        progress=context.progress,
        temporary=context.temporary_directory,
        cluster=cluster,
    )
    tables.set_int_custom_property("rows_read", counts.rows_read)
    tables.set_int_custom_property("rows_written", counts.rows_written)
    tables.set_json_value_custom_property("counts", counts.to_json())
    if input_fingerprint:
        tables.set_string_custom_property("input_fingerprint", input_fingerprint)
