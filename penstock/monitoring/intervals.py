"""What shares may be by chance, and their differences."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """An estimate, and what it may be by chance."""

    value: float
    lower: float
    upper: float


def share(count: int, size: int, z: float) -> Bounds:
    """Return the bounds of a share: Wilson's score interval."""
    value = count / size
    center = (value + z * z / (2 * size)) / (1 + z * z / size)
    half = z / (1 + z * z / size) * math.sqrt(value * (1 - value) / size + (z / (2 * size)) ** 2)
    return Bounds(value, max(0.0, center - half), min(1.0, center + half))


def difference(one: Bounds, other: Bounds) -> Bounds:
    """Return the bounds of `one - other`, of independent samples.

    The distances of the bounds add up as standard errors do (MOVER; of shares this is Newcombe's
    hybrid score interval).
    """
    value = one.value - other.value
    below = math.hypot(one.value - one.lower, other.upper - other.value)
    above = math.hypot(one.upper - one.value, other.value - other.lower)
    return Bounds(value, value - below, value + above)
