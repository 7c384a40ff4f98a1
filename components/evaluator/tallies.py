"""TFMA's combiners as sums over whole arrays, for those combiners that are sums.

A tally adds up, for each group of rows, what a combiner's accumulator would hold after these rows,
and has the combiner itself make its output of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.components.evaluator.rows import Rows
from penstock.components.evaluator.sums import Sums
from penstock.components.evaluator.unsupported import Unsupported


class Tally:
    """How one combiner's sums are made of rows, and its metrics of the sums.

    A group's table of sums has so many `cells`, the rows, and so many `columns`.
    """

    def __init__(self, combiner: Any, cells: int, columns: int):
        combiner.setup()
        self.combiner = combiner
        self.cells = cells
        self.columns = columns

    def empty(self) -> Sums:
        """Return sums of nothing yet."""
        return Sums(self.cells, self.columns)

    def add(self, to: Sums, rows: Rows, groups: np.ndarray) -> None:
        """Add each row to the group that `groups` has in its place."""
        self._add(to, rows, groups)

    def output(self, table: np.ndarray) -> dict[Any, Any]:
        """Return the combiner's metrics for a table of sums."""
        return self.combiner.extract_output(self._accumulator(table))

    def _add(self, to: Sums, rows: Rows, groups: np.ndarray) -> None:
        raise NotImplementedError

    def _accumulator(self, table: np.ndarray) -> Any:
        raise NotImplementedError


class ExampleCount(Tally):
    """Of TFMA's _ExampleCountCombiner."""

    def __init__(self, combiner: Any):
        _plain(combiner, output_name=combiner._output_name)
        super().__init__(combiner, 1, 1)

    def _add(self, to: Sums, rows: Rows, groups: np.ndarray) -> None:
        weights = rows.weights_of(self.combiner._model_name, self.combiner._example_weighted)
        to.add(groups, 0, weights[:, None])

    def _accumulator(self, table: np.ndarray) -> float:
        return float(table[0, 0])


class WeightedTotals(Tally):
    """Of TFMA's _WeightedLabelsPredictionsExamplesCombiner: means and calibration."""

    def __init__(self, combiner: Any):
        _plain(combiner, key=combiner._key)
        super().__init__(combiner, 1, 3)

    def _add(self, to: Sums, rows: Rows, groups: np.ndarray) -> None:
        labels, predictions, weights = _binary(self.combiner, rows)
        values = np.stack([labels * weights, predictions * weights, weights], axis=1)
        to.add(groups, 0, values)

    def _accumulator(self, table: np.ndarray) -> Any:
        result = self.combiner.create_accumulator()
        (
            result.total_weighted_labels,
            result.total_weighted_predictions,
            result.total_weighted_examples,
        ) = table[0].tolist()
        return result


class Histogram(Tally):
    """Of TFMA's _CalibrationHistogramCombiner: AUC and what else has many thresholds."""

    def __init__(self, combiner: Any):
        _plain(combiner, key=combiner._key)
        super().__init__(combiner, combiner._num_buckets + 2, 3)

    def _add(self, to: Sums, rows: Rows, groups: np.ndarray) -> None:
        labels, predictions, weights = _binary(self.combiner, rows)
        if not self.combiner._fractional_labels:
            self._add_labels(to, groups, labels, predictions, weights)
            return
        _check_fractions(labels)
        for label, part in ((0.0, weights * (1 - labels)), (1.0, weights * labels)):
            some = part != 0
            self._add_labels(
                to, groups[some], np.full(int(some.sum()), label), predictions[some], part[some]
            )

    def _add_labels(
        self,
        to: Sums,
        groups: np.ndarray,
        labels: np.ndarray,
        predictions: np.ndarray,
        weights: np.ndarray,
    ) -> None:
        combiner = self.combiner
        positions = predictions if combiner._prediction_based_bucketing else labels
        buckets = (positions - combiner._left) / combiner._range * combiner._num_buckets + 1
        cells = np.clip(buckets, 0, combiner._num_buckets + 1).astype(np.int64)
        values = np.stack([labels * weights, predictions * weights, weights], axis=1)
        to.add(groups, cells, values)

    def _accumulator(self, table: np.ndarray) -> Any:
        from tensorflow_model_analysis.metrics.calibration_histogram import Bucket

        (cells,) = table.any(axis=1).nonzero()
        columns = table[cells].T.tolist()
        names = cells.tolist()
        return dict(zip(names, map(Bucket, names, *columns), strict=True))


class ConfusionMatrices(Tally):
    """Of TFMA's _BinaryConfusionMatrixCombiner: accuracy, precision, ... at few thresholds."""

    def __init__(self, combiner: Any):
        from tensorflow_model_analysis.metrics import metric_util

        _plain(combiner, key=combiner._key)
        if (
            combiner._extract_label_prediction_and_weight
            is not metric_util.to_label_prediction_example_weight
        ):
            raise Unsupported("a confusion matrix has its own way to pair labels and predictions")
        if combiner._example_id_key:
            raise Unsupported("a confusion matrix samples examples")
        self._thresholds = list(combiner._binary_confusion_matrices._thresholds)
        super().__init__(combiner, len(self._thresholds), 4)

    def _add(self, to: Sums, rows: Rows, groups: np.ndarray) -> None:
        labels, predictions, weights = _binary(self.combiner, rows)
        fractional = self.combiner._enable_fractional_labels
        if fractional:
            _check_fractions(labels)
        for cell, threshold in enumerate(self._thresholds):
            positive = labels if fractional else (labels > threshold).astype(np.float64)
            above = (predictions > threshold).astype(np.float64)
            values = np.stack(
                [
                    positive * above,
                    (1 - positive) * (1 - above),
                    (1 - positive) * above,
                    positive * (1 - above),
                ],
                axis=1,
            )
            to.add(groups, cell, values * weights[:, None])

    def _accumulator(self, table: np.ndarray) -> Any:
        from tensorflow_model_analysis.contrib.aggregates import binary_confusion_matrices

        return {
            threshold: binary_confusion_matrices._ThresholdEntry(
                binary_confusion_matrices.Matrix(*values), [], [], [], []
            )
            for threshold, values in zip(self._thresholds, table.tolist(), strict=True)
        }


class KerasMetrics(Tally):
    """Of TFMA's _CompilableMetricsCombiner: metrics of Keras, whose states add up."""

    def __init__(self, combiner: Any):
        _plain(combiner)
        if combiner._output_names != [""]:
            raise Unsupported("metrics name the outputs of a model")
        if any(combiner._loss_configs):
            raise Unsupported("a loss is a metric")
        super().__init__(combiner, 1, 0)
        if self.combiner.create_accumulator()._pad:
            raise Unsupported("a model spec has padding_options")
        self._metrics = self.combiner._metrics[""]
        self._shapes = [[np.shape(w) for w in m.get_weights()] for m in self._metrics]
        self.columns = sum(int(np.prod(s)) for shapes in self._shapes for s in shapes)

    def _add(self, to: Sums, rows: Rows, groups: np.ndarray) -> None:
        model = self.combiner._model_name or ""
        labels, predictions = rows.labels[model], rows.predictions[model]
        weights = rows.weights_of(model, self.combiner._example_weighted)[:, None]
        order = np.argsort(groups, kind="stable")
        present, starts = np.unique(groups[order], return_index=True)
        states = [
            self._state(labels[some], predictions[some], weights[some].astype(np.float32))
            for some in np.split(order, starts[1:])
        ]
        to.add(present, 0, np.stack(states))

    def _state(
        self, labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        state = []
        for metric in self._metrics:
            metric.reset_states()
            metric.update_state(labels, predictions, weights)
            state += [np.ravel(values) for values in metric.get_weights()]
        return np.concatenate(state)

    def _accumulator(self, table: np.ndarray) -> Any:
        result = self.combiner.create_accumulator()
        position = 0
        for index, shapes in enumerate(self._shapes):
            weights = []
            for shape in shapes:
                size = int(np.prod(shape))
                weights.append(table[0, position : position + size].reshape(shape))
                position += size
            result.add_weights(0, index, weights)
        return result


# Combiners not named here are left to the Beam engine.
_TALLIES = {
    ("example_count", "_ExampleCountCombiner"): ExampleCount,
    ("calibration", "_WeightedLabelsPredictionsExamplesCombiner"): WeightedTotals,
    ("calibration_histogram", "_CalibrationHistogramCombiner"): Histogram,
    ("binary_confusion_matrices", "_BinaryConfusionMatrixCombiner"): ConfusionMatrices,
    ("tf_metric_wrapper", "_CompilableMetricsCombiner"): KerasMetrics,
}

_INPUTS = {"labels", "predictions", "example_weights"}


def tally_of(computation: Any) -> Tally:
    """Return the tally that replaces a MetricComputation; Unsupported where there is none."""
    combiner = computation.combiner
    module = type(combiner).__module__
    tally = _TALLIES.get((module.rpartition(".")[2], type(combiner).__name__))
    names = sorted({str(key.name) for key in computation.keys}) or [type(combiner).__name__]
    if tally is None or not module.startswith("tensorflow_model_analysis.metrics."):
        raise Unsupported(f"{', '.join(names)} is computed example by example")
    from tensorflow_model_analysis.metrics.metric_types import StandardMetricInputsPreprocessor

    for preprocessor in computation.preprocessors:
        if type(preprocessor) is not StandardMetricInputsPreprocessor or not (
            _INPUTS.issuperset(preprocessor.include_filter)
        ):
            raise Unsupported(f"{', '.join(names)} needs more than labels and predictions")
    return tally(combiner)


def _plain(combiner: Any, key: Any = None, output_name: str | None = None) -> None:
    """Check that a combiner takes labels and predictions as they are, or those of one class."""
    sub_key = key.sub_key if key is not None else getattr(combiner, "_sub_key", None)
    is_of_class = key is not None and sub_key is not None and _class_of(key) is not None
    is_average = getattr(combiner, "_aggregation_type", None) is not None
    if (sub_key is not None and not is_of_class) or is_average:
        raise Unsupported("a metric is of the top k, or averages over classes")
    if getattr(combiner, "_class_weights", None):
        raise Unsupported("a metric has class weights")
    if output_name or (key is not None and key.output_name):
        raise Unsupported("metrics name the outputs of a model")


def _class_of(key: Any) -> int | None:
    """Return the class that a metric is of, against all others; None for other metrics."""
    sub_key = key.sub_key
    if sub_key is None or sub_key.k is not None or sub_key.top_k is not None:
        return None
    return sub_key.class_id


def _binary(combiner: Any, rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    key = combiner._key
    return rows.binary(key.model_name, combiner._example_weighted, _class_of(key))


def _check_fractions(labels: np.ndarray) -> None:
    if len(labels) and (labels.min() < 0 or labels.max() > 1):
        raise Unsupported("there are labels outside of [0, 1]")
