"""Rows of a prediction log to splits of examples, each row of a request once."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.data import parquet, unifying
from penstock.data.file_columns import located
from penstock.data.ingestion import Destination, check_payload
from penstock.data.parallel.workers import LocalWorkers
from penstock.data.spans import ResolvedInput
from penstock.data.writing import BlockWriter, SplitsWriter, shard_count, write_blocks
from penstock.errors import DataError
from penstock.serving.log.columns import REQUEST, ROLE, ROW, TIME, VERSION
from penstock.serving.log.reading import is_latest

_KEYS = (REQUEST, ROW, TIME, VERSION, ROLE)


@dataclass(frozen=True)
class Wanted:
    """Whose answers are read: of which roles, and of which versions if not of all."""

    roles: tuple[str, ...]
    versions: Sequence[int] | None = None

    def has(self, rows: pa.Table) -> Any:
        """Return for each row whether it is among them."""
        chosen = pc.is_in(rows.column(ROLE), value_set=pa.array(self.roles, pa.string()))
        if self.versions is None:
            return chosen
        numbers = pa.array(list(self.versions), pa.int64())
        return pc.and_(chosen, pc.is_in(rows.column(VERSION), value_set=numbers))


def generate_examples(
    resolved: ResolvedInput, to: Destination, wanted: Wanted, progress: Callable[..., None]
) -> dict[str, int]:
    """Write the rows that are wanted, of repeated ones the latest; return them by version."""
    check_payload("ServingLogGen", to)
    [split] = resolved.splits
    chosen, versions = _chosen(split.files, wanted)
    files = [path for path, rows in chosen.items() if pc.any(rows).as_py()]
    schema = unifying.common_schema(map(parquet.schema_of, files), _say)
    shards = shard_count(files, sum(map(parquet.row_group_count, files)))
    blocks = partial(_blocks, files, chosen, schema, split.name)
    write_blocks(to, blocks, shards, progress, LocalWorkers())
    return versions


def _chosen(files: Sequence[str], wanted: Wanted) -> tuple[dict[str, Any], dict[str, int]]:
    """Return for each file which of its rows are written, and how many rows a version has.

    Raises:
      DataError: a file has not the columns of a log, or there are no rows.
    """
    tables = [_keys_of(path) for path in files]
    keys = unifying.as_one(tables)
    number = pa.array(np.arange(keys.num_rows))
    mask = wanted.has(keys)
    kept = number.filter(mask.combine_chunks())
    latest = kept.filter(is_latest(keys.filter(mask)))
    if not len(latest):
        raise _nothing(keys, wanted)
    written = pc.is_in(number, value_set=latest)
    ends = itertools.accumulate(table.num_rows for table in tables)
    of_files = {
        path: written.slice(end - table.num_rows, table.num_rows)
        for path, table, end in zip(files, tables, ends, strict=True)
    }
    counted = Counter(keys.column(VERSION).filter(written).to_pylist())
    return of_files, {str(version): counted[version] for version in sorted(counted, key=str)}


def _keys_of(path: str) -> pa.Table:
    batches = parquet.read_file(path, columns=_KEYS)
    kinds = [field for field in parquet.schema_of(path) if field.name in _KEYS]
    return pa.Table.from_batches(batches, pa.schema(kinds))


def _nothing(keys: pa.Table, wanted: Wanted) -> DataError:
    of = f"roles {', '.join(map(repr, wanted.roles))}"
    if wanted.versions is not None:
        of += f" and versions {', '.join(map(str, wanted.versions))}"
    there = {
        f"{role!r} of version {version}"
        for role, version in zip(
            keys.column(ROLE).to_pylist(), keys.column(VERSION).to_pylist(), strict=True
        )
    }
    found = ", ".join(sorted(there)) or "no rows at all"
    return DataError(f"expected rows of {of}, found {found}")


def _blocks(
    files: Sequence[str], chosen: Mapping[str, Any], schema: pa.Schema, split: str
) -> Iterator[BlockWriter]:
    for path in files:
        start = 0
        for group, rows in enumerate(parquet.row_group_sizes(path)):
            mask = chosen[path].slice(start, rows)
            start += rows
            yield partial(_write, path, group, mask, schema, split)


def _write(
    path: str, group: int, mask: Any, schema: pa.Schema, split: str, writer: SplitsWriter
) -> None:
    if not group:
        _say(f"Reading {path}")
    start = 0
    for batch in parquet.read_file(path, row_groups=[group]):
        rows = pa.Table.from_batches([batch]).filter(mask.slice(start, batch.num_rows))
        start += batch.num_rows
        with located(path):
            for one in unifying.unified(rows, schema).combine_chunks().to_batches():
                writer.write_batch(one, split)


def _say(text: str) -> None:
    # Unbuffered: it is what the log has last if Arrow crashes.
    print(text, flush=True)
