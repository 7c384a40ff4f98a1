"""Parquet files to splits of examples, in one process or several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from penstock.authoring.beam import BeamOptions
from penstock.data import parquet
from penstock.data.file_columns import common_types, located
from penstock.data.ingestion import Destination, check_payload
from penstock.data.parallel.workers import Workers
from penstock.data.spans import ResolvedInput
from penstock.data.writing import BlockWriter, SplitsWriter, shard_count, write_blocks


def generate_examples(
    resolved: ResolvedInput,
    to: Destination,
    columns: Sequence[str] | None,
    progress: Callable[..., None],
    beam: BeamOptions = BeamOptions(),
) -> None:
    """Read the files of every input split, and write their rows to the splits they belong to."""
    check_payload("ParquetExampleGen", to)
    with beam.workers() as workers:
        write_parquet(resolved, to, columns, progress, workers)


def write_parquet(
    resolved: ResolvedInput,
    to: Destination,
    columns: Sequence[str] | None,
    progress: Callable[..., None],
    workers: Workers,
) -> None:
    """Write the rows of Parquet files to the splits that they belong to."""
    types = common_types(
        [split.files for split in resolved.splits], parquet.schema_of, columns, _say
    )
    shards = shard_count(resolved.files, sum(map(parquet.row_group_count, resolved.files)))
    write_blocks(to, partial(_blocks, resolved, types), shards, progress, workers)


def _blocks(resolved: ResolvedInput, types: Mapping[str, Any]) -> Iterator[BlockWriter]:
    for split in resolved.splits:
        for path in split.files:
            for row_group in range(parquet.row_group_count(path)):
                yield partial(_write, path, row_group, types, split.name)


def _write(
    path: str, row_group: int, types: Mapping[str, Any], split: str, writer: SplitsWriter
) -> None:
    if not row_group:
        _say(f"Reading {path}")
    for batch in parquet.read_file(path, row_groups=[row_group], types=types):
        with located(path):
            writer.write_batch(batch, split)


def _say(text: str) -> None:
    # Unbuffered: it is what the log has last if Arrow crashes.
    print(text, flush=True)
