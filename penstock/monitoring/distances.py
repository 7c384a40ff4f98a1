"""How far two distributions are apart, and how likely that is where nothing has changed.

Counts by bin are given as arrays, of the window and of what it is compared with. Chances are those
of large samples: bins should have a few cases each (see `distributions.told_apart`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from penstock.project.monitors import LINF, PSI


@dataclass(frozen=True)
class Distance:
    """How far two samples are apart.

    `noise` is what is to be expected of two samples of one distribution, and `chance` the
    probability that they are as far apart as `value` or farther.
    """

    value: float
    noise: float
    chance: float

    @property
    def beyond_noise(self) -> float:
        """What is left of the value without what is expected by chance."""
        return max(0.0, self.value - self.noise)


def distance(test: str, one: Any, other: Any, size: float, other_size: float) -> Distance:
    """Return the distance of counts by bin, which is one of `js` (in bits), `psi` and `linf`.

    The sizes are those of the samples as far as their rows are independent: not larger than the
    sums of the counts. Of one distribution, the Jensen-Shannon divergence in nats is an eighth of
    a chi-square variable times (1/n + 1/m), and psi about the whole of one (B. Yurdakul, 2018).
    """
    p, q = _shares(one), _shares(other)
    scale = 1 / size + 1 / other_size
    degrees = max(1, int(((p > 0) | (q > 0)).sum()) - 1)
    if test == LINF:
        return _largest_difference(p, q, size, other_size)
    if test == PSI:
        value = population_stability(one, other)
        return Distance(value, scale * degrees, chi_square_chance(value / scale, degrees))
    value = jensen_shannon(one, other)
    unit = scale / (8 * math.log(2))
    return Distance(value, unit * degrees, chi_square_chance(value / unit, degrees))


def kolmogorov_smirnov(
    one: Any, other: Any, size: float | None = None, other_size: float | None = None
) -> Distance:
    """Return the largest distance of the distribution functions of two samples of numbers.

    Rows without a number are NaN, and count as smaller than all numbers. With many equal values
    the chance is less than is said. The sizes are as in `distance`.
    """
    one, other = (np.sort(np.where(np.isnan(values), -np.inf, values)) for values in (one, other))
    points = np.concatenate([one, other])
    value = float(np.abs(_function_at(one, points) - _function_at(other, points)).max())
    n, m = size or len(one), other_size or len(other)
    effective = n * m / (n + m)
    root = math.sqrt(effective)
    # M. Stephens' correction for small samples (1970).
    chance = _kolmogorov_chance((root + 0.12 + 0.11 / root) * value)
    return Distance(value, _KOLMOGOROV_MEAN / root, chance)


def chi_square_chance(value: float, degrees: int) -> float:
    """Return the probability that a chi-square variable is as large, by Wilson and Hilferty."""
    if value <= 0:
        return 1.0
    part = 2 / (9 * degrees)
    return _beyond(((value / degrees) ** (1 / 3) - (1 - part)) / math.sqrt(part))


def share_chance(count: float, size: float, expected: float) -> float:
    """Return the probability of so many or more cases where the expected share is the true one.

    By the normal approximation to a binomial variable, with half a case of continuity.
    """
    if size <= 0:
        return 1.0
    deviation = math.sqrt(size * expected * (1 - expected))
    if not deviation:
        return 1.0 if count <= size * expected else 0.0
    return _beyond((count - 0.5 - size * expected) / deviation)


_KOLMOGOROV_MEAN = math.sqrt(math.pi / 2) * math.log(2)


def _largest_difference(p: Any, q: Any, size: float, other_size: float) -> Distance:
    """Return the largest difference of shares; the chance is a bound, by Bonferroni."""
    differences = np.abs(p - q)
    value = float(differences.max())
    pooled = (p * size + q * other_size) / (size + other_size)
    errors = np.sqrt(pooled * (1 - pooled) * (1 / size + 1 / other_size))
    bins = int((errors > 0).sum())
    if not bins:
        return Distance(value, 0.0, 1.0)
    ratios = value / errors[errors > 0]
    chance = min(1.0, float(sum(2 * _beyond(ratio) for ratio in ratios)))
    return Distance(value, float(errors.max()) * math.sqrt(2 / math.pi), chance)


def jensen_shannon(one: Any, other: Any) -> float:
    """Return the Jensen-Shannon divergence of counts by bin, in bits: 0 to 1."""
    p, q = _shares(one), _shares(other)
    middle = (p + q) / 2

    def half(shares: Any) -> float:
        there = shares > 0
        return float((shares[there] * np.log2(shares[there] / middle[there])).sum())

    return max(0.0, (half(p) + half(q)) / 2)


def population_stability(one: Any, other: Any) -> float:
    """Return the population stability index of counts by bin."""
    # Half a case in a bin that is empty, as its logarithm has no value.
    p, q = (_shares(np.asarray(counts) + 0.5) for counts in (one, other))
    return float(((p - q) * np.log(p / q)).sum())


def _shares(counts: Any) -> Any:
    counts = np.asarray(counts, np.float64)
    return counts / max(counts.sum(), 1e-300)


def _function_at(ordered: Any, points: Any) -> Any:
    return np.searchsorted(ordered, points, side="right") / len(ordered)


def _kolmogorov_chance(x: float) -> float:
    if x < 0.2:
        return 1.0
    terms = ((-1) ** (k - 1) * math.exp(-2 * (k * x) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, 2 * math.fsum(terms)))


def _beyond(deviations: float) -> float:
    return NormalDist().cdf(-deviations)
