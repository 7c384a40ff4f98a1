"""Labels, predictions and weights of examples as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from penstock.components.evaluator.unsupported import Unsupported


@dataclass(frozen=True)
class Rows:
    """Examples by model name: labels of shape (n, 1), predictions (n, outputs), weights (n,).

    A model whose spec names no weights has none.
    """

    labels: Mapping[str, np.ndarray]
    predictions: Mapping[str, np.ndarray]
    weights: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.labels.values())))

    def take(self, rows: np.ndarray) -> Rows:
        """Return some rows, in the order and as often as asked."""
        return self._each(lambda arrays: {name: array[rows] for name, array in arrays.items()})

    def weights_of(self, model: str, example_weighted: bool) -> np.ndarray:
        """Return one float for each row, one where there are no weights or none are asked for."""
        if example_weighted and model in self.weights:
            return self.weights[model]
        return np.ones(len(self))

    def binary(
        self, model: str, example_weighted: bool, class_id: int | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return labels, predictions and weights of shape (n,), where there is one output.

        Of a class, labels are 1 where it is the label, and predictions its probabilities.
        """
        outputs = self.predictions[model].shape[1]
        if class_id is not None:
            if not 0 <= class_id < outputs or outputs == 1:
                raise Unsupported(f"a metric is of class {class_id} of {outputs} outputs")
            return (
                (self.labels[model][:, 0] == class_id).astype(np.float64),
                self.predictions[model][:, class_id].astype(np.float64),
                self.weights_of(model, example_weighted),
            )
        if outputs != 1:
            raise Unsupported("a binary metric is asked of a model with several outputs")
        labels = self.labels[model][:, 0].astype(np.float64)
        predictions = self.predictions[model][:, 0].astype(np.float64)
        return labels, predictions, self.weights_of(model, example_weighted)

    def _each(self, function: Any) -> Rows:
        return Rows(function(self.labels), function(self.predictions), function(self.weights))


def concatenate(parts: Sequence[Rows]) -> Rows:
    """Return the rows of all parts, which have the same models."""
    if len({frozenset(part.weights) for part in parts}) > 1:
        raise Unsupported("there are examples without an example weight")

    def joined(arrays: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        return {name: np.concatenate([part[name] for part in arrays]) for name in arrays[0]}

    return Rows(
        joined([part.labels for part in parts]),
        joined([part.predictions for part in parts]),
        joined([part.weights for part in parts]),
    )


def rows_of(extracts: Mapping[str, Any], models: Sequence[str]) -> Rows:
    """Return the rows of a batch of TFMA's extracts."""
    labels = {name: _column(_of_model(extracts.get("labels"), name), "label") for name in models}
    if any((array == -1).any() for array in labels.values()):
        raise Unsupported("there are labels of -1, which TFMA takes for words out of vocabulary")
    predictions = {
        name: _matrix(_of_model(extracts.get("predictions"), name), "prediction") for name in models
    }
    weights = {name: _of_model(extracts.get("example_weights"), name) for name in models}
    return Rows(
        labels,
        predictions,
        {
            name: _column(value, "example weight")[:, 0].astype(np.float64)
            for name, value in weights.items()
            if value is not None
        },
    )


def _of_model(value: Any, model: str) -> Any:
    if model and isinstance(value, Mapping):
        return value.get(model)
    return value


def _column(value: Any, what: str) -> np.ndarray:
    array = _matrix(value, what)
    if array.shape[1] != 1:
        raise Unsupported(f"there are examples with several {what}s")
    return array


def _matrix(value: Any, what: str) -> np.ndarray:
    """Return a value of TFMA's as an array of shape (n, k)."""
    if value is None:
        raise Unsupported(f"there are examples without a {what}")
    if isinstance(value, Mapping):
        raise Unsupported(f"there are {what}s for several outputs")
    if not isinstance(value, np.ndarray):
        value = _dense(value, what)
    array = value.reshape(-1, 1) if value.ndim == 1 else value
    if array.ndim != 2 or not array.shape[1] or array.dtype.kind not in "biuf":
        raise Unsupported(
            f"{what}s are of type {array.dtype} and shape {array.shape[1:]}, not numbers"
        )
    if not np.isfinite(array).all():
        raise Unsupported(f"there are {what}s that are not finite")
    return array


def _dense(value: Any, what: str) -> np.ndarray:
    """Return the values of a tensor of varying length if each row has exactly one."""
    shape = getattr(value, "dense_shape", None)
    values, indices = getattr(value, "values", None), getattr(value, "indices", None)
    if shape is None or values is None or indices is None or len(shape) != 2:
        raise Unsupported(f"{what}s are a {type(value).__name__}")
    if not np.array_equal(np.asarray(indices)[:, 0], np.arange(shape[0])):
        raise Unsupported(f"there are examples with no {what}, or several")
    return np.asarray(values)
