"""What a worker counts of its predictions, by the routes that they were asked under."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from penstock.data.coding.columns import is_list
from penstock.models.predictions import PREDICTION, PROBABILITIES
from penstock.serving.evidence import Answers, Comparison, sum_of
from penstock.serving.sketches import sketch_of

# Of how many routes the counts are kept: those in force, and those before.
_KEPT = 2
# A model may tell many classes apart; beyond these they are counted together.
_MOST_CLASSES = 1000
_OTHERS = "(others)"
_NEARLY = 0.01


@dataclass(frozen=True)
class Summary:
    """Predictions in short: a class a row, or None, and a number a row, or None."""

    classes: Sequence[str] | None
    scores: Any

    def packed(self) -> bytes:
        """Return it as it travels to the process that compares."""
        import orjson

        scores = None if self.scores is None else self.scores.tolist()
        return orjson.dumps([self.classes, scores])

    @classmethod
    def unpacked(cls, content: bytes) -> Summary:
        """Return what `packed` made."""
        import orjson

        classes, scores = orjson.loads(content)
        numbers = None if scores is None else np.array([np.nan if s is None else s for s in scores])
        return cls(classes, numbers)

    def part(self, start: int, rows: int) -> Summary:
        """Return the summary of some rows."""
        return Summary(
            None if self.classes is None else self.classes[start : start + rows],
            None if self.scores is None else self.scores[start : start + rows],
        )


def summary_of(predictions: pa.Table) -> Summary:
    """Return predictions in short.

    Of two classes the number is the probability of the second, of more that of the likeliest.
    Without probabilities it is the first output of numbers.
    """
    names = predictions.column_names
    if PROBABILITIES in names and PREDICTION in names:
        labels = [str(label) for label in predictions.column(PREDICTION).to_pylist()]
        matrix = _matrix(predictions.column(PROBABILITIES), predictions.num_rows)
        return Summary(labels, None if matrix is None else _score(matrix))
    for name in names:
        matrix = _matrix(predictions.column(name), predictions.num_rows)
        if matrix is None:
            continue
        if matrix.shape[1] > 1:
            return Summary([str(place) for place in matrix.argmax(axis=1)], _score(matrix))
        return Summary(None, matrix[:, 0])
    texts = predictions.column(names[0]).to_pylist() if names else []
    return Summary([str(text) for text in texts], None)


def _score(matrix: Any) -> Any:
    return matrix[:, 1] if matrix.shape[1] == 2 else matrix.max(axis=1)


def _matrix(column: Any, rows: int) -> Any:
    """Return a column as numbers of shape (rows, values); None for what has others."""
    kind = column.type
    while is_list(kind):
        if not pa.types.is_fixed_size_list(kind):
            return None
        kind = kind.value_type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)) or column.null_count:
        return None
    chunks = column.chunks
    while chunks and is_list(chunks[0].type):
        chunks = [chunk.flatten() for chunk in chunks]
    parts = [chunk.to_numpy(zero_copy_only=False) for chunk in chunks] or [np.empty(0)]
    flat = np.concatenate(parts).astype(np.float64)
    return flat.reshape(rows, -1) if len(flat) else np.empty((rows, 1))


def counted(summary: Summary, rows: int) -> Answers:
    """Return what a summary says of predictions."""
    scores: dict[int, int] = {}
    not_finite = 0
    if summary.scores is not None:
        finite = np.isfinite(summary.scores)
        not_finite = int(len(finite) - finite.sum())
        scores = sketch_of(summary.scores[finite])
    classes: dict[str, int] = {}
    for label in summary.classes or ():
        known = label if label in classes or len(classes) < _MOST_CLASSES else _OTHERS
        classes[known] = classes.get(known, 0) + 1
    return Answers(rows=rows, scores=scores, classes=classes, not_finite=not_finite)


def compared(shadow: Summary, production: Summary, rows: int) -> Comparison:
    """Return how alike two models' predictions for the same rows are."""
    alike = np.ones(rows, bool)
    differences: dict[int, int] = {}
    if shadow.classes is not None and production.classes is not None:
        alike &= np.array(shadow.classes, object) == np.array(production.classes, object)
    elif (shadow.classes is None) != (production.classes is None):
        alike[:] = False
    if shadow.scores is not None and production.scores is not None:
        apart = np.abs(shadow.scores - production.scores)
        finite = np.isfinite(apart)
        differences = sketch_of(apart[finite])
        if shadow.classes is None:
            alike &= finite & (apart <= _NEARLY * np.abs(production.scores) + 1e-12)
    elif (shadow.scores is None) != (production.scores is None):
        alike[:] = False
    return Comparison(rows=rows, agreeing=int(alike.sum()), differences=differences)


@dataclass
class Counts:
    """What was counted for the latest routes, by their number and the role of the model there."""

    answers: dict[tuple[int, int], Answers] = field(default_factory=dict)
    comparisons: dict[int, Comparison] = field(default_factory=dict)

    def add(self, epoch: int, role: int, answers: Answers) -> None:
        """Count predictions."""
        known = self.answers.get((epoch, role))
        self.answers[epoch, role] = answers if known is None else sum_of([known, answers])
        self._forget()

    def add_comparison(self, epoch: int, comparison: Comparison) -> None:
        """Count what was compared."""
        known = self.comparisons.get(epoch)
        self.comparisons[epoch] = comparison if known is None else sum_of([known, comparison])

    def _forget(self) -> None:
        newest = max(epoch for epoch, _ in self.answers)
        for epoch, role in list(self.answers):
            if epoch <= newest - _KEPT:
                del self.answers[epoch, role]
                self.comparisons.pop(epoch, None)

    def packed(self, cpu_seconds: float, memory_bytes: int) -> bytes:
        """Return the counts as the content of a frame."""
        from penstock.serving.evidence import as_json

        return json.dumps(
            {
                "cpu_seconds": cpu_seconds,
                "memory_bytes": memory_bytes,
                "answers": [[*key, as_json(answers)] for key, answers in self.answers.items()],
                "compared": [[epoch, as_json(c)] for epoch, c in self.comparisons.items()],
            }
        ).encode()
