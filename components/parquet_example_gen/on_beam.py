"""Parquet files to splits of examples, on Beam: a row group is the unit of work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam_sdk

from penstock.authoring.beam import BeamOptions
from penstock.data import parquet
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
    check_payload("ParquetExampleGen", to)
    refuse_parquet("ParquetExampleGen", to)
    types = common_types([split.files for split in resolved.splits], parquet.schema_of, columns)
    groups = [
        (split.name, path, group)
        for split in resolved.splits
        for path in split.files
        for group in range(parquet.row_group_count(path))
    ]
    with beam.pipeline(progress) as pipeline:
        (
            pipeline
            | beam_sdk.Create(groups)
            | beam_sdk.Reshuffle()
            | "Read" >> beam_sdk.FlatMap(_read_group, to, types)
            | "Write" >> WriteSplits(to)
        )


def _read_group(
    unit: tuple[str, str, int], to: Destination, types: Mapping[str, Any]
) -> Iterator[tuple[int, bytes]]:
    split, path, group = unit
    for batch in parquet.read_file(path, row_groups=[group], types=types):
        with located(path):
            yield from split_rows(batch, split, to, False)
