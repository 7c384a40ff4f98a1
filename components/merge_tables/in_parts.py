"""A merge in parts: rows that may be duplicates of each other meet in one of them.

First each piece of the base table is read, and its rows are dealt to buckets by what they hold,
with their place in the table beside them. Then each bucket is cleaned and joined like a small
table, and its rows go to their spans. In the end the rows of each span are put in order and
written. What stands in between is in a folder that all workers see, and what is written in the end
is what a merge of the whole table at once writes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import feather

from penstock.components.merge_tables.cleaning import clean, row_hashes
from penstock.components.merge_tables.counts import JoinCounts, MergeCounts, TableCounts
from penstock.components.merge_tables.deriving import selected, with_derived
from penstock.components.merge_tables.joining import join_tables
from penstock.components.merge_tables.reading import (
    Piece,
    Types,
    common_types,
    files_of,
    pieces_of,
    read_piece,
    read_table,
    schema_of,
)
from penstock.components.merge_tables.spans import by_span, write_span
from penstock.components.merge_tables.tables import DerivedColumn, Join, SourceTable
from penstock.data.files.appearing import appearing
from penstock.data.parallel.processes import Advance
from penstock.data.parallel.rows_done import RowsDone
from penstock.data.parallel.workers import Workers

# Compressed data of the base table that a bucket, or a piece, stands for.
PART_BYTES = 64 << 20
_MOST_BUCKETS = 256

_PLACE = ".place in the base table"
# A place is the number of a piece, and that of a row in it.
_ROW_BITS = 40


@dataclass(frozen=True)
class Merge:
    """What a merge is to do; `output` is the folder of what is written."""

    base: SourceTable
    joins: tuple[Join, ...]
    derived: tuple[DerivedColumn, ...]
    columns: tuple[str, ...]
    span_column: str | None
    last_span: int | None
    output: str


def joined(
    asked: Merge, rows: pa.Table, rights: Sequence[pa.Table]
) -> tuple[pa.Table, list[JoinCounts]]:
    """Return cleaned rows with the columns of all joins and the derived ones, and the counts."""
    counts = []
    for join, right in zip(asked.joins, rights, strict=True):
        rows, counted = join_tables(rows, right, join)
        counts.append(counted)
    for column in asked.derived:
        rows = with_derived(rows, column)
    selected(rows, asked.columns)
    return rows, counts


def count(folder: str, base: SourceTable) -> int:
    """Return in how many parts a merge should be done, by the size of its base table."""
    size = sum(path.stat().st_size for path in files_of(folder, base.name))
    return min(_MOST_BUCKETS, 1 + size // PART_BYTES)


def merge(
    asked: Merge,
    folder: str,
    temporary: str,
    buckets: int,
    workers: Workers,
    progress: Callable[..., None] | None = None,
) -> MergeCounts:
    """Write the merged rows below the output's folder and return the counts."""
    dealt, merged = os.path.join(temporary, "dealt"), os.path.join(temporary, "merged")
    rights = _Rights(folder, tuple(join.table for join in asked.joins), temporary)
    done = RowsDone(progress)
    paths = files_of(folder, asked.base.name)
    schemas = list(
        workers.map(partial(_schema, asked.base), paths, named=lambda path: f"look at {path}")
    )
    types = common_types(list(zip(paths, schemas, strict=True)))
    pieces = list(enumerate(piece for path in paths for piece in pieces_of(path, PART_BYTES)))
    deal = partial(_deal, asked.base, types, buckets, dealt)
    read = workers.map(deal, pieces, named=lambda part: f"read {part[1].path}", advance=done.add)
    for _ in read:
        pass
    tables = range(len(asked.joins))
    right_counts = list(
        workers.map(rights.clean, tables, named=lambda n: f"read {asked.joins[n].table.name}")
    )
    work = partial(_merge_bucket, asked, rights, dealt, merged, len(pieces))
    results = workers.map(work, range(buckets), named=lambda n: f"merge part {n + 1} of {buckets}")
    of_buckets = list(results)
    shutil.rmtree(dealt)
    spans = sorted({span for bucket in of_buckets for span in bucket.spans})
    write = partial(_write, asked, merged, buckets)
    names = workers.map(write, spans, named=lambda span: f"write {span or 'the merged rows'}")
    written = dict(zip(spans, names, strict=True))
    shutil.rmtree(merged, ignore_errors=True)
    by_table = {asked.base.name: reduce(add, (bucket.base for bucket in of_buckets))}
    for join, counted in zip(asked.joins, right_counts, strict=True):
        by_table[join.table.name] = counted
    joins = [reduce(add, parts) for parts in zip(*(b.joins for b in of_buckets), strict=True)]
    beyond = sum(bucket.beyond for bucket in of_buckets)
    return MergeCounts(by_table, joins, beyond, written, asked.base.name)


def _schema(table: SourceTable, path: Path, _: Advance) -> pa.Schema:
    return schema_of(path, table)


def _deal(
    table: SourceTable,
    types: Types,
    buckets: int,
    folder: str,
    part: tuple[int, Piece],
    advance: Advance,
) -> None:
    """Write the rows of a piece to the files of their buckets."""
    number, piece = part
    rows = read_piece(piece, table, types)
    hashes = row_hashes(rows.columns) if rows.num_columns else np.zeros(rows.num_rows, np.uint64)
    bucket_of = (hashes % np.uint64(buckets)).astype(np.int64)
    places = np.arange(rows.num_rows, dtype=np.int64) + (number << _ROW_BITS)
    placed = rows.append_column(_PLACE, pa.array(places)).combine_chunks()
    order = np.argsort(bucket_of, kind="stable")
    ends = np.searchsorted(bucket_of[order], np.arange(buckets), side="right")
    first = 0
    for bucket, end in enumerate(ends.tolist()):
        _keep(placed.take(pa.array(order[first:end])), _file(folder, bucket, number))
        first = end
    advance(rows.num_rows)


@dataclass(frozen=True)
class _Rights:
    """The tables that are joined, cleaned once for all buckets."""

    folder: str
    tables: tuple[SourceTable, ...]
    temporary: str

    def clean(self, number: int, _: Advance) -> TableCounts:
        """Clean a table, and keep it for the buckets."""
        table = self.tables[number]
        rows, counts = clean(read_table(self.folder, table), table)
        _keep(rows, self._path(number))
        return counts

    def read(self) -> Iterator[pa.Table]:
        """Yield the cleaned tables."""
        for number in range(len(self.tables)):
            yield _kept(self._path(number))

    def _path(self, number: int) -> str:
        return os.path.join(self.temporary, "joined", f"{number}.arrow")


@dataclass(frozen=True)
class _Merged:
    """The counts of a bucket, and the spans that its rows are of."""

    base: TableCounts
    joins: list[JoinCounts]
    beyond: int
    spans: list[str]


def _merge_bucket(
    asked: Merge, rights: _Rights, dealt: str, merged: str, pieces: int, bucket: int, _: Advance
) -> _Merged:
    read = [_kept(_file(dealt, bucket, number)) for number in range(pieces)]
    rows, base = clean(pa.concat_tables(read), asked.base, beside=[_PLACE])
    rows, joins = joined(asked, rows, list(rights.read()))
    beyond, spans = 0, []
    for span, chosen in by_span(rows, asked.span_column, asked.last_span):
        if span is None:
            beyond += chosen.num_rows
            continue
        spans.append(span)
        kept = [*dict.fromkeys(asked.columns), _PLACE]
        _keep(chosen.select(kept), os.path.join(merged, span, f"{bucket}.arrow"))
    return _Merged(base, joins, beyond, spans)


def _write(asked: Merge, merged: str, buckets: int, span: str, _: Advance) -> int:
    paths = [os.path.join(merged, span, f"{bucket}.arrow") for bucket in range(buckets)]
    rows = pa.concat_tables([_kept(path) for path in paths if os.path.exists(path)])
    rows = rows.combine_chunks()  # what is taken of many chunks is taken slowly
    order = np.argsort(rows.column(_PLACE).to_numpy())
    return write_span(rows.take(pa.array(order)), asked.columns, asked.output, span)


def _keep(rows: pa.Table, path: str) -> None:
    with appearing(path) as aside:
        feather.write_feather(rows, aside)


def _kept(path: str) -> pa.Table:
    return feather.read_table(path, memory_map=False)  # it is removed while rows are in use


def _file(folder: str, bucket: int, number: int) -> str:
    return os.path.join(folder, str(bucket), f"{number}.arrow")
