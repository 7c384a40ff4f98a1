"""What two samples say about a difference: bounds, not estimates.

Who looks at a growing sample again and again would see any difference in the end. So the chance of
an error is shared out over the doublings of the sample: of the k-th doubling it is 1/(k (k+1)) of
the whole, and half of that since there are many looks within a doubling (Lévy's inequality).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from penstock.monitoring import distances
from penstock.serving.sketches import Sketch, count_of

# The size of a sample at which looking begins.
FEWEST = 10


def deviations(size: int, confidence: float) -> float:
    """Return how many standard deviations a bound is away, at a size of the smaller sample."""
    doubling = 1 + max(0, math.floor(math.log2(max(size, 1) / FEWEST)))
    chance = (1 - confidence) / (2 * doubling * (doubling + 1))
    return NormalDist().inv_cdf(1 - chance)


@dataclass(frozen=True)
class Divergence:
    """How far two distributions are apart, and how far they would be by chance alone."""

    value: float
    lower: float
    noise: float
    bins: int


def divergence(
    one: Mapping[Any, int], other: Mapping[Any, int], test: str, z: float
) -> Divergence | None:
    """Return the divergence of counts by bin: `js` in bits, or `psi`; None where one is empty.

    Of two samples of one distribution psi is about (1/n + 1/m) times a chi-square variable (B.
    Yurdakul, 2018), and the Jensen-Shannon divergence an eighth of that in nats. The lower bound is
    taken as of a distance, which is the square root.
    """
    size, other_size = sum(one.values()), sum(other.values())
    if not size or not other_size:
        return None
    bins = sorted({*one, *other}, key=str)
    counts = [[each.get(b, 0) for b in bins] for each in (one, other)]
    scale = 1 / size + 1 / other_size
    chance = scale * chi_square(max(1, len(bins) - 1), z)
    if test == "psi":
        value, noise = distances.population_stability(*counts), chance
    else:
        value, noise = distances.jensen_shannon(*counts), chance / (8 * math.log(2))
    lower = max(0.0, math.sqrt(value) - math.sqrt(noise)) ** 2
    return Divergence(value, lower, noise, len(bins))


def chi_square(degrees: int, z: float) -> float:
    """Return the quantile of a chi-square distribution that is at `z` of the normal one.

    By Wilson and Hilferty's approximation.
    """
    part = 2 / (9 * degrees)
    return float(degrees * (1 - part + z * math.sqrt(part)) ** 3)


def binned(one: Sketch, other: Sketch, bins: int) -> tuple[dict[int, int], dict[int, int]]:
    """Return two sketches counted in bins that have about equal parts of the second."""
    size = count_of(other)
    edges: list[int] = []
    passed = 0
    for key in sorted(other):
        passed += other[key]
        if passed >= size * (len(edges) + 1) / bins:
            edges.append(key)
    return _counted(one, edges), _counted(other, edges)


def _counted(sketch: Sketch, edges: Sequence[int]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for key, count in sketch.items():
        place = next((number for number, edge in enumerate(edges) if key <= edge), len(edges))
        counts[place] = counts.get(place, 0) + count
    return counts
