"""Evaluation of models of any framework, without TensorFlow: sums over Arrow tables.

Rows go by in tables, and only sums are kept. Metrics are those of TFMA, and so are the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from penstock.authoring.node_context import NodeContext
from penstock.components.evaluator.arrow.asking import Evaluation
from penstock.components.evaluator.arrow.intervals import SAMPLES, Interval, Sampling, interval_of
from penstock.components.evaluator.arrow.judging import judge
from penstock.components.evaluator.arrow.keys import Key
from penstock.components.evaluator.arrow.metric import Metric
from penstock.components.evaluator.arrow.outcomes import Outcome
from penstock.components.evaluator.arrow.reading import Evaluated, outcome_of
from penstock.components.evaluator.arrow.slicing import SliceKey, Slices
from penstock.components.evaluator.arrow.tallies import Tally
from penstock.components.evaluator.arrow.writing import SliceResult, Value, write
from penstock.components.evaluator.sums import Sums
from penstock.errors import DataError


@dataclass(frozen=True)
class ArrowJob:
    """One evaluation of a model, or of a candidate and a baseline, on the rows of some tables.

    `models` have the names of the config's model specs.
    """

    tables: Iterable[pa.Table]
    evaluation: Evaluation
    models: Sequence[Evaluated]
    output_directory: str
    progress: Callable[..., None] = NodeContext().progress


def evaluate(job: ArrowJob) -> None:
    """Write the evaluation of a job into its directory.

    Raises:
      DataError: there are no rows, or rows that cannot be evaluated; see `outcome_of`.
    """
    results = _results(job)
    validation = judge(
        job.evaluation,
        [
            (result.key, {key: value.value for key, value in result.metrics.items()})
            for result in results
        ],
    )
    locations = {model.name: model.location or "<unknown>" for model in job.models}
    write(job.output_directory, job.evaluation.config, results, validation, locations)


def _results(job: ArrowJob) -> list[SliceResult]:
    evaluation = job.evaluation
    slices = Slices(evaluation.config.slicing_specs)
    sampling = Sampling.of(evaluation.config.options)
    sums, counts = _summed(job, slices, sampling)
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


class _AllSums:
    """The sums of all tallies, whose tables have their shapes by the models' predictions."""

    def __init__(self, tallies: Sequence[Tally]):
        self.tallies = tallies
        self._sums: dict[Tally, Sums] = {}
        self._shapes: dict[Tally, tuple[int, ...]] = {}

    def add(self, outcomes: Mapping[str, Outcome], rows: np.ndarray, groups: np.ndarray) -> None:
        """Add outcomes by model; rows, in ascending order, to the groups beside them."""
        for tally in self.tallies:
            outcome = outcomes[tally.view.model]
            shape = (*tally.shape(outcome.outputs), tally.columns)
            if tally not in self._sums:
                self._sums[tally] = Sums(int(np.prod(shape[:-1])), tally.columns)
                self._shapes[tally] = shape
            elif shape != self._shapes[tally]:
                raise DataError(
                    f"row {outcome.first_row}: the model gives {outcome.outputs} numbers a row "
                    "from here on, and gave another number of them before",
                    hint="A model should give lists of one size.",
                )
            entries = tally.entries(outcome)
            positions, dealt = _dealt(entries.rows, rows, groups)
            cells = entries.cells if isinstance(entries.cells, int) else entries.cells[positions]
            self._sums[tally].add(dealt, cells, entries.values[positions])

    def tables(self, tally: Tally, first_group: int, groups: int) -> np.ndarray:
        """Return the tables of consecutive groups, of shape (groups, *cells, columns)."""
        table = self._sums[tally].tables(first_group, groups)
        return table.reshape(groups, *self._shapes[tally])


def _dealt(
    entries: np.ndarray, rows: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return positions in `entries`, which are rows, and groups: each entry in its row's groups."""
    starts = np.searchsorted(rows, entries, side="left")
    lengths = np.searchsorted(rows, entries, side="right") - starts
    positions = np.repeat(np.arange(len(entries)), lengths)
    within = np.arange(len(positions)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return positions, groups[starts[positions] + within]


def _summed(job: ArrowJob, slices: Slices, sampling: Sampling) -> tuple[_AllSums, Sums]:
    metrics = job.evaluation.metrics
    sums = _AllSums(list(dict.fromkeys(t for metric in metrics for t in metric.tallies)))
    counts = Sums(1, 1)
    # A fixed seed: the same evaluation has the same confidence intervals.
    random = np.random.default_rng(0)
    done = 0
    for table in _with_rows(job.tables):
        outcomes = _outcomes(job, table, done)
        rows, numbers = slices.assign(table)
        taken, dealt = sampling.deal(len(rows), random)
        order = np.argsort(taken, kind="stable")
        rows, groups = rows[taken[order]], (numbers[taken] * sampling.groups + dealt)[order]
        counts.add(groups, 0, np.ones((len(groups), 1)))
        sums.add(outcomes, rows, groups)
        done += table.num_rows
        job.progress(rows=done)
    if not done:
        raise DataError(
            "there are no rows to evaluate the model on",
            hint="The Evaluator takes the split eval unless example_splits names others.",
        )
    return sums, counts


def _with_rows(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    return (table for table in tables if table.num_rows)


def _outcomes(job: ArrowJob, table: pa.Table, first_row: int) -> dict[str, Outcome]:
    specs = {spec.name: spec for spec in job.evaluation.config.model_specs}
    return {
        model.name: outcome_of(table, specs[model.name], model, first_row) for model in job.models
    }


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
