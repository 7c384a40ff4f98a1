"""What a model says of the data that it was evaluated on: what it is held against later."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from penstock.artifacts import Examples, Model
from penstock.components.performance_monitor.evaluating import ALL_ROWS, evaluated
from penstock.data.splits import split_names
from penstock.models.loading import load_model
from penstock.monitoring.labels import as_text
from penstock.monitoring.outcomes import BINARY, Outcomes, outcomes_of, positive_outcomes
from penstock.monitoring.served import predictions_of, read_rows
from penstock.project.monitors import Labels
from penstock.serving.worker.counting import summary_of

_EVAL = "eval"
_MOST_ROWS = 50_000


@dataclass(frozen=True)
class Reference:
    """The outcomes of rows that the model was evaluated on, and which of them are positive."""

    table: pa.Table
    outcomes: Outcomes
    positive: tuple[str, ...]

    def metrics(self, names: Sequence[str]) -> dict[str, float]:
        """Return metrics of all the rows."""
        with tempfile.TemporaryDirectory() as folder:
            measures = evaluated(self.table, self.outcomes, names, [], folder, folder)
        return {m.name: m.value for m in measures if m.subject == ALL_ROWS and m.value is not None}


def reference_of(
    model: Model,
    baseline: Sequence[Examples],
    splits: Sequence[str] | None,
    labels: Labels,
    task: str,
) -> Reference | None:
    """Return what a model says of its baseline; None where that has no such label."""
    known = [
        artifact for artifact in baseline if splits is not None or _EVAL in split_names(artifact)
    ]
    table = read_rows(known, splits or [_EVAL], _MOST_ROWS).table
    if labels.label not in table.column_names:
        return None
    table = table.filter(table.column(labels.label).is_valid())
    if not table.num_rows:
        return None
    loaded = load_model(model)
    summary = summary_of(loaded.predict(table))
    predictions = predictions_of(summary)
    texts = as_text(table.column(labels.label))
    positive: tuple[str, ...] = ()
    if task == BINARY:
        outputs: Sequence[Any] = loaded.signature.outputs if loaded.signature is not None else ()
        classes = next((column.classes for column in outputs if column.classes is not None), ())
        seen = {*texts.to_pylist(), *(summary.classes or ())}
        positive = positive_outcomes(seen, tuple(map(str, classes)), labels.positive)
    return Reference(table, outcomes_of(predictions, texts, task, positive), positive)
