"""Counts of numbers in bins of growing width: small, additive, and within 2.5 % of each number.

A bin's key grows with its numbers; bin 0 is zero. The bins are those of DDSketch (Masson, Rim and
Lee, VLDB 2019) with a relative accuracy of 2.5 %, for absolute values of 1e-9 to 1e18.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Sketch = Mapping[int, int]

_GROWTH = 1.025 / 0.975
_LOG_GROWTH = math.log(_GROWTH)
_SMALLEST = 1e-9
_LARGEST = 1e18
# The keys of positive numbers begin at 1.
_OFFSET = 1 - math.ceil(math.log(_SMALLEST) / _LOG_GROWTH)


def sketch_of(values: np.ndarray[Any, Any]) -> dict[int, int]:
    """Return the sketch of finite numbers, of any shape."""
    import numpy as np

    flat = np.asarray(values, np.float64).reshape(-1)
    sizes = np.clip(np.abs(flat), _SMALLEST, _LARGEST)
    keys = np.ceil(np.log(sizes) / _LOG_GROWTH).astype(np.int64) + _OFFSET
    signed = np.where(np.abs(flat) < _SMALLEST, 0, np.where(flat < 0, -keys, keys))
    found, counts = np.unique(signed, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def bin_of(value: float) -> int:
    """Return the key of a finite number's bin."""
    size = min(abs(value), _LARGEST)
    if size < _SMALLEST:
        return 0
    key = math.ceil(math.log(size) / _LOG_GROWTH) + _OFFSET
    return -key if value < 0 else key


def middle(key: int) -> float:
    """Return the number that stands for a bin."""
    if not key:
        return 0.0
    value = _GROWTH ** (abs(key) - _OFFSET) * 2 / (1 + _GROWTH)
    return -value if key < 0 else value


def added(sketches: Iterable[Mapping[Any, int]]) -> dict[Any, int]:
    """Return the sum of sketches, or of other counts by key."""
    total: dict[Any, int] = {}
    for sketch in sketches:
        for key, count in sketch.items():
            total[key] = total.get(key, 0) + count
    return total


def count_of(sketch: Sketch) -> int:
    """Return how many numbers a sketch has."""
    return sum(sketch.values())


def quantile(sketch: Sketch, share: float) -> float | None:
    """Return the number below which a share of the numbers is; None where there are none."""
    total = count_of(sketch)
    if not total:
        return None
    wanted, passed = share * (total - 1), 0
    for key in sorted(sketch):
        passed += sketch[key]
        if passed > wanted:
            return middle(key)
    return middle(max(sketch))


def mean(sketch: Sketch) -> float | None:
    """Return the mean of a sketch's numbers; None where there are none."""
    total = count_of(sketch)
    return sum(middle(key) * n for key, n in sketch.items()) / total if total else None
