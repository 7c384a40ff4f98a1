"""Avro files to splits of examples, on Beam: some blocks of a file are the unit of work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from penstock.authoring.beam import BeamOptions
from penstock.data import avro
from penstock.data.file_columns import common_types
from penstock.data.ingestion import Destination, check_payload
from penstock.data.spans import ResolvedInput
from penstock.data.writing_on_beam import refuse_parquet, write_columns


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
        (split.name, path, part)
        for split in resolved.splits
        for path in split.files
        for part in avro.parts_of(path)
    ]
    with beam.pipeline(progress) as pipeline:
        write_columns(pipeline, parts, partial(_read, types), to)


def _read(types: Mapping[str, Any], _: str, part: avro.Part) -> Iterator[Any]:
    return avro.read_part(part, types)
