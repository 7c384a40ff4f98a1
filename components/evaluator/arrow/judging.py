"""Whether metrics are as the thresholds of a config ask, by slice and all together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from penstock.components.evaluator.arrow.asking import Evaluation, Requirement
from penstock.components.evaluator.arrow.keys import Key
from penstock.components.evaluator.arrow.slicing import SliceKey, SliceSpec, to_message
from penstock.data.results import evaluation_messages as messages

_NOT_FOUND = "Metric not found."


@dataclass(frozen=True)
class _Judged:
    """A slice's failures, and for which slicing specs there was something to judge."""

    message: Any
    matched: Sequence[Any]


def judge(
    evaluation: Evaluation, metrics_by_slice: Sequence[tuple[SliceKey, Mapping[Key, np.ndarray]]]
) -> Any:
    """Return the ValidationResult: failures by slice, and slices that have thresholds but no rows.

    Metrics of the baseline are not judged. Without thresholds nothing is right.
    """
    result = messages.ValidationResult(validation_ok=bool(metrics_by_slice))
    details: dict[SliceSpec, Any] = {}
    for key, metrics in metrics_by_slice:
        judged = _judge_slice(evaluation, key, metrics)
        if judged.message.failures:
            result.validation_ok = False
            result.metric_validations_per_slice.append(judged.message)
        seen = set()
        for slices in judged.matched:
            spec = SliceSpec.of(slices)
            if spec in seen:
                continue
            seen.add(spec)
            if spec not in details:
                details[spec] = result.validation_details.slicing_details.add()
                details[spec].slicing_spec.CopyFrom(slices)
            details[spec].num_matching_slices += 1
    if not evaluation.requirements:
        result.validation_ok = False
        result.missing_thresholds = True
    for requirement in _judged_requirements(evaluation):
        slices = _slices(requirement)
        if SliceSpec.of(slices) not in details:
            details[SliceSpec.of(slices)] = None
            result.missing_slices.add().CopyFrom(slices)
            result.validation_ok = False
    return result


def _slices(requirement: Requirement) -> Any:
    return messages.SlicingSpec() if requirement.slices is None else requirement.slices


def _judged_requirements(evaluation: Evaluation) -> list[Requirement]:
    return [
        requirement
        for key, listed in evaluation.requirements.items()
        if key.model != evaluation.baseline
        for requirement in listed
    ]


def _judge_slice(
    evaluation: Evaluation, slice_key: SliceKey, metrics: Mapping[Key, np.ndarray]
) -> _Judged:
    message = messages.MetricsValidationForSlice()
    message.slice_key.CopyFrom(to_message(slice_key))
    matched: list[Any] = []
    failed: set[tuple[Key, bytes]] = set()
    for requirement in _judged_requirements(evaluation):
        key, threshold = requirement.key, requirement.threshold
        is_known = key in metrics
        slices = requirement.slices
        # As in TFMA a metric that a slice lacks fails on it, whichever slices are asked about.
        if is_known and slices is not None and not SliceSpec.of(slices).applies_to(slice_key):
            continue
        value = metrics.get(key)
        problem = _problem(value)
        holds = not problem and _holds(evaluation, requirement, metrics)
        once = (key, threshold.SerializeToString(deterministic=True))
        if not holds:
            if once in failed:
                continue
            failed.add(once)
            failure = message.failures.add(message=problem)
            failure.metric_key.CopyFrom(key.to_message())
            if is_known:
                failure.metric_value.double_value.value = (
                    float(value) if value is not None and value.ndim == 0 else math.nan
                )
            kind = "change_threshold" if key.is_diff else "value_threshold"
            getattr(failure.metric_threshold, kind).CopyFrom(threshold)
        if is_known:
            matched.append(_slices(requirement))
    return _Judged(message, matched)


def _problem(value: np.ndarray | None) -> str:
    """Return why a value cannot be judged; empty where it can."""
    if value is None:
        return _NOT_FOUND
    if value.ndim:
        return f"A threshold is for a number, and the metric has {value.size} numbers."
    return ""


def _holds(
    evaluation: Evaluation, requirement: Requirement, metrics: Mapping[Key, np.ndarray]
) -> bool:
    threshold, value = requirement.threshold, float(metrics[requirement.key])
    if not requirement.key.is_diff:
        lower, upper = threshold.lower_bound, threshold.upper_bound
        return bool(
            value >= (lower.value if threshold.HasField("lower_bound") else -math.inf)
            and value <= (upper.value if threshold.HasField("upper_bound") else math.inf)
        )
    lower_is_better = threshold.direction == messages.LOWER_IS_BETTER

    def keeps(change: float, bound: float) -> bool:
        return change <= bound if lower_is_better else change >= bound

    if threshold.HasField("absolute") and not keeps(value, threshold.absolute.value):
        return False
    if threshold.HasField("relative"):
        baseline = float(metrics[requirement.key.of_model(evaluation.baseline or "")])
        # Nothing is a part of nothing, so the threshold does not hold.
        ratio = math.nan if math.isclose(baseline, 0.0) else value / baseline
        return keeps(ratio, threshold.relative.value)
    return True
