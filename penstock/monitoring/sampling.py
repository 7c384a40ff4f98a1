"""A sample of rows that go by, the same one each time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

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
    return together([batch for _, batch in kept]), total


def together(batches: Iterable[pa.RecordBatch | pa.Table]) -> pa.Table:
    """Return batches as one table, with nulls where one lacks a column that others have.

    A column of several types has text in their place.
    """
    tables = list(batches)
    names = list(dict.fromkeys(name for table in tables for name in table.schema.names))
    return pa.table({name: _column(tables, name) for name in names})


def _column(tables: list[Any], name: str) -> pa.ChunkedArray:
    parts = [
        table.column(name) if name in table.schema.names else pa.nulls(table.num_rows)
        for table in tables
    ]
    arrays = [
        chunk
        for part in parts
        for chunk in (part.chunks if isinstance(part, pa.ChunkedArray) else [part])
    ]
    kinds = {array.type for array in arrays if not pa.types.is_null(array.type)}
    if not kinds:
        return pa.chunked_array(arrays, pa.null())
    kind = _common(kinds)
    return pa.chunked_array([array.cast(kind) for array in arrays], kind)


def _common(kinds: set[pa.DataType]) -> pa.DataType:
    if len(kinds) == 1:
        return next(iter(kinds))
    numbers = all(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
        for kind in kinds
    )
    return pa.float64() if numbers else pa.string()


def _lowest(kept: list[Any], most_rows: int) -> tuple[list[Any], float]:
    """Return the rows of the lowest priorities, and the highest of these."""
    every = np.concatenate([priorities for priorities, _ in kept])
    highest = float(np.partition(every, most_rows - 1)[most_rows - 1])
    lowered = []
    for priorities, batch in kept:
        chosen = np.flatnonzero(priorities <= highest)
        lowered.append((priorities[chosen], batch.take(pa.array(chosen))))
    return lowered, highest
