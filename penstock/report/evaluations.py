"""Metrics, slices and thresholds of an evaluation, as they are shown."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock.data.results.evaluation import (
    OVERALL,
    SliceMetric,
    number_of,
    read_validation,
    slice_name,
    summarize,
    threshold_in_words,
    validation_failures,
)
from penstock.data.results.evaluation_messages import LOWER_IS_BETTER, EvalConfig
from penstock.errors import PenstockError
from penstock.metadata.evaluations import metrics_of
from penstock.metadata.reading import ArtifactRecord
from penstock.safety import bounded

COUNT = "example_count"
# Of fewer examples than these a metric says little.
FEW = 30


@dataclass(frozen=True)
class Threshold:
    """What is asked of a metric on a slice, and what came of it.

    `slice` is as in SliceMetric, or "each KEY" for all slices by a feature. `bound` is the lower
    or upper bound of a value threshold. `failures` are slices and their values.
    """

    metric: str
    slice: str
    requirement: str
    bound: float | None = None
    failures: tuple[tuple[str, float | None], ...] = ()
    value: float | None = None
    lower_is_better: bool | None = None


@dataclass(frozen=True)
class SliceRow:
    """The metrics of a slice, by their names."""

    name: str
    metrics: Mapping[str, SliceMetric] = field(default_factory=dict)
    baseline: Mapping[str, SliceMetric] = field(default_factory=dict)

    @property
    def count(self) -> float | None:
        """How many examples it has."""
        metric = self.metrics.get(COUNT)
        return metric.value if metric else None

    @property
    def is_small(self) -> bool:
        """Whether it has so few examples that its metrics say little."""
        return self.count is not None and self.count < FEW


@dataclass(frozen=True)
class Evaluation:
    """An evaluation of a model; `primary` is the metric that slices are ordered by, worst first.

    It is the first of the `names`.
    """

    node_id: str
    overall: SliceRow
    slices: tuple[SliceRow, ...] = ()
    names: tuple[str, ...] = ()
    primary: str = ""
    lower_is_better: bool = False
    thresholds: tuple[Threshold, ...] = ()
    failures: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def read_evaluation(node_id: str, artifact: ArtifactRecord) -> Evaluation:
    """Read an evaluation; where its files are gone, what the store has of it."""
    problems: list[str] = []
    try:
        metrics = summarize(artifact.uri)
    except (PenstockError, OSError) as error:
        problems.append(str(error))
        metrics = [
            SliceMetric(OVERALL, metric.name, metric.value, metric.lower, metric.upper)
            for metric in metrics_of(artifact)
        ]
    rows = _rows(metrics)
    overall = rows.pop(OVERALL, SliceRow(OVERALL))
    names = tuple(
        dict.fromkeys(
            name for row in (overall, *rows.values()) for name in row.metrics if name != COUNT
        )
    )
    thresholds = _thresholds(artifact.uri, overall)
    judged = [t.metric for t in thresholds if t.metric in names]
    primary = (judged or list(names) or [""])[0]
    names = tuple(sorted(names, key=lambda name: name != primary))
    lower_is_better = _lower_is_better(primary, thresholds)
    slices = sorted(rows.values(), key=lambda row: _order(row, primary, lower_is_better))
    return Evaluation(
        node_id,
        overall,
        tuple(slices),
        names,
        primary,
        lower_is_better,
        tuple(thresholds),
        tuple(_failures(artifact.uri)),
        tuple(problems),
    )


def _rows(metrics: Iterable[SliceMetric]) -> dict[str, SliceRow]:
    own: dict[str, dict[str, SliceMetric]] = {}
    baseline: dict[str, dict[str, SliceMetric]] = {}
    for metric in metrics:
        if metric.metric.endswith("_diff"):
            continue
        side = baseline if metric.model == "baseline" else own
        own.setdefault(metric.slice, {})
        side.setdefault(metric.slice, {})[metric.metric] = metric
    return {name: SliceRow(name, own[name], baseline.get(name, {})) for name in own}


def _order(row: SliceRow, primary: str, lower_is_better: bool) -> tuple[bool, bool, float, str]:
    """Return what slices are sorted by: the worst first, then small ones, then undefined ones."""
    metric = row.metrics.get(primary)
    if metric is None or math.isnan(metric.value):
        return (row.is_small, True, 0.0, row.name)
    return (row.is_small, False, -metric.value if lower_is_better else metric.value, row.name)


# What a metric's name has in it if the model is the better, the lower it is.
_OF_ERRORS = re.compile(
    r"error|loss|entropy|hinge|divergence|false_|miss_rate|fall_out|poisson"
    r"|(^|[ _])(fpr|fnr|mse|mae|rmse|mape)"
)


def _lower_is_better(metric: str, thresholds: Sequence[Threshold]) -> bool:
    """Return what a metric's thresholds say of its direction, or else its name."""
    for threshold in thresholds:
        is_of_metric = threshold.metric in (metric, f"change of {metric}")
        if is_of_metric and threshold.lower_is_better is not None:
            return threshold.lower_is_better
    return _OF_ERRORS.search(metric) is not None


def domain(rows: Iterable[SliceRow], name: str) -> tuple[float, float]:
    """Return the bounds within which a metric is drawn on slices, a little wider than it is.

    Small slices do not count: what they have is drawn at the edge.
    """
    rows = list(rows)
    values = [
        value
        for row in [row for row in rows if not row.is_small] or rows
        for metric in (row.metrics.get(name), row.baseline.get(name))
        if metric is not None
        for value in (metric.value, metric.lower, metric.upper)
        if value is not None and value == value
    ]
    low, high = min(values, default=0.0), max(values, default=1.0)
    edge = (high - low) * 0.05 or abs(high) * 0.05 or 0.5
    return low - edge, high + edge


def _failures(uri: str) -> list[str]:
    try:
        return validation_failures(uri)
    except (PenstockError, OSError):  # without thresholds there are no validations
        return []


def _thresholds(uri: str, overall: SliceRow) -> list[Threshold]:
    """Read the thresholds of an evaluation's own config, and which of them failed where."""
    from google.protobuf import json_format

    try:
        text = bounded.read_text(os.path.join(uri, "eval_config.json"))
        content = bounded.parse_json(text)["evalConfig"]
        config = json_format.ParseDict(content, EvalConfig(), ignore_unknown_fields=True)
        validation = read_validation(uri)
    except (PenstockError, OSError, ValueError, KeyError, TypeError, json_format.ParseError):
        return []
    failed = [
        (failure, slice_name(validation_of_slice))
        for validation_of_slice in validation.metric_validations_per_slice
        for failure in validation_of_slice.failures
    ]
    return [
        _threshold(_measured_name(name, overall.metrics), where, part, failed, overall)
        for name, where, threshold in _declared(config)
        for part in _parts(threshold)
    ]


def _parts(threshold: Any) -> Iterable[Any]:
    """Yield what is asked of a value, and what is asked of its change, each by itself."""
    for field_name in ("value_threshold", "change_threshold"):
        if threshold.HasField(field_name):
            part = type(threshold)()
            getattr(part, field_name).CopyFrom(getattr(threshold, field_name))
            yield part


def _threshold(
    metric: str, where: str, part: Any, failed: Sequence[tuple[Any, str]], overall: SliceRow
) -> Threshold:
    is_change = part.HasField("change_threshold")
    failures = tuple(
        (slice_, number_of(failure.metric_value))
        for failure, slice_ in failed
        if failure.metric_key.name == metric
        and failure.metric_key.is_diff is is_change
        and _is_in(slice_, where)
    )
    bounds = part.value_threshold
    sides = [side for side in ("lower_bound", "upper_bound") if bounds.HasField(side)]
    own, base = overall.metrics.get(metric), overall.baseline.get(metric)
    value = None
    if where == OVERALL and own is not None and not is_change:
        value = own.value
    elif where == OVERALL and own is not None and base is not None:
        value = own.value - base.value
    requirement = threshold_in_words(part)
    return Threshold(
        f"change of {metric}" if is_change else metric,
        where,
        requirement,
        getattr(bounds, sides[0]).value if sides else None,
        failures,
        value,
        _direction(part),
    )


def _direction(part: Any) -> bool | None:
    """Return whether a threshold asks for low values; None where it does not say."""
    if part.HasField("change_threshold"):
        return bool(part.change_threshold.direction == LOWER_IS_BETTER)
    bounds = part.value_threshold
    has_lower, has_upper = bounds.HasField("lower_bound"), bounds.HasField("upper_bound")
    return has_upper if has_lower != has_upper else None


def _is_in(slice_: str, where: str) -> bool:
    """Whether a slice is one of those that a threshold is for."""
    parts, named = slice_.split(", "), where.split(", ")
    wanted = [f"{one.removeprefix('each ')}:" if one.startswith("each ") else one for one in named]
    return len(parts) == len(named) and all(
        any(part.startswith(one) if one.endswith(":") else part == one for part in parts)
        for one in wanted
    )


def _declared(config: Any) -> Iterable[tuple[str, str, Any]]:
    for spec in config.metrics_specs:
        for metric in spec.metrics:
            if metric.HasField("threshold"):
                yield metric.class_name, OVERALL, metric.threshold
            for per_slice in metric.per_slice_thresholds:
                for where in _slices_of(per_slice.slicing_specs):
                    yield metric.class_name, where, per_slice.threshold
        for name, threshold in spec.thresholds.items():
            yield name, OVERALL, threshold
        for name, listed in spec.per_slice_thresholds.items():
            for per_slice in listed.thresholds:
                for where in _slices_of(per_slice.slicing_specs):
                    yield name, where, per_slice.threshold


def _slices_of(specs: Sequence[Any]) -> Iterable[str]:
    for spec in specs:
        values = [f"{key}:{value}" for key, value in sorted(spec.feature_values.items())]
        keys = [f"each {key}" for key in spec.feature_keys]
        yield ", ".join([*values, *keys]) or OVERALL


def _measured_name(class_name: str, metrics: Mapping[str, Any]) -> str:
    """Return what TFMA calls the metric of a class: its name in the metrics."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", class_name).lower()
    candidates = (class_name, snake, class_name.lower())
    return next((name for name in candidates if name in metrics), class_name)
