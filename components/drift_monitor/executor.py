"""One window of a log beside its baseline."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from penstock.artifacts import Examples, Model, MonitorReport
from penstock.models.loading import load_model
from penstock.monitoring.drifting import Compared, compare
from penstock.monitoring.measures import (
    DRIFT,
    PREDICTIONS,
    SKEW,
    Window,
    WindowReport,
    write_report,
)
from penstock.monitoring.served import Rows, parts_of, predictions_of, read_rows, versions_in
from penstock.monitoring.telling import told
from penstock.monitoring.windows import window_of
from penstock.project.monitors import DriftTests
from penstock.serving.log.columns import CLASS, SCORE
from penstock.serving.worker.counting import summary_of

_CALLED = {CLASS: "predicted class", SCORE: "score"}
# Predictions are known well enough from so many rows of the baseline.
_MOST_ASKED = 20_000


def monitor(
    *,
    examples: Examples,
    report: MonitorReport,
    baseline: Sequence[Examples],
    model: Model | None,
    tests: DriftTests,
    prediction_tests: DriftTests,
    baseline_splits: Sequence[str] | None,
    is_training: bool,
    most_rows: int,
) -> None:
    """Compare a window with its baseline, write the report, and say what is an alarm."""
    window = window_of(examples)
    served = read_rows([examples], most_rows=most_rows)
    found: list[Compared] = []
    if baseline and served.total:
        known = read_rows(baseline, baseline_splits, most_rows)
        kind = SKEW if is_training else DRIFT
        if tests.enabled:
            found += _features(served, known, window, tests, kind)
        if prediction_tests.enabled:
            found += _predictions(served, known, window, prediction_tests, model)
    written = WindowReport(
        window,
        served.total,
        versions_in(served.table),
        tuple(one.measure for one in found),
        tuple(one.histogram for one in found),
    )
    write_report(report.uri, written)
    print(told(written))


def _features(
    served: Rows, known: Rows, window: Window, tests: DriftTests, kind: str
) -> list[Compared]:
    groups = parts_of(served.table, window)
    return compare(served.features, known.features, tests, kind=kind, groups=groups)


def _predictions(
    served: Rows, known: Rows, window: Window, tests: DriftTests, model: Model | None
) -> list[Compared]:
    said = _own_predictions(known.table)
    if said is None and model is not None:
        said = _predicted(model, known.table.slice(0, _MOST_ASKED))
    one = _own_predictions(served.table)
    if said is None or one is None:
        return []
    groups = parts_of(served.table, window)
    return compare(one, said, tests, kind=PREDICTIONS, groups=groups, names=_CALLED)


def _own_predictions(table: pa.Table) -> pa.Table | None:
    """Return the predictions that rows have; a model has classes, or numbers, or both."""
    names = [
        name
        for name in (CLASS, SCORE)
        if name in table.column_names and table.column(name).null_count < table.num_rows
    ]
    return table.select(names) if names else None


def _predicted(model: Model, rows: pa.Table) -> pa.Table:
    """Return what a model says of rows, as a log has it."""
    return predictions_of(summary_of(load_model(model).predict(rows)))
