"""The metrics that the engine knows, by the names that TFMA gives their classes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from penstock.components.evaluator.arrow import forms, matrices
from penstock.components.evaluator.arrow.keys import (
    MACRO,
    MICRO,
    WEIGHTED_MACRO,
    Key,
    SubKey,
)
from penstock.components.evaluator.arrow.losses import OF_PAIRS, OF_ROWS
from penstock.components.evaluator.arrow.outcomes import View
from penstock.components.evaluator.arrow.tallies import (
    ClassMatrices,
    ClassTotals,
    Count,
    Histogram,
    Losses,
    Matrices,
    Tables,
    Tally,
    Totals,
)
from penstock.components.evaluator.unsupported import Unsupported
from penstock.errors import ParameterError


@dataclass(frozen=True)
class Asked:
    """A metric that a config asks for, of one model and of one part of the classes.

    `settings` are those of its `config`. `label_range` is that of the label in the schema.
    """

    class_name: str
    settings: Mapping[str, Any]
    model: str
    weighted: bool
    sub_key: SubKey | None = None
    aggregation: str | None = None
    class_weights: tuple[tuple[int, float], ...] = ()
    label_range: tuple[float | None, float | None] = (None, None)

    def view(self, part: SubKey | None = None) -> View:
        """Return what the metric is of."""
        return View(
            self.model,
            self.weighted,
            part or self.sub_key,
            self.aggregation == MICRO,
            self.class_weights if self.aggregation == MICRO else (),
        )


@dataclass(frozen=True)
class Metric:
    """A metric, or a plot: its key, the sums that it takes, and what it makes of them.

    `has_interval` says whether it gets a confidence interval where these are asked for.
    """

    key: Key
    tallies: tuple[Tally, ...]
    value: Callable[[Tables], Any]
    form: forms.Form = forms.number
    plot_form: forms.PlotForm | None = None
    has_interval: bool = True


def metric_of(asked: Asked) -> Metric:
    """Return the metric that is asked for.

    Raises:
      Unsupported: the engine does not know it, or not with these settings.
      ParameterError: its settings do not make sense.
    """
    if asked.aggregation in (MACRO, WEIGHTED_MACRO):
        return _macro_average(asked)
    build = _BUILDERS.get(asked.class_name)
    if build is None:
        raise Unsupported(f"the metric {asked.class_name}")
    function, known = build
    unknown = [name for name in asked.settings if name not in (*known, "name", "dtype")]
    if unknown:
        raise Unsupported(f"the setting {unknown[0]!r} of the metric {asked.class_name}")
    return function(asked)


def known_metrics() -> list[str]:
    """Return the names of all metrics that the engine knows."""
    return sorted(_BUILDERS)


def _key(asked: Asked, default: str, sub_key: SubKey | None, aggregated: bool = False) -> Key:
    return Key(
        str(asked.settings.get("name") or default),
        asked.model,
        sub_key,
        asked.aggregation if aggregated else None,
        asked.weighted,
    )


def snake_case(class_name: str) -> str:
    """Return the name that TFMA and Keras give a metric of a class, as sparse_top_k for SparseTopK.

    TFMA's CrossEntropy is one word, as Keras' Crossentropy is.
    """
    joined = class_name.replace("CrossEntropy", "Crossentropy")
    words = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", joined)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", words).lower()


# What builds a metric, and which settings it has.
_Builder = tuple[Callable[[Asked], Metric], Sequence[str]]


# Counts.


def _count(asked: Asked) -> Metric:
    tally = Count(View(asked.model, asked.weighted))
    return Metric(
        _key(asked, snake_case(asked.class_name), asked.sub_key),
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
            _key(asked, snake_case(asked.class_name), asked.sub_key),
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


def _loss(class_name: str, paired: bool) -> _Builder:
    settings = _LOSS_SETTINGS.get(class_name, ())

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

        return Metric(_key(asked, snake_case(asked.class_name), asked.sub_key), (tally,), value)

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

    return Metric(_key(asked, "root_mean_squared_error", asked.sub_key), (tally,), value)


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

    return Metric(_key(asked, "r2_score", asked.sub_key), (errors, totals), value)


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
    thresholds = None if given is None else sorted(map(float, given))
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
            _key(asked, name, part, aggregated=True),
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
        _key(asked, "confusion_matrix_at_thresholds", part, aggregated=True),
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
        _key(asked, "confusion_matrix_plot", asked.sub_key),
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
        _key(asked, "calibration_plot", asked.sub_key),
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
            _key(asked, snake_case(asked.class_name), None),
            (tally,),
            value,
            forms.classes(thresholds),
            forms.classes_plot(thresholds) if is_plot else None,
        )

    return build


# Averages over classes.


def _macro_average(asked: Asked) -> Metric:
    """Return the mean of a metric over classes, or over the k likeliest ones.

    Weighted, it counts classes as often as they are the label.
    """
    given = dict(asked.class_weights)
    if asked.sub_key is None:
        if not given:
            raise ParameterError(
                f"{asked.class_name} is averaged over classes, and aggregate has no class_weights",
                hint='They name the classes: "class_weights": {"0": 1, "1": 1}.',
            )
        parts = [SubKey(class_id=number) for number in given]
    else:
        assert asked.sub_key.top_k is not None
        parts = [SubKey(k=k + 1) for k in range(asked.sub_key.top_k)]
    children = [
        metric_of(replace(asked, sub_key=part, aggregation=None, class_weights=()))
        for part in parts
    ]
    if any(child.plot_form or child.form is not forms.number for child in children):
        raise Unsupported(f"an average over classes of {asked.class_name}")
    tallies = [tally for child in children for tally in child.tallies]
    labels = None
    if asked.aggregation == WEIGHTED_MACRO and given:
        labels = ClassTotals(View(asked.model, asked.weighted), tuple(given))
        tallies.append(labels)

    def value(tables: Tables) -> float:
        values = np.array([float(child.value(tables)) for child in children])
        weights = np.array([1.0 if p.class_id is None else given[p.class_id] for p in parts])
        if labels is not None:
            totals = tables[labels][:, 0]
            weights = weights * (totals / totals.sum() if totals.sum() else 0)
        total = weights.sum()
        return float((values * weights).sum() / total) if total else float("nan")

    key = replace(children[0].key, sub_key=asked.sub_key, aggregation=MACRO)
    return Metric(key, tuple(dict.fromkeys(tallies)), value)


_MATRIX_SETTINGS = ("thresholds", "top_k", "class_id")
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
_LOSS_SETTINGS = {
    "BinaryCrossEntropy": ("from_logits", "label_smoothing"),
    "BinaryCrossentropy": ("from_logits", "label_smoothing"),
    "CategoricalCrossEntropy": ("from_logits", "label_smoothing"),
    "CategoricalCrossentropy": ("from_logits", "label_smoothing"),
    "SparseCategoricalCrossentropy": ("from_logits",),
    "SparseTopKCategoricalAccuracy": ("k",),
    "TopKCategoricalAccuracy": ("k",),
}
_AT_SETTINGS = (*_MATRIX_SETTINGS, "num_thresholds")
_AREA_SETTINGS = (*_AT_SETTINGS, "summation_method")


def _camel_case(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


_BUILDERS: dict[str, _Builder] = {
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
