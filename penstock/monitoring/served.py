"""Rows of a prediction log as examples, and the window of time that they are of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from penstock.data.records import read_record_batches
from penstock.data.splits import split_files, split_names
from penstock.models.training_data import as_rows
from penstock.monitoring.measures import Window
from penstock.monitoring.sampling import sampled
from penstock.serving.log.columns import CLASS, OWN_TYPES, SCORE, TIME, VERSION
from penstock.serving.worker.counting import Summary

# Rows of a window that hang together are told apart by this many parts of it.
_PARTS = 24
_TIMES = OWN_TYPES[TIME]


@dataclass(frozen=True)
class Rows:
    """Some rows of examples, of `total` that there are."""

    table: pa.Table
    total: int

    @property
    def features(self) -> pa.Table:
        """Return the columns that are no column of a log's own."""
        names = [name for name in self.table.column_names if name not in OWN_TYPES]
        return self.table.select(names)


def read_rows(
    artifacts: Sequence[Any], splits: Sequence[str] | None = None, most_rows: int = 200_000
) -> Rows:
    """Return a sample of the rows of examples; without `splits`, of all.

    Raises:
      DataError: a split is missing, or a file cannot be read.
    """
    kinds: dict[str, pa.DataType] = {}
    batches = (
        as_rows(batch, kinds)
        for artifact in artifacts
        for split in splits or split_names(artifact)
        for batch in read_record_batches(split_files(artifact, split), absent=False)
    )
    return Rows(*sampled(batches, most_rows))


def predictions_of(summary: Summary) -> pa.Table:
    """Return what a model has said, in short, in the columns of a log."""
    said = {CLASS: summary.classes, SCORE: summary.scores}
    return pa.table(
        {
            name: pa.array(list(values), OWN_TYPES[name])
            for name, values in said.items()
            if values is not None
        }
    )


def versions_in(table: pa.Table) -> dict[str, int]:
    """Return how many rows each version of the model answered."""
    if VERSION not in table.column_names:
        return {}
    counted = Counter(table.column(VERSION).to_pylist())
    return {str(version): counted[version] for version in sorted(counted, key=str)}


def parts_of(table: pa.Table, window: Window) -> Any:
    """Return for each row in which part of the window it was asked; None where no row says when."""
    if TIME not in table.column_names:
        return None
    length = (window.end - window.begin).total_seconds() / _PARTS
    seconds = seconds_of(table.column(TIME))
    return ((seconds - window.begin.timestamp()) // length).astype("int64")


def seconds_of(column: Any) -> Any:
    """Return the times of a log's rows, which examples have as text, as seconds since 1970."""
    times = column.cast(_TIMES) if not pa.types.is_integer(column.type) else column
    return times.cast(pa.int64()).to_numpy() / 1e6
