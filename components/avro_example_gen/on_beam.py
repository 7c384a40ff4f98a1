"""Avro files to splits of examples, on Beam: some blocks of a file are the unit of work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam_sdk

from penstock.authoring.beam import BeamOptions
from penstock.data import avro
from penstock.data.file_columns import common_types, located
from penstock.data.ingestion import Destination, check_payload
from penstock.data.spans import ResolvedInput
from penstock.data.writing_on_beam import WriteSplits, refuse_parquet, split_rows


def generate_examples(
    resolved: ResolvedInput,
    to: Destination,
    columns: Sequence[str] | None,
    progress: Callable[..., None],
    beam: BeamOptions,
) -> None:
    """Read the files of every input split, and write their rows to the splits they belong to."""
    check_payload("AvroExampleGen", to)
    refuse_parquet("AvroExampleGen", to)
    files = [split.files for split in resolved.splits]
    types = common_types(files, avro.schema_of, columns, form=avro.FORM)
    parts = [
        (split.name, part)
        for split in resolved.splits
        for path in split.files
        for part in avro.parts_of(path)
    ]
    with beam.pipeline(progress) as pipeline:
        (
            pipeline
            | beam_sdk.Create(parts)
            | beam_sdk.Reshuffle()
            | "Read" >> beam_sdk.FlatMap(_read_part, to, types)
            | "Write" >> WriteSplits(to)
        )


def _read_part(
    unit: tuple[str, avro.Part], to: Destination, types: Mapping[str, Any]
) -> Iterator[tuple[int, bytes]]:
    split, part = unit
    for batch in avro.read_part(part, types):
        with located(part.path):
            yield from split_rows(batch, split, to, False)
