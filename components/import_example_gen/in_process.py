"""Records to splits of records, in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.data import parquet, payload, records
from penstock.data.ingestion import Destination
from penstock.data.payload import PayloadFormat
from penstock.data.spans import ResolvedInput
from penstock.data.writing import SplitsWriter
from penstock.errors import DataError


def generate_examples(
    found: ResolvedInput,
    to: Destination,
    progress: Callable[..., None],
    beam: Any = None,  # noqa: ARG001  # the engine on Beam needs it
) -> None:
    """Read the records of every input split, and write them to the splits they belong to."""
    with SplitsWriter(to, progress) as writer:
        for split in found.splits:
            if to.payload_format is PayloadFormat.FORMAT_PARQUET:
                for batch in parquet.read_parquet(split.files, notice=_say):
                    writer.write_batch(batch, split.name)
                continue
            for path in split.files:
                _write_file(writer, path, split.name, to)


def _write_file(writer: SplitsWriter, path: str, split: str, to: Destination) -> None:
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


def _say(text: str) -> None:
    # Unbuffered: it is what the log has last if Arrow crashes.
    print(text, flush=True)
