"""The operations on columns that need what was learned of the training data.

Each has an accumulator that is added to batch by batch, and an application of what came of it.
What is learned is JSON.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import DataError

# Quantiles are exact up to so many values, and those of a sample of so many beyond.
SAMPLE_SIZE = 1_000_000

# Deviations below this share of the mean are what floats make of equal numbers.
_ROUNDING = 1e-12

Learned = Any
Applied = Any


class Accumulator(Protocol):
    """Learns of a column, batch by batch."""

    def add(self, values: Any) -> None:
        """Take in the values of a batch."""
        ...

    def learned(self) -> Learned:
        """Return what was learned, as JSON values."""
        ...


def _numbers(values: Any) -> Any:
    if pa.types.is_string(values.type):
        raise DataError("expected a column of numbers, got one of texts")
    return pc.drop_null(values.cast(pa.float64())).to_numpy(zero_copy_only=False)


class _Moments:
    """Count, mean and variance, merged as Chan, Golub and LeVeque (1979) say."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        del options
        self.count, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, values: Any) -> None:
        """Take in a batch."""
        numbers = _numbers(values)
        if not len(numbers):
            return
        mean = float(numbers.mean())
        squares = float(((numbers - mean) ** 2).sum())
        total = self.count + len(numbers)
        delta = mean - self.mean
        self.squares += squares + delta * delta * self.count * len(numbers) / total
        self.mean += delta * len(numbers) / total
        self.count = total

    def learned(self) -> Learned:
        """Return mean and standard deviation, that of the population."""
        deviation = math.sqrt(self.squares / self.count) if self.count else 0.0
        if deviation <= _ROUNDING * abs(self.mean):
            deviation = 0.0  # one value, whose mean is rounded
        return {"mean": self.mean, "deviation": deviation}


class _Range:
    def __init__(self, options: Mapping[str, Any]) -> None:
        del options
        self.least, self.greatest = math.inf, -math.inf

    def add(self, values: Any) -> None:
        """Take in a batch."""
        numbers = _numbers(values)
        if len(numbers):
            self.least = min(self.least, float(numbers.min()))
            self.greatest = max(self.greatest, float(numbers.max()))

    def learned(self) -> Learned:
        """Return the least and the greatest; 0 and 0 where there were no values."""
        if self.least > self.greatest:
            return {"least": 0.0, "greatest": 0.0}
        return {"least": self.least, "greatest": self.greatest}


class _Sample:
    """All values, or a uniform sample of them: the values with the least random keys."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options
        self.random = np.random.default_rng(0)
        self.values, self.keys = np.empty(0), np.empty(0)

    def add(self, values: Any) -> None:
        """Take in a batch."""
        numbers = _numbers(values)
        self.values = np.concatenate([self.values, numbers])
        self.keys = np.concatenate([self.keys, self.random.random(len(numbers))])
        if len(self.values) > SAMPLE_SIZE:
            kept = np.argpartition(self.keys, SAMPLE_SIZE)[:SAMPLE_SIZE]
            self.values, self.keys = self.values[kept], self.keys[kept]


class _Median(_Sample):
    def learned(self) -> Learned:
        """Return the median; 0 where there were no values."""
        return {"value": float(np.median(self.values)) if len(self.values) else 0.0}


class _Boundaries(_Sample):
    def learned(self) -> Learned:
        """Return the bounds between buckets, each once, ascending."""
        if not len(self.values):
            return {"boundaries": []}
        shares = np.arange(1, self.options["buckets"]) / self.options["buckets"]
        return {"boundaries": np.unique(np.quantile(self.values, shares)).tolist()}


class _Mean(_Moments):
    def learned(self) -> Learned:
        """Return the mean."""
        return {"value": self.mean}


class _Vocabulary:
    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options
        self.counts: Counter[Any] = Counter()

    def add(self, values: Any) -> None:
        """Take in a batch."""
        for pair in pc.value_counts(pc.drop_null(values)):
            self.counts[pair["values"].as_py()] += pair["counts"].as_py()

    def learned(self) -> Learned:
        """Return the values, the most frequent first, those of one count in their own order."""
        kept = [(v, n) for v, n in self.counts.items() if n >= self.options["min_count"]]
        ordered = sorted(kept, key=lambda pair: (-pair[1], pair[0]))
        return {"values": [value for value, _ in ordered[: self.options["top"]]]}


def _standardized(values: Any, learned: Learned) -> Applied:
    centered = pc.subtract(values.cast(pa.float64()), pa.scalar(float(learned["mean"])))
    # A column of one value is no feature, but no reason to divide by zero either.
    return pc.divide(centered, pa.scalar(float(learned["deviation"]) or 1.0))


def _scaled(values: Any, learned: Learned) -> Applied:
    width = float(learned["greatest"]) - float(learned["least"])
    moved = pc.subtract(values.cast(pa.float64()), pa.scalar(float(learned["least"])))
    return pc.divide(moved, pa.scalar(width or 1.0))


def _bucketized(values: Any, learned: Learned) -> Applied:
    numbers = values.cast(pa.float64())
    present = numbers.is_valid().to_numpy(zero_copy_only=False)
    filled = pc.fill_null(numbers, 0.0).to_numpy(zero_copy_only=False)
    buckets = np.searchsorted(np.array(learned["boundaries"]), filled, side="right")
    return pa.array(buckets.astype(np.int64), mask=~present)


def _filled(values: Any, learned: Learned) -> Applied:
    return pc.fill_null(values.cast(pa.float64()), float(learned["value"]))


def _indexed(values: Any, learned: Learned) -> Applied:
    known = pa.array(learned["values"], values.type)
    indices = pc.index_in(values, known).cast(pa.int64())
    return pc.if_else(values.is_valid(), pc.fill_null(indices, -1), pa.scalar(None, pa.int64()))


def _one_hot(values: Any, learned: Learned) -> Applied:
    indices = pc.fill_null(_indexed(values, learned), -1).to_numpy(zero_copy_only=False)
    return [
        pa.array((indices == place).astype(np.float64)) for place in range(len(learned["values"]))
    ]


@dataclass(frozen=True)
class Statistic:
    """What is learned of a column, and what is done with it."""

    accumulator: Callable[[Mapping[str, Any]], Accumulator]
    apply: Callable[[Any, Learned], Applied]


STATISTICS: Mapping[str, Statistic] = {
    "bucketized": Statistic(_Boundaries, _bucketized),
    "filled_with_mean": Statistic(_Mean, _filled),
    "filled_with_median": Statistic(_Median, _filled),
    "indexed": Statistic(_Vocabulary, _indexed),
    "one_hot": Statistic(_Vocabulary, _one_hot),
    "scaled": Statistic(_Range, _scaled),
    "standardized": Statistic(_Moments, _standardized),
}
