"""How often measured numbers are said: their median, with the least and the greatest."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """The median of some numbers, the least and the greatest, and how many there were."""

    median: float
    least: float
    greatest: float
    count: int

    def shown(self, digits: int = 1) -> str:
        """Return it as a cell of a table; of a single number the number alone."""
        median, least, greatest = (
            f"{number:,.{digits}f}" for number in (self.median, self.least, self.greatest)
        )
        return median if self.count == 1 else f"{median} ({least} to {greatest})"


def spread(numbers: Iterable[float]) -> Spread:
    """Return the spread of numbers, of which there is one at least."""
    found = list(numbers)
    return Spread(statistics.median(found), min(found), max(found), len(found))
