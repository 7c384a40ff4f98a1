"""Records to splits of records, in one process or several."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from penstock.authoring.beam import BeamOptions
from penstock.components.parquet_example_gen.in_process import write_parquet
from penstock.data import payload, records
from penstock.data.ingestion import Destination
from penstock.data.payload import PayloadFormat
from penstock.data.spans import ResolvedInput
from penstock.data.writing import BlockWriter, SplitsWriter, shard_count, write_blocks
from penstock.errors import DataError


def generate_examples(
    resolved: ResolvedInput,
    to: Destination,
    progress: Callable[..., None],
    beam: BeamOptions = BeamOptions(),
) -> None:
    """Read the records of every input split, and write them to the splits they belong to."""
    with beam.workers() as workers:
        if to.payload_format is PayloadFormat.FORMAT_PARQUET:
            write_parquet(resolved, to, None, progress, workers)
            return
        shards = shard_count(resolved.files, len(resolved.files))
        write_blocks(to, partial(_blocks, resolved, to), shards, progress, workers)


def _blocks(resolved: ResolvedInput, to: Destination) -> Iterator[BlockWriter]:
    for split in resolved.splits:
        for path in split.files:
            yield partial(_write_file, path, split.name, to)


def _write_file(path: str, split: str, to: Destination, writer: SplitsWriter) -> None:
    first = 0
    for batch in records.read_serialized_batches(path):
        checked, keys = [], []
        for index, record in enumerate(batch, first):
            try:
                canonical, key = payload.canonical_and_key(
                    record, to.payload_format, to.key_feature
                )
            except DataError as error:
                error.path, error.message = path, f"record {index}: {error.message}"
                raise
            checked.append(canonical)
            keys.append(key)
        first += len(batch)
        writer.write_records(checked, keys, split)
