"""Predictions of a window beside what came of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from penstock.artifacts import Examples, Model, ModelEvaluation, MonitorReport
from penstock.components.performance_monitor.evaluating import ALL_ROWS, evaluated
from penstock.components.performance_monitor.reference import Reference, reference_of
from penstock.data.ingestion import fetched
from penstock.monitoring import performing
from penstock.monitoring.estimating import estimates
from penstock.monitoring.fairness import fairness_of, unlabeled
from penstock.monitoring.labels import Labeled, find_labels, join, read_labels
from penstock.monitoring.measures import (
    ESTIMATE,
    PERFORMANCE,
    UNKNOWN,
    Measure,
    WindowReport,
    write_report,
)
from penstock.monitoring.outcomes import (
    BINARY,
    NUMBERS,
    Outcomes,
    chosen_of,
    outcomes_of,
    positive_outcomes,
    task_of,
)
from penstock.monitoring.served import read_rows, versions_in
from penstock.monitoring.telling import told
from penstock.monitoring.windows import window_of
from penstock.project.monitors import FairnessTests, Labels, PerformanceTests
from penstock.serving.log.columns import CLASS, SCORE

_MOST_ROWS = 2_000_000


def monitor(
    *,
    examples: Examples,
    report: MonitorReport,
    evaluation: ModelEvaluation,
    labels: Labels | None,
    baseline: Sequence[Examples],
    model: Model | None,
    baseline_splits: Sequence[str] | None,
    tests: PerformanceTests,
    fairness: FairnessTests,
    folder: str,
) -> None:
    """Evaluate a window, write the report, and say what is an alarm."""
    window = window_of(examples)
    served = read_rows([examples], most_rows=_MOST_ROWS)
    task = task_of(served.table)
    measures: list[Measure] = []
    facts: dict[str, Any] = {}
    if task is not None:
        labeled = _labeled(served.table, labels, folder)
        facts = {"labeled": served.table.num_rows - labeled.waiting, "waiting": labeled.waiting}
        known = (
            reference_of(model, baseline, baseline_splits, labels, task)
            if labels is not None and model is not None and baseline
            else None
        )
        judged = _Judged(task, labels, tests, fairness, known)
        measures = judged.measures(labeled, evaluation.uri, folder)
    written = WindowReport(
        window, served.total, versions_in(served.table), tuple(measures), facts=facts
    )
    write_report(report.uri, written)
    print(told(written))
    if facts.get("waiting"):
        print(f"{facts['waiting']} of {served.table.num_rows} rows wait for their labels.")


def _labeled(table: pa.Table, labels: Labels | None, folder: str) -> Labeled:
    found = find_labels(labels) if labels is not None else None
    if labels is None or found is None:
        return Labeled(table, pa.nulls(table.num_rows, pa.string()))
    files = fetched(found, labels.folder or ".", folder).splits[0].files
    return join(table, read_labels(files, labels), labels)


class _Judged:
    """What is measured of a window's rows, with labels and without."""

    def __init__(
        self,
        task: str,
        labels: Labels | None,
        tests: PerformanceTests,
        fairness: FairnessTests,
        known: Reference | None,
    ) -> None:
        self._task, self._labels = task, labels
        self._tests, self._fairness, self._known = tests, fairness, known
        self._limits = performing.metrics_of(task, tests)

    def measures(self, labeled: Labeled, evaluation: str, folder: str) -> list[Measure]:
        has_label = labeled.labels.is_valid()
        table, texts = labeled.table.filter(has_label), labeled.labels.drop_null()
        positive = self._positive(labeled.table, texts)
        chosen = chosen_of(labeled.table, self._task, positive)
        outcomes = outcomes_of(table, texts, self._task, positive) if table.num_rows else None
        found: list[Measure] = []
        if self._tests.enabled and self._labels is not None:
            found += self._performance(table, outcomes, evaluation, folder)
        if self._tests.estimate and self._known is not None:
            found += self._estimates(labeled.table, chosen, self._known)
        if self._fairness.enabled and self._task == BINARY:
            found += fairness_of(labeled.table, chosen, self._fairness)
            if outcomes is not None:
                found += fairness_of(table, outcomes.chosen, self._fairness, outcomes.label)
            elif self._labels is not None:
                found += unlabeled(self._fairness)
        return found

    def _positive(self, table: pa.Table, texts: Any) -> tuple[str, ...]:
        """Return the positive outcomes of a binary task; others have none."""
        if self._task != BINARY:
            return ()
        if self._known is not None:
            return self._known.positive
        said = self._labels.positive if self._labels is not None else ""
        seen = {*texts.to_pylist(), *map(str, table.column(CLASS).to_pylist())}
        return positive_outcomes(seen, (), said)

    def _performance(
        self, table: pa.Table, outcomes: Outcomes | None, evaluation: str, folder: str
    ) -> list[Measure]:
        if outcomes is not None:
            table, outcomes = outcomes.finite(table)
        count = table.num_rows
        if outcomes is None or count < self._tests.rows:
            why = f"{count} rows have a label, {self._tests.rows} are needed"
            return [
                Measure(PERFORMANCE, ALL_ROWS, name, None, UNKNOWN, why, count)
                for name in self._limits
            ]
        slices = self._tests.slices
        found = evaluated(table, outcomes, list(self._limits), slices, evaluation, folder)
        reference = self._known.metrics(list(self._limits)) if self._known is not None else {}
        measures = [
            replace(
                measure,
                reference=reference.get(measure.name) if measure.subject == ALL_ROWS else None,
            )
            for measure in found
            if measure.rows >= self._tests.rows
        ]
        return performing.judged(measures, self._limits, self._tests.confidence)

    def _estimates(self, table: pa.Table, chosen: Any, known: Reference) -> list[Measure]:
        if self._task == NUMBERS or table.num_rows < self._tests.rows:
            return []
        score = table.column(SCORE).to_numpy()
        is_known = np.isfinite(score)
        found = estimates(
            known.outcomes.score,
            known.outcomes.label,
            score[is_known],
            chosen[is_known],
            self._task,
        )
        reference: Mapping[str, float] = known.metrics(list(found))
        measures = [
            Measure(
                ESTIMATE,
                ALL_ROWS,
                name,
                estimate.value,
                why="estimated from scores, without labels",
                rows=int(is_known.sum()),
                lower=estimate.lower,
                upper=estimate.upper,
                reference=reference.get(name),
            )
            for name, estimate in found.items()
        ]
        return performing.judged(measures, self._limits, self._tests.confidence)
