"""A sample of rows that go by, the same one each time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from penstock.data import unifying

_SEED = 20_130


def sampled(batches: Iterable[pa.RecordBatch], most_rows: int) -> tuple[pa.Table, int]:
    """Return at most so many rows, each as likely as any other, in their order, and how many came.

    Batches may lack columns that others have; those rows have no value there. Few more rows than
    are asked for are in memory at a time.
    """
    random = np.random.default_rng(_SEED)
    kept: list[tuple[Any, pa.RecordBatch]] = []
    held = total = 0
    highest = np.inf
    for batch in batches:
        total += batch.num_rows
        priorities = random.random(batch.num_rows)
        chosen = np.flatnonzero(priorities <= highest)
        kept.append((priorities[chosen], batch.take(pa.array(chosen))))
        held += len(chosen)
        if held > 2 * most_rows:
            kept, highest = _lowest(kept, most_rows)
            held = most_rows
    if held > most_rows:
        kept, _ = _lowest(kept, most_rows)
    tables = (pa.Table.from_batches([batch]) for _, batch in kept)
    return unifying.as_one(tables), total


def _lowest(kept: list[Any], most_rows: int) -> tuple[list[Any], float]:
    """Return the rows of the lowest priorities, and the highest of these."""
    every = np.concatenate([priorities for priorities, _ in kept])
    highest = float(np.partition(every, most_rows - 1)[most_rows - 1])
    lowered = []
    for priorities, batch in kept:
        chosen = np.flatnonzero(priorities <= highest)
        lowered.append((priorities[chosen], batch.take(pa.array(chosen))))
    return lowered, highest
