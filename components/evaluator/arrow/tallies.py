"""Sums over rows that metrics are made of; each adds up, so rows may come in any batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from penstock.components.evaluator.arrow import losses
from penstock.components.evaluator.arrow.outcomes import Outcome, View, class_numbers, one_hot


class Entries(NamedTuple):
    """What rows add to a table: at rows[i] the values[i], of shape (columns,), to cells[i]."""

    rows: np.ndarray
    cells: np.ndarray | int
    values: np.ndarray


class Tally(Protocol):
    """A table of sums over rows. Equal ones are kept once, whichever metrics need them."""

    @property
    def view(self) -> View:
        """What the sums are over."""
        ...

    @property
    def columns(self) -> int:
        """How many numbers a cell has."""
        ...

    def shape(self, outputs: int) -> tuple[int, ...]:
        """Return the shape of the cells for a model that gives so many numbers a row."""
        ...

    def entries(self, outcome: Outcome) -> Entries:
        """Return what some rows add."""
        ...


# The tables of sums of one group of rows, of shape (*cells, columns).
Tables = Mapping[Tally, np.ndarray]


@dataclass(frozen=True)
class Count:
    """The number of rows, or the sum of their weights."""

    view: View
    columns: int = 1

    def shape(self, outputs: int) -> tuple[int, ...]:
        """Return a single cell."""
        return (1,)

    def entries(self, outcome: Outcome) -> Entries:
        """Return the weights."""
        weights = outcome.weights if self.view.weighted else None
        if weights is None:
            weights = np.ones(len(outcome))
        return Entries(np.arange(len(outcome)), 0, weights[:, None])


@dataclass(frozen=True)
class Totals:
    """Labels, predictions, their squares and their product, and one: each times the weight."""

    view: View
    columns: int = 6

    def shape(self, outputs: int) -> tuple[int, ...]:
        """Return a single cell."""
        return (1,)

    def entries(self, outcome: Outcome) -> Entries:
        """Return the products of each pair."""
        pairs = self.view.pairs(outcome)
        label, prediction, weight = pairs.labels, pairs.predictions, pairs.weights
        values = (label, prediction, label**2, prediction**2, label * prediction, label * 0 + 1)
        return Entries(pairs.rows, 0, np.stack([value * weight for value in values], axis=1))


@dataclass(frozen=True)
class Histogram:
    """Labels, predictions and weights by the prediction: buckets of one width, and two outside.

    A bucket holds its lower bound. `fractional` says that labels are from 0 to 1.
    """

    view: View
    buckets: int
    left: float = 0.0
    right: float = 1.0
    fractional: bool = True
    columns: int = 3

    def shape(self, outputs: int) -> tuple[int, ...]:
        """Return a cell a bucket, and one at either side."""
        return (self.buckets + 2,)

    def entries(self, outcome: Outcome) -> Entries:
        """Return each pair at its bucket."""
        pairs = self.view.pairs(outcome)
        if self.fractional:
            pairs.check_fractions()
        width = self.right - self.left
        places = (pairs.predictions - self.left) / width * self.buckets + 1
        cells = np.clip(places, 0, self.buckets + 1).astype(np.int64)
        finite = np.where(np.isfinite(pairs.predictions), pairs.predictions, 0)
        values = np.stack([pairs.labels, finite, np.ones(len(finite))], axis=1)
        return Entries(pairs.rows, cells, values * pairs.weights[:, None])


@dataclass(frozen=True)
class Matrices:
    """True positives, true negatives, false positives and false negatives at few thresholds.

    Above a threshold means positive; a label between 0 and 1 is so much of a positive.
    """

    view: View
    thresholds: tuple[float, ...]
    columns: int = 4

    def shape(self, outputs: int) -> tuple[int, ...]:
        """Return a cell a threshold."""
        return (len(self.thresholds),)

    def entries(self, outcome: Outcome) -> Entries:
        """Return each pair at each threshold."""
        pairs = self.view.pairs(outcome).check_fractions()
        positive = pairs.labels * pairs.weights
        negative = (1 - pairs.labels) * pairs.weights
        values = []
        for threshold in self.thresholds:
            above = pairs.predictions > threshold
            values.append(
                np.stack(
                    [positive * above, negative * ~above, negative * above, positive * ~above],
                    axis=1,
                )
            )
        return Entries(
            np.tile(pairs.rows, len(self.thresholds)),
            np.repeat(np.arange(len(self.thresholds)), len(pairs.rows)),
            np.concatenate(values),
        )


@dataclass(frozen=True)
class ClassMatrices:
    """Weights, and numbers of rows, by actual and predicted class; the first is for none.

    No class is predicted where the likeliest one is not above the threshold.
    """

    view: View
    thresholds: tuple[float, ...]
    columns: int = 2

    def shape(self, outputs: int) -> tuple[int, ...]:
        """Return a cell for each threshold, actual class and predicted class, or none."""
        return (len(self.thresholds), outputs, outputs + 1)

    def entries(self, outcome: Outcome) -> Entries:
        """Return each row at each threshold."""
        whole = self.view.whole(outcome)
        assert whole.weights is not None
        actual, outputs = class_numbers(whole), whole.outputs
        likeliest = whole.predictions.argmax(axis=1)
        highest = whole.predictions.max(axis=1)
        cells = [
            (number * outputs + actual) * (outputs + 1)
            + np.where(highest > threshold, likeliest + 1, 0)
            for number, threshold in enumerate(self.thresholds)
        ]
        values = np.stack([whole.weights, np.ones(len(whole))], axis=1)
        return Entries(
            np.tile(np.arange(len(whole)), len(cells)),
            np.concatenate(cells),
            np.tile(values, (len(cells), 1)),
        )


@dataclass(frozen=True)
class Losses:
    """What a loss comes to, times the weight, and the weight; see the module `losses`.

    `paired` losses are of single labels and predictions, others of whole rows.
    """

    view: View
    loss: str
    settings: tuple[tuple[str, float], ...] = ()
    paired: bool = True
    columns: int = 2

    def shape(self, outputs: int) -> tuple[int, ...]:
        """Return a single cell."""
        return (1,)

    def entries(self, outcome: Outcome) -> Entries:
        """Return each row's, or pair's, loss; where it has none, neither loss nor weight."""
        settings = dict(self.settings)
        if self.paired:
            pairs = self.view.pairs(outcome)
            function = losses.OF_PAIRS[self.loss]
            rows, weights = pairs.rows, pairs.weights
            loss = function(pairs.labels, pairs.predictions, **settings)
            has_one = ~np.isnan(loss)
            weights, loss = weights * has_one, np.where(has_one, loss, 0)
        else:
            whole = self.view.whole(outcome)
            assert whole.weights is not None
            rows, weights = np.arange(len(whole)), whole.weights
            loss = losses.OF_ROWS[self.loss](whole, **settings)
        return Entries(rows, 0, np.stack([loss * weights, weights], axis=1))


@dataclass(frozen=True)
class ClassTotals:
    """The weight of each class among the labels."""

    view: View
    class_ids: tuple[int, ...]
    columns: int = 1

    def shape(self, outputs: int) -> tuple[int, ...]:
        """Return a cell a class."""
        return (len(self.class_ids),)

    def entries(self, outcome: Outcome) -> Entries:
        """Return each row's label of each class."""
        whole = self.view.whole(outcome)
        assert whole.weights is not None
        labels = one_hot(whole)[:, list(self.class_ids)] * whole.weights[:, None]
        count = len(self.class_ids)
        return Entries(
            np.repeat(np.arange(len(whole)), count),
            np.tile(np.arange(count), len(whole)),
            labels.reshape(-1, 1),
        )
