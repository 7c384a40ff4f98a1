"""From sums to the metrics of a slice, with confidence intervals where asked for."""

from __future__ import annotations

import json
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from penstock.components.evaluator.arrow.matrices import is_undefined
from penstock.components.evaluator.plan import Plan
from penstock.components.evaluator.tallies import Histogram

# What areas are under, and the names that metrics of them have.
_CURVES = {"AUC": ("auc", "ROC"), "AUCPrecisionRecall": ("auc_precision_recall", "PR")}


def metrics_of(plan: Plan, tables: Sequence[np.ndarray], counts: np.ndarray) -> dict[Any, Any]:
    """Return the metrics of one slice by TFMA's keys.

    `tables` has for each tally its sums by jackknife bucket, of shape (buckets, cells, columns);
    `counts` is the number of the slice's rows in each bucket.
    """
    totals = [table.sum(axis=0) for table in tables]
    metrics = _metrics(plan, totals)
    if plan.jackknife_buckets > 1:
        metrics = _with_intervals(plan, metrics, tables, counts)
    for computation in plan.derived_of_intervals:
        metrics.update(computation.result(metrics))
    undefined = _undefined(plan, metrics, totals) if plan.tells_undefined else {}
    return _public({**metrics, **undefined})


def _undefined(plan: Plan, metrics: dict[Any, Any], tables: Sequence[np.ndarray]) -> dict[Any, Any]:
    """Return as NaN what no curve is under, which TFMA has as 0, and what differs from it."""
    names: dict[str, str] = {}
    for spec in plan.eval_config.metrics_specs:
        for metric in spec.metrics:
            if metric.class_name in _CURVES:
                name, curve = _CURVES[metric.class_name]
                settings = json.loads(metric.config or "{}")
                names[settings.get("name", name)] = str(settings.get("curve", curve)).upper()
    without: dict[str, set[Any]] = {"ROC": set(), "PR": set()}
    for tally, table in zip(plan.tallies, tables, strict=True):
        if not isinstance(tally, Histogram):
            continue
        positives, _, rows = table.sum(axis=0)
        for curve, of_curve in without.items():
            if is_undefined(positives, rows - positives, curve):
                key = tally.combiner._key
                of_curve.add((key.model_name, key.sub_key))
    return {
        key: float("nan")
        for key in metrics
        if key.name in names
        and any(
            (model, key.sub_key) in without.get(names[key.name], ())
            for model in ([key.model_name, plan.baseline] if key.is_diff else [key.model_name])
        )
    }


def _with_intervals(
    plan: Plan, metrics: dict[Any, Any], tables: Sequence[np.ndarray], counts: np.ndarray
) -> dict[Any, Any]:
    """Return the metrics as TFMA does, which leaves out one bucket after another."""
    from tensorflow_model_analysis.evaluators import confidence_intervals_util, jackknife

    combiner = jackknife._JackknifeSampleCombineFn(plan.jackknife_buckets, plan.without_intervals)
    result = combiner.create_accumulator()

    def add(sample: dict[Any, Any], number: int) -> None:
        # Intervals of what only other metrics are derived from would be computed in vain.
        kept = sample if plan.derived_of_intervals else _public(sample)
        combiner.add_input(result, confidence_intervals_util.SampleMetrics(kept, number))

    add(metrics, jackknife._FULL_SAMPLE_ID)
    for bucket in range(plan.jackknife_buckets):
        if counts.sum() > counts[bucket]:
            rest = [np.delete(table, bucket, axis=0).sum(axis=0) for table in tables]
            add(_metrics(plan, rest), bucket)
    return combiner.extract_output(result)


def _metrics(plan: Plan, tables: Sequence[np.ndarray]) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    for tally, table in zip(plan.tallies, tables, strict=True):
        result.update(tally.output(table))
    for computation in plan.derived:
        result.update(computation.result(result))
    if plan.baseline:
        result.update(_differences(result, plan.baseline))
    return result


def _differences(metrics: dict[Any, Any], baseline: str) -> dict[Any, Any]:
    """Return how the candidate's metrics differ from the baseline's."""
    result = {}
    for key, value in _public(metrics).items():
        if key.is_diff or key.model_name == baseline or not _is_number(value):
            continue
        other = key.make_baseline_key(baseline)
        if other in metrics:
            result[key.make_diff_key()] = value - metrics[other]
    return result


def _is_number(value: Any) -> bool:
    from tensorflow_model_analysis.api import types

    if isinstance(value, np.ndarray):
        return np.issubdtype(value.dtype, np.number)
    return isinstance(value, numbers.Number | types.StructuredMetricValue)


def _public(metrics: dict[Any, Any]) -> dict[Any, Any]:
    return {
        key: value
        for key, value in metrics.items()
        if not key.name.startswith("_") or key.name.startswith("__")
    }
