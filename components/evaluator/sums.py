"""Sums by group and cell, of which most may be empty."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# From groups of some sums to those of others.
Placed = Callable[[np.ndarray], np.ndarray]

# Parts are merged when they hold this many entries more than after the last merge.
_MERGE_AFTER = 500_000


class Sums:
    """For each group a table of `cells` rows and `columns` columns, summed over many calls of add.

    Memory grows with the rows of tables that were ever added to, not with the number of groups.
    """

    def __init__(self, cells: int, columns: int):
        self._cells = cells
        self._columns = columns
        self._indices = np.empty(0, np.int64)
        self._values = np.empty((0, columns))
        self._pending: list[tuple[np.ndarray, np.ndarray]] = []
        self._pending_entries = 0

    def add(self, groups: np.ndarray, cells: np.ndarray | int, values: np.ndarray) -> None:
        """Add values, of shape (n, columns), to the tables' rows at (groups[i], cells[i])."""
        if not len(groups):
            return
        self._pending.append(_summed(groups * self._cells + cells, values))
        self._pending_entries += len(self._pending[-1][0])
        if self._pending_entries > max(_MERGE_AFTER, len(self._indices)):
            self._merge()

    def merge(self, other: Sums, placed: Placed) -> None:
        """Add other sums; `placed` gives the groups here of groups there."""
        other._merge()
        groups, cells = np.divmod(other._indices, self._cells)
        self.add(placed(groups), cells, other._values)

    def tables(self, first_group: int, groups: int) -> np.ndarray:
        """Return the tables of consecutive groups, of shape (groups, cells, columns)."""
        self._merge()
        start = first_group * self._cells
        result = np.zeros((groups * self._cells, self._columns))
        low, high = np.searchsorted(self._indices, [start, start + len(result)])
        result[self._indices[low:high] - start] = self._values[low:high]
        return result.reshape(groups, self._cells, self._columns)

    def _merge(self) -> None:
        if not self._pending:
            return
        parts = [(self._indices, self._values), *self._pending]
        self._indices, self._values = _summed(
            np.concatenate([indices for indices, _ in parts]),
            np.concatenate([values for _, values in parts]),
        )
        self._pending, self._pending_entries = [], 0


def _summed(indices: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    unique, inverse = np.unique(indices, return_inverse=True)
    columns = [np.bincount(inverse, weights=column, minlength=len(unique)) for column in values.T]
    return unique, np.stack(columns, axis=1)
