"""Values of metrics, which are arrays here, as the messages of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from penstock.components.evaluator.arrow.matrices import EPSILON
from penstock.data.results import evaluation_messages as messages

# Makes a MetricValue of a value, or, for plots, writes it into a PlotData.
Form = Callable[[np.ndarray], Any]
PlotForm = Callable[[np.ndarray, Any], None]


def number(value: np.ndarray) -> Any:
    """Return a number."""
    message = messages.MetricValue()
    message.double_value.value = float(value)
    return message


def numbers(value: np.ndarray) -> Any:
    """Return numbers, as one by threshold."""
    message = messages.MetricValue()
    array = message.array_value
    array.data_type = (
        array.DESCRIPTOR.enum_types_by_name["DataType"].values_by_name["FLOAT64"].number
    )
    array.shape.extend(value.shape)
    array.float64_values.extend(value.reshape(-1).tolist())
    return message


def confusion(thresholds: Sequence[float]) -> Form:
    """Return how matrices at thresholds, of shape (thresholds, 4), are written."""

    def write(value: np.ndarray) -> Any:
        message = messages.MetricValue()
        _write_matrices(thresholds, value, message.confusion_matrix_at_thresholds)
        return message

    return write


def confusion_plot(thresholds: Sequence[float]) -> PlotForm:
    """Return how matrices at thresholds are written into a plot."""

    def write(value: np.ndarray, plot: Any) -> None:
        _write_matrices(thresholds, value, plot.confusion_matrix_at_thresholds)

    return write


def _write_matrices(thresholds: Sequence[float], value: np.ndarray, message: Any) -> None:
    tp, tn, fp, fn = value.T
    with np.errstate(divide="ignore", invalid="ignore"):
        # As in TFMA: without predicted positives precision is 1, without positives recall is 0.
        precision = np.where(tp + fp > 0, tp / (tp + fp), 1.0)
        recall = np.where(tp + fn > 0, tp / (tp + fn), 0.0)
        columns = {
            "true_positives": tp,
            "true_negatives": tn,
            "false_positives": fp,
            "false_negatives": fn,
            "precision": precision,
            "recall": recall,
            "false_positive_rate": fp / (tn + fp),
            "false_omission_rate": fn / (tn + fn),
            "f1": 2 * precision * recall / (precision + recall),
            "accuracy": (tp + tn) / (tp + tn + fp + fn),
        }
    for position, threshold in enumerate(thresholds):
        message.matrices.add(
            threshold=round(threshold, 6),
            **{name: column[position] for name, column in columns.items()},
        )


def classes(thresholds: Sequence[float]) -> Form:
    """Return how weights by actual and predicted class are written, NaN where there are no rows.

    Their shape is (thresholds, classes, 1 + classes): first are rows without a prediction.
    """

    def write(value: np.ndarray) -> Any:
        message = messages.MetricValue()
        _write_classes(thresholds, value, message.multi_class_confusion_matrix_at_thresholds)
        return message

    return write


def classes_plot(thresholds: Sequence[float]) -> PlotForm:
    """Return how weights by actual and predicted class are written into a plot."""

    def write(value: np.ndarray, plot: Any) -> None:
        _write_classes(thresholds, value, plot.multi_class_confusion_matrix_at_thresholds)

    return write


def _write_classes(thresholds: Sequence[float], value: np.ndarray, message: Any) -> None:
    for threshold, table in sorted(zip(thresholds, value, strict=True), key=lambda pair: pair[0]):
        shown = {-EPSILON: 0.0, 1.0 + EPSILON: 1.0}.get(threshold, threshold)
        matrix = message.matrices.add(threshold=shown)
        for actual, column in zip(*(~np.isnan(table)).nonzero(), strict=True):
            matrix.entries.add(
                actual_class_id=int(actual),
                predicted_class_id=int(column) - 1,
                num_weighted_examples=table[actual, column],
            )


def calibration_plot(thresholds: Sequence[float]) -> PlotForm:
    """Return how labels, predictions and weights by bucket are written into a plot."""
    bounds = [*thresholds, float("inf")]

    def write(value: np.ndarray, plot: Any) -> None:
        for position, (labels, predictions, weights) in enumerate(value.tolist()):
            bucket = plot.calibration_histogram_buckets.buckets.add(
                lower_threshold_inclusive=bounds[position],
                upper_threshold_exclusive=bounds[position + 1],
            )
            bucket.total_weighted_label.value = labels
            bucket.total_weighted_refined_prediction.value = predictions
            bucket.num_weighted_examples.value = weights

    return write
