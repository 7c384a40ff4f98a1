"""Predictions beside what came of them: what kind of task it is, and numbers to compute with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from penstock.errors import DataError
from penstock.serving.log.columns import CLASS, SCORE

BINARY = "binary"
CLASSES = "classes"
NUMBERS = "numbers"

_POSITIVE = ("1", "true", "True", "TRUE")
_NEGATIVE = ("0", "false", "False", "FALSE")


@dataclass(frozen=True)
class Outcomes:
    """What was predicted of rows, and what came of it, as numbers.

    Of two classes (`task` binary) `label` is 1 or 0 and `score` the probability of 1; of more,
    `label` is whether the predicted class was the true one, and `score` its probability; else both
    are the numbers that were and that were predicted. `chosen` is whether 1 was predicted.
    """

    task: str
    label: Any
    score: Any
    chosen: Any

    def finite(self, table: pa.Table) -> tuple[pa.Table, Outcomes]:
        """Return the rows whose label and score are numbers, and their outcomes."""
        is_known = np.isfinite(self.label) & np.isfinite(self.score)
        if is_known.all():
            return table, self
        parts = (each[is_known] for each in (self.label, self.score, self.chosen))
        return table.filter(pa.array(is_known)), Outcomes(self.task, *parts)


def task_of(table: pa.Table) -> str | None:
    """Return the task by what a model has predicted; None where it has predicted nothing."""
    classes = _known(table, CLASS)
    if not classes:
        return NUMBERS if _known(table, SCORE) else None
    distinct = set(classes)
    return BINARY if len(distinct) <= 2 else CLASSES


def positive_outcomes(
    values: Iterable[str], classes: Sequence[str], positive: str = ""
) -> tuple[str, ...]:
    """Return the texts of the outcome that the scores of a binary task are the probability of.

    `values` are outcomes and predictions that were seen, `classes` the model's, in the order of its
    probabilities, if they are known; `positive` is what somebody says.

    Raises:
      DataError: it is not known.
    """
    if positive:
        return (positive,)
    if len(classes) == 2:
        second = str(classes[1])
        return _POSITIVE if second in _POSITIVE else (second,)
    seen = set(values)
    if seen <= {*_POSITIVE, *_NEGATIVE}:
        return _POSITIVE
    raise DataError(
        "it is not known of which outcome the score is the probability: there are "
        f"{', '.join(map(repr, sorted(seen)[:5]))}",
        hint='Name it: positive = "..." of the monitor\'s labels.',
    )


def chosen_of(table: pa.Table, task: str, positive: Sequence[str]) -> Any:
    """Return for each row whether a positive outcome was predicted."""
    if task != BINARY:
        return np.zeros(table.num_rows, bool)
    return np.array([str(value) in positive for value in table.column(CLASS).to_pylist()], bool)


def outcomes_of(table: pa.Table, labels: Any, task: str, positive: Sequence[str]) -> Outcomes:
    """Return the outcomes of rows that all have a label, which are texts.

    Raises:
      DataError: a label is no number where it should be one.
    """
    texts = labels.to_pylist()
    score = _numbers(table, SCORE)
    chosen = chosen_of(table, task, positive)
    if task == NUMBERS:
        return Outcomes(task, _as_numbers(texts), score, chosen)
    if task == CLASSES:
        predicted = [str(value) for value in table.column(CLASS).to_pylist()]
        right = np.array([_same(one, other) for one, other in zip(predicted, texts, strict=True)])
        return Outcomes(task, right.astype(float), score, right)
    label = np.array([text in positive for text in texts], float)
    return Outcomes(task, label, score, chosen)


def _same(one: str, other: str) -> bool:
    return one == other or (one in _POSITIVE and other in _POSITIVE)


def _as_numbers(texts: Sequence[str]) -> Any:
    try:
        return np.array([float(text) for text in texts])
    except ValueError as error:
        raise DataError(f"expected labels that are numbers: {error}") from None


def _known(table: pa.Table, name: str) -> list[Any]:
    return table.column(name).drop_null().to_pylist() if name in table.column_names else []


def _numbers(table: pa.Table, name: str) -> Any:
    column = table.column(name).cast(pa.float64()) if name in table.column_names else None
    if column is None:
        return np.full(table.num_rows, np.nan)
    return column.to_numpy()
