"""Reading evaluations: metrics by slice, and which thresholds failed. Loads no TensorFlow."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.data.results import evaluation_messages as messages
from penstock.data.results.messages import parsed
from penstock.errors import DataError

OVERALL = "Overall"
_BASELINE = "baseline"


@dataclass(frozen=True)
class SliceMetric:
    """A metric's value on a slice; `lower` and `upper` bound its confidence interval.

    `slice` reads like `trip_start_hour:7`, crossed features joined by commas; all rows together
    are the slice `Overall`. `model` is empty where one model alone is evaluated, `candidate` or
    `baseline` otherwise, and a metric's name ends in `_diff` where its value is the candidate's
    minus the baseline's.
    """

    slice: str
    metric: str
    value: float
    lower: float | None = None
    upper: float | None = None
    model: str = ""


def summarize(evaluation_uri: str) -> list[SliceMetric]:
    """Return the metrics of a ModelEvaluation that are numbers, by slice as TFMA wrote them.

    Raises:
      DataError: there is no evaluation.
    """
    return [
        metric
        for message in _read(evaluation_uri, "metrics", messages.MetricsForSlice)
        for metric in _slice_metrics(message)
    ]


def _slice_metrics(metrics: Any) -> Iterator[SliceMetric]:
    name = slice_name(metrics)
    spelled = Counter(_in_words(pair.key) for pair in metrics.metric_keys_and_values)
    alone = {words for words, count in spelled.items() if words is not None and count == 1}
    for pair in metrics.metric_keys_and_values:
        value = number_of(pair.value)
        if value is None:
            continue
        interval = pair.confidence_interval if pair.HasField("confidence_interval") else None
        if value != value:  # what is not defined has no interval either
            interval = None
        yield SliceMetric(
            slice=name,
            metric=_metric_name(pair.key, is_told=_in_words(pair.key) in alone),
            value=value,
            lower=number_of(interval.lower_bound) if interval else None,
            upper=number_of(interval.upper_bound) if interval else None,
            model=pair.key.model_name,
        )


@dataclass(frozen=True)
class ConfusionMatrix:
    """How many rows a threshold puts on which side, rightly or not."""

    threshold: float
    true_positives: float
    false_positives: float
    true_negatives: float
    false_negatives: float


def confusion_matrices(evaluation_uri: str) -> list[ConfusionMatrix]:
    """Return the confusion matrices of all rows by threshold: those of a plot, or of a metric.

    They are the evaluated model's, not its baseline's. There are none where the eval_config asks
    for none, and where there are only those of several outputs or classes: no one of these stands
    for the model.

    Raises:
      DataError: there is no evaluation.
    """
    records = [
        (pair.key, pair.value.confusion_matrix_at_thresholds)
        for message in _read(evaluation_uri, "plots", messages.PlotsForSlice)
        if not message.slice_key.single_slice_keys
        for pair in message.plot_keys_and_values
    ]
    records += [
        (pair.key, pair.value.confusion_matrix_at_thresholds)
        for message in _read(evaluation_uri, "metrics", messages.MetricsForSlice)
        if not message.slice_key.single_slice_keys
        for pair in message.metric_keys_and_values
    ]
    by_part: dict[tuple[str, bytes], Any] = {}
    for key, found in records:
        if found.matrices and key.model_name != _BASELINE:
            part = (key.output_name, key.sub_key.SerializeToString(deterministic=True))
            by_part.setdefault(part, found.matrices)
    only = list(by_part.values()) if len(by_part) == 1 else [()]
    matrices = by_part.get(("", b""), only[0])
    return [
        ConfusionMatrix(
            matrix.threshold,
            _count(matrix, "true_positives"),
            _count(matrix, "false_positives"),
            _count(matrix, "true_negatives"),
            _count(matrix, "false_negatives"),
        )
        for matrix in matrices
    ]


def _count(matrix: Any, name: str) -> float:
    return float(getattr(matrix, name) or getattr(matrix, f"bounded_{name}").value.value)


def read_validation(evaluation_uri: str) -> Any:
    """Return the `ValidationResult` of a ModelEvaluation.

    Raises:
      DataError: there is none, or the config had no thresholds.
    """
    for result in _read(evaluation_uri, "validations", messages.ValidationResult):
        return result
    raise DataError(
        "the validations of this evaluation are empty",
        path=evaluation_uri,
        hint="Did the Evaluator end?",
    )


def accept_without_baseline(evaluation_uri: str) -> None:
    """Note, as TFMA does of a first model, that it is right where only changes have thresholds."""
    from penstock.data.records import TFRecordWriter

    path, *_ = _files(evaluation_uri, "validations")
    accepted = messages.ValidationResult(validation_ok=True, rubber_stamp=True)
    with TFRecordWriter(path) as file:
        file.write(accepted.SerializeToString(deterministic=True))


def validation_failures(evaluation_uri: str) -> list[str]:
    """Return in words why a model is not blessed; empty where it is."""
    result = read_validation(evaluation_uri)
    failures = [
        f"{_name_in_words(failure.metric_key)} on {slice_name(validation)} is "
        f"{_value_in_words(failure)}, and should be {threshold_in_words(failure.metric_threshold)}."
        for validation in result.metric_validations_per_slice
        for failure in validation.failures
    ]
    failures += [
        f"There are no rows of the slice {_spec_in_words(spec)}, which has a threshold."
        for spec in result.missing_slices
    ]
    failures += [
        f"There are no rows of the cross slice {spec}, which has a threshold."
        for spec in result.missing_cross_slices
    ]
    if result.missing_thresholds:
        failures.append("The eval_config has no threshold that applies.")
    return failures


def empty_slices(evaluation_uri: str, specs: Sequence[Any]) -> list[str]:
    """Return the SlicingSpec messages, in words, that no slice of an evaluation is of."""
    slices = [
        {single.column: _slice_value(single) for single in message.slice_key.single_slice_keys}
        for message in _read(evaluation_uri, "metrics", messages.MetricsForSlice)
    ]
    return [
        _spec_in_words(spec)
        for spec in specs
        if not spec.slice_keys_sql
        and not any(
            one.keys() == {*spec.feature_keys, *spec.feature_values}
            and all(_is_value(one[name], text) for name, text in spec.feature_values.items())
            for one in slices
        )
    ]


def _is_value(value: str, text: str) -> bool:
    try:
        return value == text or float(value) == float(text)
    except ValueError:
        return False


def slice_name(metrics: Any) -> str:
    """Return the name of the slice, or of the two that are compared, of a metric's record."""
    if metrics.HasField("cross_slice_key"):
        keys = metrics.cross_slice_key
        return f"{_slice(keys.baseline_slice_key)} against {_slice(keys.comparison_slice_key)}"
    return _slice(metrics.slice_key)


def _slice(key: Any) -> str:
    features = [f"{single.column}:{_slice_value(single)}" for single in key.single_slice_keys]
    return ", ".join(features) or OVERALL


def _slice_value(single: Any) -> str:
    kind = single.WhichOneof("kind")
    value = getattr(single, kind) if kind else ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _in_words(key: Any) -> tuple[str, ...] | None:
    """Return what a metric is told by if its name is in words, as "recall of Adelie"."""
    return (key.name, key.output_name, key.model_name, key.is_diff) if " " in key.name else None


def _metric_name(key: Any, is_told: bool = False) -> str:
    """Return a metric's name; where that alone tells it, without the number of its class."""
    parts = [key.name]
    if key.output_name:
        parts.insert(0, key.output_name)
    for field, value in key.sub_key.ListFields():
        if not (is_told and field.name == "class_id"):
            parts.append(f"{field.name}={value.value}")
    return "/".join(parts) + ("_diff" if key.is_diff else "")


def _name_in_words(key: Any) -> str:
    name = _metric_name(key)
    return f"Change of {name.removesuffix('_diff')}" if key.is_diff else name


def number_of(value: Any) -> float | None:
    """Return a `MetricValue` as a number; None where it is none."""
    kind = value.WhichOneof("type")
    if kind == "double_value":
        return float(value.double_value.value)
    if kind == "bounded_value":
        return float(value.bounded_value.value.value)
    if kind == "t_distribution_value":
        return float(value.t_distribution_value.unsampled_value.value)
    return None


def _value_in_words(failure: Any) -> str:
    value = number_of(failure.metric_value)
    if value is not None and value != value:
        return "not defined there"
    return failure.message or "no number" if value is None else f"{value:.6g}"


def threshold_in_words(threshold: Any) -> str:
    """Return what a `MetricThreshold` asks for, as "at least 0.7"."""
    conditions = []
    if threshold.HasField("value_threshold"):
        bounds = threshold.value_threshold
        if bounds.HasField("lower_bound"):
            conditions.append(f"at least {bounds.lower_bound.value:.6g}")
        if bounds.HasField("upper_bound"):
            conditions.append(f"at most {bounds.upper_bound.value:.6g}")
    if threshold.HasField("change_threshold"):
        change = threshold.change_threshold
        side = "at most" if change.direction == messages.LOWER_IS_BETTER else "at least"
        if change.HasField("absolute"):
            conditions.append(f"{side} {change.absolute.value:.6g}")
        if change.HasField("relative"):
            conditions.append(f"{side} {change.relative.value:.6g} times the baseline's value")
    return " and ".join(conditions) or "as its threshold asks"


def _spec_in_words(spec: Any) -> str:
    values = [f"{key}:{value}" for key, value in sorted(spec.feature_values.items())]
    return ", ".join([*spec.feature_keys, *values]) or spec.slice_keys_sql or OVERALL


def _read(evaluation_uri: str, what: str, message_class: Any) -> Iterator[Any]:
    from penstock.data.records import read_serialized

    for path in _files(evaluation_uri, what):
        for number, record in enumerate(read_serialized(path)):
            yield parsed(record, message_class(), path=path, noun=f"record {number}")


def _files(evaluation_uri: str, what: str) -> Sequence[str]:
    patterns = (f"{what}.tfrecord", f"{what}-*-of-*.tfrecord", what)
    for pattern in patterns:
        files = sorted(glob.glob(os.path.join(evaluation_uri, pattern)))
        if files:
            return files
    raise DataError(
        f"there are no {what} in this evaluation",
        path=evaluation_uri,
        hint="They are there only where the eval_config has thresholds."
        if what == "validations"
        else "Did the Evaluator end?",
    )
