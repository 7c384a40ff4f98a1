"""Metrics and plots that are made of confusion matrices: at thresholds, and of classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from penstock.components.evaluator.arrow import forms, matrices
from penstock.components.evaluator.arrow.keys import SubKey
from penstock.components.evaluator.arrow.metric import Asked, Builder, Metric, key_of, snake_case
from penstock.components.evaluator.arrow.outcomes import View
from penstock.components.evaluator.arrow.tallies import (
    ClassMatrices,
    Histogram,
    Matrices,
    Tables,
    Tally,
)
from penstock.errors import ParameterError

_ALIASES = {
    "TP": "true_positives",
    "TN": "true_negatives",
    "FP": "false_positives",
    "FN": "false_negatives",
    "PPV": "precision",
    "TPR": "recall",
    "TNR": "specificity",
    "FPR": "fall_out",
    "FNR": "miss_rate",
    "NPV": "negative_predictive_value",
}


# What is made of confusion matrices.


def _part_of(asked: Asked) -> SubKey | None:
    """Return the sub key, with what the metric's own settings add."""
    part = asked.sub_key
    for field in ("top_k", "class_id"):
        number = asked.settings.get(field)
        if number is None:
            continue
        part = part or SubKey()
        if getattr(part, field) is not None:
            raise ParameterError(
                f"the metric {asked.class_name} has the setting {field}, and its metrics_spec "
                f"binarizes by {field}",
                hint="Leave out one of the two.",
            )
        part = replace(part, **{field: int(number)})
    return part


def _thresholds(asked: Asked, default: float | None) -> tuple[tuple[float, ...], bool]:
    """Return the thresholds that are asked for, and whether a histogram does for them."""
    given = asked.settings.get("thresholds", asked.settings.get("threshold"))
    number = asked.settings.get("num_thresholds")
    if number is not None and number <= 1:
        raise ParameterError(f"num_thresholds of {asked.class_name} should be 2 or more")
    if isinstance(given, (int, float)):
        given = [given]
    if given is None and number is None:
        part = _part_of(asked)
        if part is not None and part.top_k is not None:
            given = [float("-inf")]
        elif default is not None:
            given = [default]
    thresholds = None if given is None else list(map(float, given))
    return matrices.thresholds_of(thresholds, number)


def _confusion_metric(
    name: str,
    function: Callable[[np.ndarray, tuple[float, ...]], Any],
    default: float | None,
) -> Callable[[Asked], Metric]:
    def build(asked: Asked) -> Metric:
        part = _part_of(asked)
        thresholds, by_histogram = _thresholds(asked, default)
        tally, matrices_of = _matrices(asked.view(part), thresholds, by_histogram)

        def value(tables: Tables) -> Any:
            return function(matrices_of(tables), thresholds)

        several = default is not None and len(thresholds) > 1
        return Metric(
            key_of(asked, name, part, aggregated=True),
            (tally,),
            value,
            forms.numbers if several else forms.number,
        )

    return build


def _matrices(
    view: View, thresholds: tuple[float, ...], by_histogram: bool
) -> tuple[Tally, Callable[[Tables], np.ndarray]]:
    if not by_histogram:
        exact = Matrices(view, thresholds)
        return exact, lambda tables: tables[exact]
    histogram = Histogram(view, matrices.HISTOGRAM_BUCKETS)
    return histogram, lambda tables: matrices.from_histogram(tables[histogram], thresholds)


def _formula(name: str) -> Callable[[np.ndarray, tuple[float, ...]], Any]:
    def value(tables: np.ndarray, thresholds: tuple[float, ...]) -> Any:
        result = matrices.FORMULAS[name](matrices.Counts(*tables.T))
        return result if len(thresholds) > 1 else result[0]

    return value


def _area(asked: Asked) -> Metric:
    curve = "PR" if asked.class_name == "AUCPrecisionRecall" else asked.settings.get("curve", "ROC")
    summation = str(asked.settings.get("summation_method", "interpolation")).lower()
    curve = str(curve).upper()
    if curve not in ("ROC", "PR") or summation not in ("interpolation", "majoring", "minoring"):
        raise ParameterError(
            f"{asked.class_name} should have the curve ROC or PR and the summation_method "
            f"interpolation, majoring or minoring, and has {curve} and {summation}"
        )
    return _confusion_metric(
        snake_case(asked.class_name).replace("aucp", "auc_p"),
        lambda tables, _: matrices.area(tables, curve, summation),
        None,
    )(asked)


def _bounded(
    setting: str, constrained: str, dependent: str, at_most: bool = False
) -> Callable[[Asked], Metric]:
    """Return what builds the best of one rate where another one keeps a bound."""

    def build(asked: Asked) -> Metric:
        bounds = asked.settings.get(setting)
        if bounds is None:
            raise ParameterError(
                f"the metric {asked.class_name} needs the setting {setting}",
                hint=f'As in {{"class_name": "{asked.class_name}", '
                f'"config": \'{{"{setting}": 0.9}}\'}}.',
            )
        several = isinstance(bounds, list)

        def best(tables: np.ndarray, thresholds: tuple[float, ...]) -> Any:
            rates = matrices.rates(tables)
            values = np.array(thresholds) if dependent == "threshold" else rates[dependent]
            limits = bounds if isinstance(bounds, list) else [bounds]
            result = matrices.best_under(rates[constrained], values, limits, at_most)
            return result if several else result[0]

        metric = _confusion_metric(snake_case(asked.class_name), best, None)(asked)
        return replace(metric, form=forms.numbers) if several else metric

    return build


def _matrices_at_thresholds(asked: Asked) -> Metric:
    part = _part_of(asked)
    if not asked.settings.get("thresholds"):
        raise ParameterError("the metric ConfusionMatrixAtThresholds needs the setting thresholds")
    thresholds, by_histogram = _thresholds(asked, None)
    tally, matrices_of = _matrices(asked.view(part), thresholds, by_histogram)
    return Metric(
        key_of(asked, "confusion_matrix_at_thresholds", part, aggregated=True),
        (tally,),
        matrices_of,
        forms.confusion(thresholds),
    )


# Plots.


def _confusion_plot(asked: Asked) -> Metric:
    number = int(asked.settings.get("num_thresholds", 1000))
    thresholds = (-1e-6, *(i * 1.0 / number for i in range(number + 1)))
    tally, matrices_of = _matrices(asked.view(), thresholds, True)
    return Metric(
        key_of(asked, "confusion_matrix_plot", asked.sub_key),
        (tally,),
        matrices_of,
        plot_form=forms.confusion_plot(thresholds),
    )


def _calibration_plot(asked: Asked) -> Metric:
    buckets = int(asked.settings.get("num_buckets", 1000))
    left, right = (
        next(bound for bound in (asked.settings.get(name), of_label, usual) if bound is not None)
        for name, of_label, usual in zip(
            ("left", "right"), asked.label_range, (0.0, 1.0), strict=True
        )
    )
    fractional = (left, right) == (0.0, 1.0)
    tally = Histogram(asked.view(), matrices.HISTOGRAM_BUCKETS, left, right, fractional)
    thresholds = [left + i * (right - left) / buckets for i in range(buckets + 1)]
    thresholds = [float("-inf"), *thresholds]
    return Metric(
        key_of(asked, "calibration_plot", asked.sub_key),
        (tally,),
        lambda tables: matrices.rebinned(tables[tally], thresholds, left, right),
        plot_form=forms.calibration_plot(thresholds),
    )


def _class_matrices(is_plot: bool) -> Callable[[Asked], Metric]:
    def build(asked: Asked) -> Metric:
        thresholds = tuple(map(float, asked.settings.get("thresholds") or ()))
        number = asked.settings.get("num_thresholds")
        if number is not None:
            thresholds = matrices.evenly_spaced(number)
        thresholds = thresholds or ((0.0,) if is_plot else (0.5,))
        tally = ClassMatrices(View(asked.model, asked.weighted), thresholds)

        def value(tables: Tables) -> np.ndarray:
            weights, rows = np.moveaxis(tables[tally], -1, 0)
            return np.where(rows > 0, weights, np.nan)

        return Metric(
            key_of(asked, snake_case(asked.class_name), None),
            (tally,),
            value,
            forms.classes(thresholds),
            forms.classes_plot(thresholds) if is_plot else None,
        )

    return build


def _camel_case(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


_MATRIX_SETTINGS = ("thresholds", "top_k", "class_id")
_AT_SETTINGS = (*_MATRIX_SETTINGS, "num_thresholds")
_AREA_SETTINGS = (*_AT_SETTINGS, "summation_method")

# By class.
BUILDERS: dict[str, Builder] = {
    **{
        _camel_case(name): (_confusion_metric(name, _formula(name), 0.5), _MATRIX_SETTINGS)
        for name in matrices.FORMULAS
    },
    **{
        alias: (_confusion_metric(alias.lower(), _formula(name), 0.5), _MATRIX_SETTINGS)
        for alias, name in _ALIASES.items()
    },
    "BinaryAccuracy": (
        _confusion_metric("binary_accuracy", _formula("binary_accuracy"), 0.5),
        ("threshold", "top_k", "class_id"),
    ),
    "MaxRecall": (
        _confusion_metric("max_recall", _formula("recall"), 1e-12),
        ("top_k", "class_id"),
    ),
    "AUC": (_area, (*_AREA_SETTINGS, "curve")),
    "AUCPrecisionRecall": (_area, _AREA_SETTINGS),
    "SensitivityAtSpecificity": (
        _bounded("specificity", "specificity", "recall"),
        (*_AT_SETTINGS, "specificity"),
    ),
    "SpecificityAtSensitivity": (
        _bounded("sensitivity", "recall", "specificity"),
        (*_AT_SETTINGS, "sensitivity"),
    ),
    "PrecisionAtRecall": (_bounded("recall", "recall", "precision"), (*_AT_SETTINGS, "recall")),
    "RecallAtPrecision": (
        _bounded("precision", "precision", "recall"),
        (*_AT_SETTINGS, "precision"),
    ),
    "RecallAtFalsePositiveRate": (
        _bounded("false_positive_rate", "fall_out", "recall", at_most=True),
        (*_AT_SETTINGS, "false_positive_rate"),
    ),
    "ThresholdAtRecall": (_bounded("recall", "recall", "threshold"), (*_AT_SETTINGS, "recall")),
    "ConfusionMatrixAtThresholds": (_matrices_at_thresholds, _MATRIX_SETTINGS),
    "ConfusionMatrixPlot": (_confusion_plot, ("num_thresholds",)),
    "CalibrationPlot": (_calibration_plot, ("num_buckets", "left", "right")),
    "MultiClassConfusionMatrixAtThresholds": (_class_matrices(False), ("thresholds",)),
    "MultiClassConfusionMatrixPlot": (_class_matrices(True), ("thresholds", "num_thresholds")),
}
