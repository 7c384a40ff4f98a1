"""Avro files to splits of examples, in one process or several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from penstock.authoring.beam import BeamOptions
from penstock.data import avro
from penstock.data.file_columns import common_types, located
from penstock.data.ingestion import Destination, check_payload
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
    check_payload("AvroExampleGen", to)
    files = [split.files for split in resolved.splits]
    types = common_types(files, avro.schema_of, columns, print, form=avro.FORM)
    parts = {path: avro.parts_of(path) for path in resolved.files}
    shards = shard_count(resolved.files, sum(map(len, parts.values())))
    with beam.workers() as workers:
        write_blocks(to, partial(_blocks, resolved, parts, types), shards, progress, workers)


def _blocks(
    resolved: ResolvedInput, parts: Mapping[str, Sequence[avro.Part]], types: Mapping[str, Any]
) -> Iterator[BlockWriter]:
    for split in resolved.splits:
        for path in split.files:
            for part in parts[path]:
                yield partial(_write, part, types, split.name)


def _write(part: avro.Part, types: Mapping[str, Any], split: str, writer: SplitsWriter) -> None:
    for batch in avro.read_part(part, types):
        with located(part.path):
            writer.write_batch(batch, split)
