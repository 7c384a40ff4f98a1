"""Records to splits of records, on Beam."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import apache_beam as beam_sdk

from penstock.authoring.beam import BeamOptions
from penstock.data import payload, records, splits
from penstock.data.ingestion import Destination
from penstock.data.spans import ResolvedInput
from penstock.data.writing_on_beam import WriteSplits, refuse_parquet


def generate_examples(
    resolved: ResolvedInput,
    to: Destination,
    progress: Callable[..., None],
    beam: BeamOptions,
) -> None:
    """Read the records of every input split, and write them to the splits they belong to."""
    refuse_parquet("ImportExampleGen", to)
    with beam.pipeline(progress) as pipeline:
        keyed = [
            pipeline
            | f"Files[{split.name}]" >> beam_sdk.Create(list(split.files))
            | f"Spread[{split.name}]" >> beam_sdk.Reshuffle()
            | f"Read[{split.name}]" >> beam_sdk.FlatMap(_read_file, split.name, to)
            for split in resolved.splits
        ]
        keyed | "Flatten" >> beam_sdk.Flatten() | "Write" >> WriteSplits(to)


def _read_file(path: str, input_split: str, to: Destination) -> Iterator[tuple[int, bytes]]:
    position = to.split_names.index(input_split) if not to.buckets else 0
    for record in records.read_serialized(path):
        canonical, key = payload.canonical_and_key(record, to.payload_format, to.key_feature)
        if to.takes(key):
            yield (splits.split_index(key, to.buckets) if to.buckets else position), canonical
