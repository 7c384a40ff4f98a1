"""Labels, predictions and weights of rows, and the pairs of them that metrics are made of."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from penstock.components.evaluator.arrow.keys import SubKey
from penstock.errors import DataError


@dataclass(frozen=True)
class Outcome:
    """What a model says of some rows, and what is so.

    `labels` are of shape (n, 1), or (n, outputs) where each output has a label of its own;
    `predictions` of shape (n, outputs); `weights` of shape (n,). `classes` are the labels that
    the outputs stand for, where they are those of a classifier. The first of the rows has the
    number `first_row`.
    """

    labels: np.ndarray
    predictions: np.ndarray
    weights: np.ndarray | None = None
    classes: tuple[object, ...] | None = None
    first_row: int = 0

    def __len__(self) -> int:
        return len(self.predictions)

    @property
    def outputs(self) -> int:
        """How many numbers a prediction has."""
        return int(self.predictions.shape[1])


@dataclass(frozen=True)
class View:
    """Which model's outcomes a sum is over, and which part of them.

    With `micro` each class of a row counts as a row, by `class_weights` where there are some; of
    the top k then only these. `weighted` says whether example weights count.
    """

    model: str
    weighted: bool
    sub_key: SubKey | None = None
    micro: bool = False
    class_weights: tuple[tuple[int, float], ...] = ()

    def whole(self, outcome: Outcome) -> Outcome:
        """Return the outcome with the classes that the view is of, and weights in any case."""
        labels, predictions = outcome.labels, outcome.predictions
        key = self.sub_key or SubKey()
        if key.k is not None:
            labels = one_hot(outcome)
            chosen = _top(predictions, key.k)[:, :1]
            labels, predictions = _taken(labels, chosen), _taken(predictions, chosen)
        elif key.top_k is not None:
            chosen = _top(predictions, key.top_k)
            if self.micro:
                labels = _taken(one_hot(outcome), chosen)
                predictions = _taken(predictions, chosen)
            else:
                others = np.full(predictions.shape, -np.inf)
                np.put_along_axis(others, chosen, _taken(predictions, chosen), axis=1)
                predictions = others
        if key.class_id is not None:
            if key.class_id >= outcome.outputs:
                raise DataError(
                    f"a metric is of class {key.class_id}, and the model gives "
                    f"{outcome.outputs} numbers a row",
                    hint="Classes are numbered from 0.",
                )
            labels = one_hot(replace(outcome, predictions=predictions, labels=labels))
            labels = labels[:, key.class_id : key.class_id + 1]
            predictions = predictions[:, key.class_id : key.class_id + 1]
        weights = outcome.weights if self.weighted else None
        if weights is None:
            weights = np.ones(len(predictions))
        return replace(outcome, labels=labels, predictions=predictions, weights=weights)

    def pairs(self, outcome: Outcome) -> Pairs:
        """Return label and prediction of each row; of each class of each row if there are more.

        Of a classifier's two classes the second is the one that is predicted, unless the view is
        of some class or of an average.
        """
        is_binary = self.sub_key is None and not self.micro
        if is_binary and outcome.classes is not None and outcome.outputs == 2:
            labels = outcome.labels
            outcome = replace(
                outcome,
                labels=labels if labels.shape[1] == 1 else labels[:, 1:],
                predictions=outcome.predictions[:, 1:],
            )
        whole = self.whole(outcome)
        assert whole.weights is not None
        labels = whole.labels if whole.outputs == 1 else one_hot(whole)
        weights = np.repeat(whole.weights[:, None], whole.outputs, axis=1)
        if self.class_weights:
            given = dict(self.class_weights)
            weights = weights * np.array([given.get(i, 0.0) for i in range(whole.outputs)])
        return Pairs(
            np.repeat(np.arange(len(whole)), whole.outputs),
            labels.reshape(-1),
            whole.predictions.reshape(-1),
            weights.reshape(-1),
            outcome.first_row,
        )


@dataclass(frozen=True)
class Pairs:
    """Single labels and predictions with their weights, and the positions of their rows."""

    rows: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    weights: np.ndarray
    first_row: int = 0

    def check_fractions(self) -> Pairs:
        """Return the pairs if the labels are parts of one: none, all, or something between.

        Raises:
          DataError: one is not.
        """
        wrong = ~((self.labels >= 0) & (self.labels <= 1))
        if wrong.any():
            (first, *_) = wrong.nonzero()[0]
            raise DataError(
                f"row {self.first_row + self.rows[first]}: expected a label from 0 to 1 for a "
                f"metric of two classes, got {self.labels[first]:g}",
                hint="Metrics of single classes are asked for with binarize or aggregate.",
            )
        return self


def one_hot(outcome: Outcome) -> np.ndarray:
    """Return a label for each output: one for the class that is so, none for the others.

    Raises:
      DataError: a label is no class.
    """
    labels, outputs = outcome.labels, outcome.outputs
    if labels.shape[1] == outputs:
        return labels
    if labels.shape[1] != 1:
        raise DataError(
            f"row {outcome.first_row}: expected one label or {outputs}, as many as the model gives "
            f"numbers, got {labels.shape[1]}"
        )
    return np.eye(outputs)[class_numbers(outcome)]


def class_numbers(outcome: Outcome) -> np.ndarray:
    """Return the number of each row's class, of shape (n,).

    Raises:
      DataError: a label is no class.
    """
    labels = outcome.labels
    if labels.shape[1] > 1:
        return labels.argmax(axis=1)
    flat = labels[:, 0]
    wrong = (flat != np.floor(flat)) | (flat < 0) | (flat >= outcome.outputs)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"row {outcome.first_row + row}: expected a label that is the number of a class, 0 to "
            f"{outcome.outputs - 1}, got {flat[row]:g}"
        )
    return flat.astype(np.int64)


def _top(predictions: np.ndarray, k: int) -> np.ndarray:
    """Return the positions of each row's k largest predictions, the smallest of them first."""
    if k > predictions.shape[1]:
        raise DataError(
            f"a metric is of the top {k} classes, and the model gives {predictions.shape[1]} "
            "numbers a row"
        )
    return np.argpartition(predictions, -k, axis=-1)[:, -k:]


def _taken(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    return np.take_along_axis(values, positions, axis=1)
