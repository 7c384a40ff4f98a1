"""Which features are NaN or infinite, and in how many rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.data.coding.buffers import to_numpy

_SHOWN = 5


class NonFinite:
    """Counts rows, as batches of feature lists go by, in which a feature is not a number."""

    def __init__(self) -> None:
        self.rows = 0
        self._found: dict[str, tuple[int, int]] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Look at a batch."""
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            rows = _rows_that_are_not_finite(array)
            if len(rows):
                count, first = self._found.get(name, (0, self.rows + int(rows[0])))
                self._found[name] = (count + len(rows), first)
        self.rows += batch.num_rows

    def merge(self, further: NonFinite) -> None:
        """Add the rows that another has looked at, which come after those of this one."""
        for name, (more, its_first) in further._found.items():
            count, first = self._found.get(name, (0, self.rows + its_first))
            self._found[name] = (count + more, first)
        self.rows += further.rows

    def described(self) -> list[str]:
        """Return a sentence's worth for each such feature, the most frequent first."""
        ordered = sorted(self._found.items(), key=lambda item: -item[1][0])
        texts = [
            f"feature {name!r} is NaN or infinite in {count} of {self.rows} rows, the first of "
            f"them row {first}"
            for name, (count, first) in ordered[:_SHOWN]
        ]
        more = len(ordered) - _SHOWN
        return [*texts, f"and {more} more features"] if more > 0 else texts


def _rows_that_are_not_finite(array: pa.Array) -> np.ndarray:
    """Return the numbers of the rows of a column of lists, of lists too, that hold such values."""
    values, depth = array, 0
    parents: list[np.ndarray] = []
    while pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        parents.append(to_numpy(pc.list_parent_indices(values)))
        values, depth = values.flatten(), depth + 1
    if not depth or not pa.types.is_floating(values.type):
        return np.empty(0, np.int64)
    positions = np.flatnonzero(~np.isfinite(to_numpy(values)))
    for parent in reversed(parents):
        positions = parent[positions]
    return np.unique(positions)
