"""Evaluation of models of any framework, without TensorFlow: sums over Arrow tables.

Rows go by in tables, and only sums are kept. Metrics are those of TFMA, and so are the files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from penstock.components.evaluator.arrow.asking import Evaluation
from penstock.components.evaluator.arrow.intervals import SAMPLES, Interval, Sampling, interval_of
from penstock.components.evaluator.arrow.judging import judge
from penstock.components.evaluator.arrow.keys import Key
from penstock.components.evaluator.arrow.metric import Metric
from penstock.components.evaluator.arrow.slicing import SliceKey
from penstock.components.evaluator.arrow.summing import Summed
from penstock.components.evaluator.arrow.tallies import Tally
from penstock.components.evaluator.arrow.writing import SliceResult, Value, write
from penstock.errors import DataError


@dataclass(frozen=True)
class ArrowJob:
    """One evaluation of a model, or of a candidate and a baseline, by the sums of the rows.

    `locations` are where the models are, by the names of the config's model specs; readers of the
    evaluation are told.
    """

    evaluation: Evaluation
    summed: Summed
    locations: Mapping[str, str]
    output_directory: str


def evaluate(job: ArrowJob) -> None:
    """Write the evaluation of a job into its directory.

    Raises:
      DataError: there are no rows.
    """
    if not job.summed.rows:
        raise DataError(
            "there are no rows to evaluate the model on",
            hint="The Evaluator takes the split eval unless example_splits names others.",
        )
    results = _results(job.evaluation, job.summed)
    validation = judge(
        job.evaluation,
        [
            (result.key, {key: value.value for key, value in result.metrics.items()})
            for result in results
        ],
    )
    locations = {name: location or "<unknown>" for name, location in job.locations.items()}
    write(job.output_directory, job.evaluation.config, results, validation, locations)


def _results(evaluation: Evaluation, summed: Summed) -> list[SliceResult]:
    slices, sampling = summed.slices, summed.sampling
    sums, counts = summed.sums, summed.counts
    for column in slices.columns_without_values:
        print(f"No row has a value in the column {column!r}, which slices are by.")
    smallest = evaluation.config.options.min_slice_size.value
    results = []
    for number, key in enumerate(slices.keys):
        first = number * sampling.groups
        rows = counts.tables(first, sampling.groups)[:, 0, 0]
        if key and sampling.full(rows) < smallest:
            reason = (
                "Example count for this slice key is lower than the minimum required value: "
                f"{smallest}. No data is aggregated for this slice."
            )
            results.append(SliceResult(key, too_small=reason))
            continue
        tables = {tally: sums.tables(tally, first, sampling.groups) for tally in sums.tallies}
        results.append(_result(evaluation, key, sampling, tables, rows))
    return results


def _result(
    evaluation: Evaluation,
    key: SliceKey,
    sampling: Sampling,
    tables: Mapping[Tally, np.ndarray],
    rows: np.ndarray,
) -> SliceResult:
    full = {tally: sampling.full(table) for tally, table in tables.items()}
    values = _values(evaluation, full)
    plots = [
        Value(metric, np.asarray(metric.value(full)))
        for metric in evaluation.metrics
        if metric.plot_form is not None
    ]
    if sampling.groups == 1:
        return SliceResult(key, {k: Value(m, v) for k, (m, v) in values.items()}, plots)
    samples = [
        _values(evaluation, {t: sampling.sample(table, number) for t, table in tables.items()})
        for number in range(SAMPLES)
        if sampling.has_sample(rows, number)
    ]
    reason = ""
    if len(samples) < SAMPLES:
        reason = (
            f"CI not computed because only {len(samples)} samples were non-empty. Expected "
            f"{SAMPLES}."
        )
    shown = {}
    for metric_key, (metric, value) in values.items():
        interval = None
        if metric.has_interval and not reason:
            interval = _interval(sampling, value, [sample[metric_key][1] for sample in samples])
        shown[metric_key] = Value(metric, value, interval)
    return SliceResult(key, shown, plots, without_intervals=reason)


def _interval(sampling: Sampling, value: np.ndarray, samples: Sequence[np.ndarray]) -> Interval:
    if value.ndim < 3:
        return interval_of(sampling, value, samples)
    # Where no row of a class was predicted as another, there is no number, and no interval.
    known = [np.nan_to_num(sample) for sample in samples]
    interval = interval_of(sampling, np.nan_to_num(value), known)
    blank = np.where(np.isnan(value), np.nan, 0.0)
    return Interval(
        interval.mean + blank, interval.standard_error + blank, interval.degrees_of_freedom
    )


def _values(
    evaluation: Evaluation, tables: Mapping[Tally, np.ndarray]
) -> dict[Key, tuple[Metric, np.ndarray]]:
    """Return the metrics by key, and how the candidate's differ from the baseline's."""
    values = {
        metric.key: (metric, np.asarray(metric.value(tables), np.float64))
        for metric in evaluation.metrics
        if metric.plot_form is None
    }
    baseline = evaluation.baseline
    if baseline is None:
        return values
    differences = {}
    for key, (metric, value) in values.items():
        other = values.get(key.of_model(baseline))
        if key.model != baseline and other is not None:
            differences[key.difference()] = (metric, _difference(value, other[1]))
    return {**values, **differences}


def _difference(value: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    if value.ndim < 3:
        return value - baseline
    nowhere = np.isnan(value) & np.isnan(baseline)
    return np.where(nowhere, np.nan, np.nan_to_num(value) - np.nan_to_num(baseline))
