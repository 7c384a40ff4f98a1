"""From sums to binary confusion matrices by threshold, and from these to numbers.

A matrix is a row of true positives, true negatives, false positives and false negatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

# AUC and plots are made of a histogram with this many buckets, as in TFMA.
HISTOGRAM_BUCKETS = 10_000
EPSILON = 1e-7
# A number of thresholds that Keras takes unless told otherwise.
_KERAS_THRESHOLDS = 200


class Counts(NamedTuple):
    """The columns of matrices: an array each, one number a threshold."""

    tp: np.ndarray
    tn: np.ndarray
    fp: np.ndarray
    fn: np.ndarray


def evenly_spaced(number: int) -> tuple[float, ...]:
    """Return that many thresholds from just below 0 to just above 1, as Keras' AUC has them."""
    inner = [(i + 1) * 1.0 / (number - 1) for i in range(number - 2)]
    return (-EPSILON, *inner, 1.0 + EPSILON)


def thresholds_of(
    thresholds: Sequence[float] | None, number: int | None
) -> tuple[tuple[float, ...], bool]:
    """Return the thresholds that are meant, and whether a histogram does for them."""
    if thresholds is not None:
        if number is None and tuple(thresholds) == evenly_spaced(len(thresholds)):
            return tuple(thresholds), True
        if number in (HISTOGRAM_BUCKETS, _KERAS_THRESHOLDS) and len(thresholds) == number - 2:
            return evenly_spaced(number), True
        return tuple(thresholds), False
    return evenly_spaced(HISTOGRAM_BUCKETS if number is None else number), True


def rebinned(
    histogram: np.ndarray, thresholds: Sequence[float], left: float = 0.0, right: float = 1.0
) -> np.ndarray:
    """Return a histogram, of shape (buckets, columns), with buckets that begin at thresholds.

    What is below the first threshold goes to the first bucket.
    """
    buckets = len(histogram) - 2
    bounds = np.arange(buckets) / buckets * (right - left) + left
    bounds = np.concatenate([[-np.inf], bounds, [np.inf]])
    places = np.maximum(np.searchsorted(thresholds, bounds, side="right") - 1, 0)
    columns = [
        np.bincount(places, weights=column, minlength=len(thresholds)) for column in histogram.T
    ]
    return np.stack(columns, axis=1)


def from_histogram(histogram: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """Return the matrices, of shape (thresholds, 4), that a histogram comes to.

    Its columns are labels, predictions and weights. A bucket counts as above a threshold if its
    lower bound is, so thresholds are exact to a bucket's width.
    """
    # Buckets hold their lower bounds, and above a threshold does not mean at it.
    bounds = [threshold + EPSILON if threshold != 0 else threshold for threshold in thresholds]
    if thresholds[0] >= 0:
        bounds = [-EPSILON, *bounds]
    if thresholds[-1] < 1.0:
        bounds = [*bounds, 1.0 + EPSILON]
    labels, _, weights = rebinned(histogram, bounds).T
    parts = np.stack([labels, weights - labels])
    above = parts[:, ::-1].cumsum(axis=1)[:, ::-1]
    below = np.concatenate([np.zeros((2, 1)), parts.cumsum(axis=1)[:, :-1]], axis=1)
    first = 1 if thresholds[0] >= 0 else 0
    (tp, fp), (fn, tn) = (side[:, first : first + len(thresholds)] for side in (above, below))
    beyond = np.array(thresholds) >= 1.0 + EPSILON
    fn, tn = np.where(beyond, tp[0], fn), np.where(beyond, fp[0], tn)
    tp, fp = np.where(beyond, 0, tp), np.where(beyond, 0, fp)
    return np.stack([tp, tn, fp, fn], axis=1)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator > 0, numerator / denominator, np.nan)


def _prevalence_threshold(m: Counts) -> np.ndarray:
    tpr, tnr = _ratio(m.tp, m.tp + m.fn), _ratio(m.tn, m.tn + m.fp)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (np.sqrt(tpr * (1 - tnr)) + tnr - 1) / (tpr + tnr - 1)


def _odds_ratio(m: Counts) -> np.ndarray:
    defined = (m.fn > 0) & (m.fp > 0) & (m.tn > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(defined, (m.tp / m.fn) / (m.fp / m.tn), np.nan)


# By TFMA's names. Ratios without a denominator are NaN.
FORMULAS: dict[str, Callable[[Counts], np.ndarray]] = {
    "true_positives": lambda m: m.tp,
    "true_negatives": lambda m: m.tn,
    "false_positives": lambda m: m.fp,
    "false_negatives": lambda m: m.fn,
    "binary_accuracy": lambda m: _ratio(m.tp + m.tn, m.tp + m.tn + m.fp + m.fn),
    "precision": lambda m: _ratio(m.tp, m.tp + m.fp),
    "recall": lambda m: _ratio(m.tp, m.tp + m.fn),
    "specificity": lambda m: _ratio(m.tn, m.tn + m.fp),
    "fall_out": lambda m: _ratio(m.fp, m.fp + m.tn),
    "miss_rate": lambda m: _ratio(m.fn, m.fn + m.tp),
    "negative_predictive_value": lambda m: _ratio(m.tn, m.tn + m.fn),
    "false_discovery_rate": lambda m: _ratio(m.fp, m.fp + m.tp),
    "false_omission_rate": lambda m: _ratio(m.fn, m.fn + m.tn),
    "prevalence": lambda m: _ratio(m.tp + m.fn, m.tp + m.tn + m.fp + m.fn),
    "prevalence_threshold": _prevalence_threshold,
    "threat_score": lambda m: _ratio(m.tp, m.tp + m.fn + m.fp),
    "balanced_accuracy": lambda m: (_ratio(m.tp, m.tp + m.fn) + _ratio(m.tn, m.tn + m.fp)) / 2,
    "f1_score": lambda m: _ratio(2 * m.tp, 2 * m.tp + m.fp + m.fn),
    "matthews_correlation_coefficient": lambda m: _ratio(
        m.tp * m.tn - m.fp * m.fn,
        np.sqrt((m.tp + m.fp) * (m.tp + m.fn) * (m.tn + m.fp) * (m.tn + m.fn)),
    ),
    "fowlkes_mallows_index": lambda m: np.sqrt(
        _ratio(m.tp, m.tp + m.fp) * _ratio(m.tp, m.tp + m.fn)
    ),
    "informedness": lambda m: _ratio(m.tp, m.tp + m.fn) + _ratio(m.tn, m.tn + m.fp) - 1,
    "markedness": lambda m: _ratio(m.tp, m.tp + m.fp) + _ratio(m.tn, m.tn + m.fn) - 1,
    "positive_likelihood_ratio": lambda m: _ratio(
        _ratio(m.tp, m.tp + m.fn), _ratio(m.fp, m.fp + m.tn)
    ),
    "negative_likelihood_ratio": lambda m: _ratio(
        _ratio(m.fn, m.fn + m.tp), _ratio(m.tn, m.tn + m.fp)
    ),
    "diagnostic_odds_ratio": _odds_ratio,
    "predicted_positive_rate": lambda m: _ratio(m.tp + m.fp, m.tp + m.tn + m.fp + m.fn),
}


def area(matrices: np.ndarray, curve: str, summation: str) -> float:
    """Return the area under the ROC curve, or under that of precision and recall.

    It is NaN where there are no positives, or, of the ROC curve, no negatives: TFMA's is 0 then.
    `summation` is interpolation, majoring or minoring. Precision is interpolated as in Davis and
    Goadrich, The relationship between precision-recall and ROC curves (ICML 2006), as Keras does.
    """
    tp, tn, fp, fn = matrices.T
    if is_undefined(float((tp + fn).max()), float((fp + tn).max()), curve):
        return float("nan")
    with np.errstate(divide="ignore", invalid="ignore"):
        if curve == "PR" and summation == "interpolation":
            return _interpolated_precision(tp, fp, fn)
        recall = tp / (tp + fn)
        x, y = (fp / (fp + tn), recall) if curve == "ROC" else (recall, tp / (tp + fp))
        heights = {
            "interpolation": (y[:-1] + y[1:]) / 2,
            "minoring": np.minimum(y[:-1], y[1:]),
            "majoring": np.maximum(y[:-1], y[1:]),
        }[summation]
        return float(np.nansum((x[:-1] - x[1:]) * heights))


def is_undefined(positives: float, negatives: float, curve: str) -> bool:
    """Return whether there is no ROC curve, or no curve of precision and recall, of such rows."""
    return positives <= 0 or (curve == "ROC" and negatives <= 0)


def _interpolated_precision(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> float:
    positives = tp + fp
    step = tp[:-1] - tp[1:]
    slope = step / np.maximum(positives[:-1] - positives[1:], 0)
    intercept = tp[1:] - slope * positives[1:]
    ratio = np.where(
        (positives[:-1] > 0) & (positives[1:] > 0),
        positives[:-1] / np.maximum(positives[1:], 0),
        1,
    )
    increments = slope * (step + intercept * np.log(ratio)) / np.maximum(tp[1:] + fn[1:], 0)
    return float(np.nansum(increments))


def best_under(
    constrained: np.ndarray, dependent: np.ndarray, bounds: Sequence[float], at_most: bool = False
) -> np.ndarray:
    """Return for each bound the best of `dependent` where `constrained` keeps it; 0 if nowhere."""
    best = []
    for bound in bounds:
        keeps = constrained <= bound if at_most else constrained >= bound
        chosen = dependent[keeps]
        best.append(float(np.nanmax(chosen)) if (~np.isnan(chosen)).any() else 0.0)
    return np.array(best)


def rates(matrices: np.ndarray) -> dict[str, np.ndarray]:
    """Return recall, specificity, precision and fall-out by threshold, NaN where undefined."""
    tp, tn, fp, fn = matrices.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "recall": tp / (tp + fn),
            "specificity": tn / (tn + fp),
            "precision": tp / (tp + fp),
            "fall_out": fp / (fp + tn),
        }
