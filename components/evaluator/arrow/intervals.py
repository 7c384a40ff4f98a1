"""Confidence intervals of metrics: by samples of the rows, and Student's t-distribution.

There are 20 samples, as in TFMA: the jackknife deals the rows into 20 buckets and leaves out one
after another (the delete-d jackknife with blocks), the Poisson bootstrap takes each row as often
as a Poisson distribution of mean 1 says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from penstock.components.evaluator.arrow.forms import Form
from penstock.data.results import evaluation_messages as messages

SAMPLES = 20
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Sampling:
    """How rows are dealt to groups, whose sums are kept apart, and what samples are of them.

    Of each slice there are `groups`. `deal` returns for n rows the positions of rows and their
    groups, each row as often as it is in groups.
    """

    groups: int = 1
    jackknife: bool = False
    bootstrap: bool = False

    @classmethod
    def of(cls, options: Any) -> Sampling:
        """Return what the Options message of a config asks for."""
        if not options.compute_confidence_intervals.value:
            return cls()
        if options.confidence_intervals.method == messages.POISSON_BOOTSTRAP:
            return cls(1 + SAMPLES, bootstrap=True)
        return cls(SAMPLES, jackknife=True)

    def deal(self, rows: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return positions of rows and numbers of groups, of one length."""
        if self.jackknife:
            return np.arange(rows), random.integers(SAMPLES, size=rows)
        positions, groups = [np.arange(rows)], [np.zeros(rows, np.int64)]
        for sample in range(SAMPLES if self.bootstrap else 0):
            positions.append(np.repeat(np.arange(rows), random.poisson(1, rows)))
            groups.append(np.full(len(positions[-1]), 1 + sample))
        return np.concatenate(positions), np.concatenate(groups)

    def full(self, table: np.ndarray) -> np.ndarray:
        """Return the sums of all rows, of those of the groups."""
        return table.sum(axis=0) if self.jackknife else table[0]

    def sample(self, table: np.ndarray, number: int) -> np.ndarray:
        """Return the sums of a sample, of those of the groups."""
        if self.jackknife:
            return np.delete(table, number, axis=0).sum(axis=0)
        return table[1 + number]

    def has_sample(self, counts: np.ndarray, number: int) -> bool:
        """Return whether a sample has rows, by the numbers of rows in the groups.

        A bootstrap's sample may be empty and counts all the same.
        """
        return not self.jackknife or bool(counts.sum() > counts[number])


@dataclass(frozen=True)
class Interval:
    """A mean of samples, its standard error, and the degrees of freedom of the t-distribution."""

    mean: np.ndarray
    standard_error: np.ndarray
    degrees_of_freedom: int

    def write(self, form: Form, message: Any) -> None:
        """Write the interval of 95 % into a ConfidenceInterval message."""
        reach = self.standard_error * t_quantile((1 + CONFIDENCE) / 2, self.degrees_of_freedom)
        message.lower_bound.CopyFrom(form(self.mean - reach))
        message.upper_bound.CopyFrom(form(self.mean + reach))
        message.standard_error.CopyFrom(form(self.standard_error))
        message.degrees_of_freedom.value = self.degrees_of_freedom


def interval_of(sampling: Sampling, value: np.ndarray, samples: Sequence[np.ndarray]) -> Interval:
    """Return the interval of a metric, by its value on all rows and those on the samples.

    A jackknife's standard error is that of the mean of pseudo-values: Efron and Tibshirani, An
    Introduction to the Bootstrap (1993), chapter 11.
    """
    count = len(samples)
    stacked = np.stack(samples)
    with np.errstate(invalid="ignore", over="ignore"):
        if sampling.jackknife:
            pseudo = value * count - stacked * (count - 1)
            error = pseudo.std(axis=0, ddof=1) / math.sqrt(count)
        else:
            error = stacked.std(axis=0, ddof=1)
        return Interval(stacked.mean(axis=0), error, count - 1)


def t_quantile(probability: float, degrees_of_freedom: int) -> float:
    """Return the quantile of Student's t-distribution."""
    if probability < 0.5:
        return -t_quantile(1 - probability, degrees_of_freedom)
    high = 1.0
    while _t_distribution(high, degrees_of_freedom) < probability:
        high *= 2
    return _bisected(lambda t: _t_distribution(t, degrees_of_freedom) - probability, 0.0, high)


def _bisected(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where an increasing function crosses zero, as exactly as floats are."""
    for _ in range(200):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if function(middle) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _t_distribution(t: float, degrees_of_freedom: int) -> float:
    """Return the probability of at most t, t >= 0: a finite sum for whole degrees of freedom.

    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    angle = math.atan(t / math.sqrt(degrees_of_freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    if degrees_of_freedom % 2:
        term, total = cosine, cosine if degrees_of_freedom > 1 else 0.0
        for k in range(3, degrees_of_freedom - 1, 2):
            term *= cosine**2 * (k - 1) / k
            total += term
        inside = 2 / math.pi * (angle + sine * total)
    else:
        term = total = 1.0
        for k in range(2, degrees_of_freedom - 1, 2):
            term *= cosine**2 * (k - 1) / k
            total += term
        inside = sine * total
    return (1 + inside) / 2
