"""How many rows have gone by, over all parts of a work."""

from __future__ import annotations

from collections.abc import Callable


class RowsDone:
    """The rows that are done, of which `progress`, if there is one, is told each time."""

    def __init__(self, progress: Callable[..., None] | None) -> None:
        self._progress = progress
        self.rows = 0

    def add(self, rows: int) -> None:
        """Add rows that are done."""
        self.rows += rows
        if self._progress is not None:
            self._progress(rows=self.rows)
