"""Records on their way to the splits that they belong to, on Beam."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import apache_beam as beam_sdk

from penstock.data import data_files, splits
from penstock.data.beam.watching import Watched
from penstock.data.coding import examples
from penstock.data.file_columns import located
from penstock.data.ingestion import Destination
from penstock.data.payload import PayloadFormat
from penstock.data.writing import keys_of, sampled
from penstock.errors import ParameterError

Part = TypeVar("Part")


def refuse_parquet(component: str, to: Destination) -> None:
    """Raise ParameterError if Parquet is asked for, which only the engine in process writes."""
    if to.payload_format is PayloadFormat.FORMAT_PARQUET:
        raise ParameterError(
            f"{component} writes FORMAT_PARQUET in process only, and a Beam runner is named",
            hint="Leave --runner out of this node's Beam arguments.",
        )


def write_columns(
    pipeline: Any,
    parts: Sequence[tuple[str, str, Part]],
    read: Callable[[str, Part], Iterable[Any]],
    to: Destination,
) -> None:
    """Write the rows of parts of files to the splits that they belong to; a part is a unit of work.

    A part has its split, its file, and what `read` reads record batches by.
    """
    (
        pipeline
        | beam_sdk.Create(parts)
        | beam_sdk.Reshuffle()
        | "Read" >> beam_sdk.FlatMap(_read, to, read)
        | "Write" >> WriteSplits(to)
    )


def _read(
    unit: tuple[str, str, Part], to: Destination, read: Callable[[str, Part], Iterable[Any]]
) -> Iterator[tuple[int, bytes]]:
    split, path, part = unit
    for batch in read(path, part):
        with located(path):
            yield from split_rows(batch, split, to, False)


def split_rows(
    batch: Any, input_split: str, to: Destination, null_as_empty: bool
) -> Iterator[tuple[int, bytes]]:
    """Return the rows of a record batch as tf.Examples, each with the position of its split."""
    serialized = examples.encode(batch, null_as_empty=null_as_empty)
    keys = keys_of(batch, serialized, to, null_as_empty)
    taken, of_taken = sampled(serialized, keys, to)
    if not to.buckets:
        position = to.split_names.index(input_split)
        return ((position, record) for record in taken)
    return (
        (splits.split_index(key, to.buckets), record)
        for key, record in zip(of_taken, taken, strict=True)
    )


class WriteSplits(beam_sdk.PTransform):
    """Writes pairs of a split's position and a serialized record as sharded TFRecord files."""

    def __init__(self, to: Destination) -> None:
        super().__init__()
        self.to = to

    def expand(self, pairs: Any) -> None:
        """Part the records by their splits, and write each part."""
        counted = pairs | "Count" >> Watched(self.to.uri, rows=lambda _: 1)
        parts = counted | "Part" >> beam_sdk.Partition(
            lambda pair, _: pair[0], len(self.to.split_names)
        )
        for name, part in zip(self.to.split_names, parts, strict=True):
            watched = Watched(self.to.uri, bytes)
            prefix = os.path.join(splits.split_directory(self.to.uri, name), data_files.PREFIX)
            (
                part
                | f"Records[{name}]" >> beam_sdk.Values()
                | f"Spread[{name}]" >> beam_sdk.Reshuffle()
                | f"Wanted[{name}]" >> watched
                | f"Write[{name}]" >> beam_sdk.io.WriteToTFRecord(prefix, file_name_suffix=".gz")
            )
