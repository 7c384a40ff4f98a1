"""What is averaged over rows: losses, and whether a prediction is right.

Keras keeps probabilities a little away from 0 and 1 before it takes logarithms; losses with Keras'
names do as well, those with TFMA's names do not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from penstock.components.evaluator.arrow.outcomes import Outcome, class_numbers, one_hot

_KERAS_EPSILON = 1e-7


def _log(values: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(values)


def _times_log(labels: np.ndarray, logarithms: np.ndarray) -> np.ndarray:
    """Return the products, where nothing times anything is nothing."""
    with np.errstate(invalid="ignore"):
        return np.where(labels == 0, 0.0, labels * logarithms)


def _smooth(labels: np.ndarray, smoothing: float, outputs: int) -> np.ndarray:
    return labels * (1 - smoothing) + smoothing / outputs


def _squared(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    return (labels - predictions) ** 2


def _absolute(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    return np.abs(labels - predictions)


def _percentage(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Return the errors in percent of the labels; there are none where a label is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(labels == 0, np.nan, 100 * np.abs((labels - predictions) / labels))


def _squared_logarithmic(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    return (_log(labels + 1) - _log(predictions + 1)) ** 2


def _binary_cross_entropy(
    labels: np.ndarray,
    predictions: np.ndarray,
    *,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
) -> np.ndarray:
    labels = _smooth(labels, label_smoothing, 2)
    if from_logits:
        return (
            np.maximum(predictions, 0)
            - predictions * labels
            + np.log1p(np.exp(-np.abs(predictions)))
        )
    return -_times_log(labels, _log(predictions)) - _times_log(1 - labels, _log(1 - predictions))


def _keras_binary_crossentropy(
    labels: np.ndarray,
    predictions: np.ndarray,
    *,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
) -> np.ndarray:
    if from_logits:
        return _binary_cross_entropy(
            labels, predictions, from_logits=True, label_smoothing=label_smoothing
        )
    labels = _smooth(labels, label_smoothing, 2)
    inner = np.clip(predictions, _KERAS_EPSILON, 1 - _KERAS_EPSILON)
    return -(
        labels * np.log(inner + _KERAS_EPSILON) + (1 - labels) * np.log(1 - inner + _KERAS_EPSILON)
    )


def _categorical_cross_entropy(
    outcome: Outcome, *, from_logits: bool = False, label_smoothing: float = 0.0
) -> np.ndarray:
    labels = _smooth(one_hot(outcome), label_smoothing, outcome.outputs)
    probabilities = _probabilities(outcome.predictions, from_logits)
    # A masked logarithm counts as none in TFMA, also where it is the label's.
    logarithms = np.where(probabilities > 0, _log(probabilities), 0)
    return -(labels * logarithms).sum(axis=1)


def _keras_categorical_crossentropy(
    outcome: Outcome, *, from_logits: bool = False, label_smoothing: float = 0.0
) -> np.ndarray:
    labels = _smooth(one_hot(outcome), label_smoothing, outcome.outputs)
    probabilities = _probabilities(outcome.predictions, from_logits)
    if not from_logits:
        probabilities = np.clip(probabilities, _KERAS_EPSILON, 1 - _KERAS_EPSILON)
    return -_times_log(labels, _log(probabilities)).sum(axis=1)


def _sparse_categorical_crossentropy(outcome: Outcome, *, from_logits: bool = False) -> np.ndarray:
    probabilities = outcome.predictions
    if not from_logits:
        probabilities = np.clip(probabilities, _KERAS_EPSILON, 1 - _KERAS_EPSILON)
    probabilities = _probabilities(probabilities, from_logits)
    return -_log(probabilities[np.arange(len(outcome)), class_numbers(outcome)])


def _probabilities(predictions: np.ndarray, from_logits: bool) -> np.ndarray:
    if from_logits:
        predictions = np.exp(predictions - predictions.max(axis=1, keepdims=True))
    return predictions / predictions.sum(axis=1, keepdims=True)


def _is_likeliest(outcome: Outcome) -> np.ndarray:
    return (outcome.predictions.argmax(axis=1) == class_numbers(outcome)).astype(np.float64)


def _is_in_top(outcome: Outcome, *, k: float = 5) -> np.ndarray:
    """Return whether fewer than k classes are likelier than the label."""
    rows = np.arange(len(outcome))
    own = outcome.predictions[rows, class_numbers(outcome)]
    return ((outcome.predictions > own[:, None]).sum(axis=1) < k).astype(np.float64)


def _is_equal(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    return (labels == predictions).astype(np.float64)


# Of single labels and predictions; NaN where a pair has no loss and does not count.
OF_PAIRS: dict[str, Callable[..., np.ndarray]] = {
    "Accuracy": _is_equal,
    "BinaryCrossEntropy": _binary_cross_entropy,
    "BinaryCrossentropy": _keras_binary_crossentropy,
    "MeanAbsoluteError": _absolute,
    "MeanAbsolutePercentageError": _percentage,
    "MeanSquaredError": _squared,
    "MeanSquaredLogarithmicError": _squared_logarithmic,
}

# Of all the classes of a row.
OF_ROWS: dict[str, Callable[..., np.ndarray]] = {
    "CategoricalAccuracy": _is_likeliest,
    "CategoricalCrossEntropy": _categorical_cross_entropy,
    "CategoricalCrossentropy": _keras_categorical_crossentropy,
    "SparseCategoricalAccuracy": _is_likeliest,
    "SparseCategoricalCrossentropy": _sparse_categorical_crossentropy,
    "SparseTopKCategoricalAccuracy": _is_in_top,
    "TopKCategoricalAccuracy": _is_in_top,
}
