"""What shares and quantiles may be by chance: bounds, not estimates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.serving.sketches import Sketch, count_of, middle


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


def quantile(
    sketch: Sketch, wanted: float, z: float, spans: Sequence[Sketch] = ()
) -> Bounds | None:
    """Return the bounds of a quantile, by ranks; None where the sample is too small for them.

    `spans` are the parts of the sample by time. What was seen in one of them hangs together, and
    the bounds are wider for that.
    """
    size = count_of(sketch)
    [key] = _keys_at_ranks(sketch, (math.floor(wanted * (size - 1)),)) if size else [0]
    spread = z * math.sqrt(size * wanted * (1 - wanted) * design_effect(spans, key))
    low, high = math.floor(size * wanted - spread), math.ceil(size * wanted + spread)
    if low < 0 or high >= size:
        return None
    at_low, at, at_high = _at_ranks(sketch, (low, math.floor(wanted * (size - 1)), high))
    return Bounds(at, at_low, at_high)


def design_effect(spans: Sequence[Sketch], key: int) -> float:
    """Return by how much the variance of the share of numbers beyond a bin is larger than chance's.

    That of a ratio estimated from clusters (W. Cochran, Sampling Techniques, 1977), each span being
    one; 1 at least, and where there are less than two spans.
    """
    counts = [(count_of(s), sum(n for k, n in s.items() if k > key)) for s in spans if s]
    size, beyond = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
    if len(counts) < 2 or not 0 < beyond < size:
        return 1.0
    part = beyond / size
    apart = sum((over - part * all_of) ** 2 for all_of, over in counts)
    variance = apart * len(counts) / (len(counts) - 1) / size**2
    return max(1.0, variance / (part * (1 - part) / size))


def _at_ranks(sketch: Sketch, ranks: Sequence[int]) -> list[float]:
    return [middle(key) for key in _keys_at_ranks(sketch, ranks)]


def _keys_at_ranks(sketch: Sketch, ranks: Sequence[int]) -> list[int]:
    found, passed, keys = [], 0, iter(sorted(sketch))
    key = next(keys)
    for rank in ranks:
        while passed + sketch[key] <= rank:
            passed += sketch[key]
            key = next(keys)
        found.append(key)
    return found
