"""Which slices the examples of a batch belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from penstock.components.evaluator.unsupported import Unsupported


class Slices:
    """The slices found so far, numbered in the order of their first examples.

    `keys` are TFMA's slice keys. Rows that agree in all features that slicing looks at are in the
    same slices, so that TFMA's slicer is asked once for each such combination of values.
    """

    def __init__(self, eval_config: Any):
        from tensorflow_model_analysis.slicer import slicer_lib

        self.keys: list[Any] = []
        self._numbers: dict[Any, int] = {}
        self._specs = [slicer_lib.SingleSliceSpec(spec=s) for s in eval_config.slicing_specs]
        self._specs = self._specs or [slicer_lib.SingleSliceSpec()]
        self._features = sorted(
            {
                name
                for spec in eval_config.slicing_specs
                for name in (*spec.feature_keys, *spec.feature_values)
            }
        )
        self._numbers_by_values: dict[Any, np.ndarray] = {}

    def assign(
        self, transformed: Sequence[Mapping[str, Any]], raw: Mapping[str, Any], rows: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and slice numbers, of the same length: each row once for each slice.

        `transformed` are features that come before the raw ones, model by model, as in TFMA.
        """
        columns = [
            (source, name, _values(features[name], rows))
            for source, features in enumerate([*transformed, raw])
            for name in self._features
            if features.get(name) is not None
        ]
        sources = tuple((source, name) for source, name, _ in columns)
        combinations = zip(*(values for _, _, values in columns), strict=True)
        numbers_of_rows = [
            self._numbers_of(sources, combination, len(transformed))
            for combination in (combinations if columns else [()] * rows)
        ]
        lengths = [len(numbers) for numbers in numbers_of_rows]
        return np.repeat(np.arange(rows), lengths), np.concatenate(numbers_of_rows).astype(np.int64)

    def _numbers_of(self, sources: Any, combination: Any, models: int) -> np.ndarray:
        numbers = self._numbers_by_values.get((sources, combination))
        if numbers is None:
            numbers = self._new_numbers(sources, combination, models)
            self._numbers_by_values[sources, combination] = numbers
        return numbers

    def _new_numbers(self, feature_sources: Any, combination: Any, models: int) -> np.ndarray:
        from tensorflow_model_analysis.slicer import slicer_lib

        sources: list[dict[str, Any]] = [{} for _ in range(models + 1)]
        for (source, name), (dtype, values) in zip(feature_sources, combination, strict=True):
            sources[source][name] = np.array(values, dtype=dtype)
        keys = slicer_lib.get_slices_for_features_dicts(sources[:-1], sources[-1], self._specs)
        numbers = []
        for key in dict.fromkeys(keys):
            if key not in self._numbers:
                self._numbers[key] = len(self.keys)
                self.keys.append(key)
            numbers.append(self._numbers[key])
        return np.array(numbers, dtype=np.int64)


def _values(feature: Any, rows: int) -> list[tuple[Any, tuple[Any, ...]]]:
    """Return each row's data type and values, as something that can be a key of a dict."""
    if isinstance(feature, np.ndarray) and (feature.dtype != object or _holds_bytes(feature)):
        if feature.dtype.kind == "f" and np.isnan(feature).any():
            raise Unsupported("slices are by a feature that is not always a number")
        matrix = feature.reshape(rows, -1)
        return [(feature.dtype, tuple(values)) for values in matrix.tolist()]
    if type(feature).__name__ == "VarLenTensorValue":
        if feature.values.dtype.kind == "f" and np.isnan(feature.values).any():
            raise Unsupported("slices are by a feature that is not always a number")
        bounds = np.searchsorted(feature.indices[:, 0], np.arange(rows + 1)).tolist()
        values = feature.values.tolist()
        return [(feature.values.dtype, tuple(values[start:end])) for start, end in pairwise(bounds)]
    raise Unsupported(f"slices are by a feature of type {type(feature).__name__}")


def _holds_bytes(feature: np.ndarray) -> bool:
    return all(isinstance(value, bytes | str) for value in feature.ravel())
