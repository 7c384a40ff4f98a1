"""Metrics that are made of single rows: counts, totals, losses, and what is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from penstock.components.evaluator.arrow.losses import OF_PAIRS, OF_ROWS
from penstock.components.evaluator.arrow.metric import Asked, Builder, Metric, key_of, snake_case
from penstock.components.evaluator.arrow.outcomes import View
from penstock.components.evaluator.arrow.tallies import Count, Losses, Tables, Totals
from penstock.components.evaluator.unsupported import Unsupported

_SETTINGS = {
    "BinaryCrossEntropy": ("from_logits", "label_smoothing"),
    "BinaryCrossentropy": ("from_logits", "label_smoothing"),
    "CategoricalCrossEntropy": ("from_logits", "label_smoothing"),
    "CategoricalCrossentropy": ("from_logits", "label_smoothing"),
    "SparseCategoricalCrossentropy": ("from_logits",),
    "SparseTopKCategoricalAccuracy": ("k",),
    "TopKCategoricalAccuracy": ("k",),
}


# Counts.


def _count(asked: Asked) -> Metric:
    tally = Count(View(asked.model, asked.weighted))
    return Metric(
        key_of(asked, snake_case(asked.class_name), asked.sub_key),
        (tally,),
        lambda tables: tables[tally][0, 0],
        has_interval=False,
    )


# What is made of totals of labels and predictions.


def _from_totals(
    function: Callable[[np.ndarray], float], of_part: bool
) -> Callable[[Asked], Metric]:
    def build(asked: Asked) -> Metric:
        if asked.sub_key is not None and asked.sub_key.top_k is not None:
            raise Unsupported(f"{asked.class_name} of the top k")
        view = asked.view()
        tally = Totals(view if of_part else replace(view, sub_key=None))
        return Metric(
            key_of(asked, snake_case(asked.class_name), asked.sub_key),
            (tally,),
            lambda tables: function(tables[tally][0]),
        )

    return build


def _quotient(numerator: float, denominator: float) -> float:
    return numerator / denominator if not np.isclose(denominator, 0) else float("nan")


def _squared_correlation(totals: np.ndarray) -> float:
    label, prediction, label2, prediction2, product, weight = totals.tolist()
    if weight <= 0:
        return float("nan")
    covariance = product - label * prediction / weight
    variances = (label2 - label**2 / weight) * (prediction2 - prediction**2 / weight)
    return covariance**2 / variances if variances > 0 else float("nan")


def _averages_by_label(totals: np.ndarray) -> tuple[float, float]:
    """Return the mean predictions of what is so and of what is not, NaN where there are none.

    See Tjur, Coefficients of determination in logistic regression models (2009).
    """
    label, prediction, _, _, product, weight = totals.tolist()
    if label == 0 or weight == label:
        return float("nan"), float("nan")
    return product / label, (prediction - product) / (weight - label)


def _discrimination(totals: np.ndarray) -> float:
    positive, negative = _averages_by_label(totals)
    return positive - negative


def _relative_discrimination(totals: np.ndarray) -> float:
    positive, negative = _averages_by_label(totals)
    return positive / negative if negative else float("nan")


# Losses, and what is right.


def _loss(class_name: str, paired: bool) -> Builder:
    settings = _SETTINGS.get(class_name, ())

    def build(asked: Asked) -> Metric:
        if not paired and asked.aggregation is not None:
            raise Unsupported(f"an average over classes of {asked.class_name}")
        if not paired and asked.sub_key is not None:
            raise Unsupported(f"{asked.class_name} of single classes")
        given = tuple((name, asked.settings[name]) for name in settings if name in asked.settings)
        tally = Losses(asked.view(), asked.class_name, given, paired)
        empty = float("nan") if asked.class_name in _NAN_WITHOUT_WEIGHT else 0.0

        def value(tables: Tables) -> float:
            total, weight = tables[tally][0]
            return total / weight if weight else empty

        return Metric(key_of(asked, snake_case(asked.class_name), asked.sub_key), (tally,), value)

    return build, settings


# Without weight these are undefined in TFMA; the others are Keras', and 0.
_NAN_WITHOUT_WEIGHT = {
    "BinaryCrossEntropy",
    "CategoricalCrossEntropy",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
}


def _root_mean_squared_error(asked: Asked) -> Metric:
    tally = Losses(asked.view(), "MeanSquaredError")

    def value(tables: Tables) -> float:
        total, weight = tables[tally][0]
        return float(np.sqrt(total / weight)) if weight else 0.0

    return Metric(key_of(asked, "root_mean_squared_error", asked.sub_key), (tally,), value)


def _r2_score(asked: Asked) -> Metric:
    view = asked.view()
    errors, totals = Losses(view, "MeanSquaredError"), Totals(view)

    def value(tables: Tables) -> float:
        label, _, label2, _, _, weight = tables[totals][0].tolist()
        variation = label2 - label**2 / weight if weight else float("nan")
        error = float(tables[errors][0, 0])
        if variation == 0:
            return float("nan") if error == 0 else 0.0
        return 1 - error / variation

    return Metric(key_of(asked, "r2_score", asked.sub_key), (errors, totals), value)


# By class.
BUILDERS: dict[str, Builder] = {
    "ExampleCount": (_count, ()),
    "WeightedExampleCount": (_count, ()),
    "MeanLabel": (_from_totals(lambda t: _quotient(t[0], t[5]), True), ()),
    "MeanPrediction": (_from_totals(lambda t: _quotient(t[1], t[5]), True), ()),
    "Calibration": (_from_totals(lambda t: _quotient(t[1], t[0]), True), ()),
    "SquaredPearsonCorrelation": (_from_totals(_squared_correlation, False), ()),
    "CoefficientOfDiscrimination": (_from_totals(_discrimination, False), ()),
    "RelativeCoefficientOfDiscrimination": (_from_totals(_relative_discrimination, False), ()),
    **{name: _loss(name, paired=True) for name in OF_PAIRS},
    **{name: _loss(name, paired=False) for name in OF_ROWS},
    "RootMeanSquaredError": (_root_mean_squared_error, ()),
    "R2Score": (_r2_score, ()),
}
