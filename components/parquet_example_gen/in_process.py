"""Parquet files to splits of examples, in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from penstock.data import parquet
from penstock.data.ingestion import Destination, check_payload
from penstock.data.spans import ResolvedInput
from penstock.data.writing import SplitsWriter


def generate_examples(
    found: ResolvedInput,
    to: Destination,
    columns: Sequence[str] | None,
    progress: Callable[..., None],
    beam: Any = None,  # noqa: ARG001  # the engine on Beam needs it
) -> None:
    """Read the files of every input split, and write their rows to the splits they belong to."""
    check_payload("ParquetExampleGen", to)
    with SplitsWriter(to, progress) as writer:
        for split in found.splits:
            for batch in parquet.read_parquet(split.files, columns=columns, notice=_say):
                writer.write_batch(batch, split.name)


def _say(text: str) -> None:
    # Unbuffered: it is what the log has last if Arrow crashes.
    print(text, flush=True)
