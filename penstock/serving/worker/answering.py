"""Answers to questions that came together: one call of the model, and each one's own errors."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from penstock.errors import DataError, PenstockError
from penstock.models.loading import Model
from penstock.serving.frames import Answer, Question
from penstock.serving.protocols import VERBS
from penstock.serving.protocols.form import (
    Asked,
    Predicted,
    Served,
    part,
    predicted,
    written,
)
from penstock.serving.worker.counting import Counts, Summary, compared, counted, summary_of

_BAD_REQUEST = 400
_TOO_MANY_ROWS = 413
_FAILED = 500
_TOO_LATE = 504


@dataclass(frozen=True)
class Answering:
    """A model, and how many rows one request may have."""

    model: Model
    served: Served
    most_rows: int
    counts: Counts

    def answers(self, questions: Sequence[Question]) -> list[Answer]:
        """Return the answers to questions, in their order; a bad one spoils no other."""
        answers: dict[int, Answer] = {}
        asked: dict[int, Asked] = {}
        now = time.monotonic()
        for place, question in enumerate(questions):
            if question.deadline and question.deadline < now:
                answers[place] = error_answer(_TOO_LATE, "the time for this request is over")
                continue
            try:
                read = VERBS[question.verb].read(question.body, question.head, self.served)
            except DataError as error:
                answers[place] = error_answer(_BAD_REQUEST, str(error))
                continue
            except RecursionError:
                answers[place] = error_answer(_BAD_REQUEST, "the body is nested too deeply")
                continue
            except Exception as error:  # the others' answers, and the process, do not depend on it
                said = f"the body could not be read: {_in_short(error)}"
                answers[place] = error_answer(_BAD_REQUEST, said)
                continue
            if not read.rows or not read.columns:
                answers[place] = error_answer(_BAD_REQUEST, "expected rows with columns, got none")
                continue
            if read.rows > self.most_rows:
                answers[place] = error_answer(
                    _TOO_MANY_ROWS,
                    f"a request may have {self.most_rows} rows, and this one has {read.rows}",
                )
                continue
            asked[place] = read
        answers.update(self._predicted(questions, asked))
        return [answers[place] for place in range(len(questions))]

    def _predicted(
        self, questions: Sequence[Question], asked: Mapping[int, Asked]
    ) -> dict[int, Answer]:
        together = self._merged(list(asked.values())) if len(asked) > 1 else None
        if together is not None:
            try:
                predictions = self.model.predict(together)
                if predictions.num_rows == together.num_rows:
                    return self._written(questions, asked, predictions)
            except Exception:  # whose row it was is seen when each is asked about alone
                pass
        answers = {}
        for place, one in asked.items():
            answers.update(self._alone(questions, place, one))
        return answers

    def _alone(self, questions: Sequence[Question], place: int, one: Asked) -> dict[int, Answer]:
        try:
            predictions = self.model.predict(_whole(one))
        except DataError as error:
            return {place: error_answer(_BAD_REQUEST, str(error))}
        except Exception as error:  # whatever a framework raises
            return {place: error_answer(_FAILED, f"the model failed: {_in_short(error)}")}
        if predictions.num_rows != one.rows:
            said = f"the model gave {predictions.num_rows} predictions for {one.rows} rows"
            return {place: error_answer(_FAILED, said)}
        try:
            return self._written(questions, {place: one}, predictions)
        except Exception as error:  # a model may predict what no form can write
            said = f"the model's predictions cannot be written: {_in_short(error)}"
            return {place: error_answer(_FAILED, said)}

    def _merged(self, several: list[Asked]) -> pa.Table | None:
        """Return the rows of several requests as one table; None where that is not sure."""
        names = [
            c.name for c in self.served.inputs if any(c.name in one.columns for one in several)
        ]
        if not names:
            return None
        columns = {}
        for name in names:
            values: list[Any] = []
            for one in several:
                values += one.columns.get(name) or [None] * one.rows
            columns[name] = values
        try:
            return pa.table({name: pa.array(values) for name, values in columns.items()})
        except (pa.ArrowException, OverflowError, ValueError, TypeError):
            return None

    def _written(
        self, questions: Sequence[Question], asked: Mapping[int, Asked], predictions: pa.Table
    ) -> dict[int, Answer]:
        whole = predicted(predictions, self.served.signature)
        summary = summary_of(predictions)
        answers, start = {}, 0
        counted_rows: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for place, one in asked.items():
            question = questions[place]
            own = summary.part(start, one.rows)
            answers[place] = self._answer(question, one, part(whole, start, one.rows), own)
            if question.epoch and answers[place].status < _BAD_REQUEST:
                counted_rows.setdefault((question.epoch, question.role), []).append(
                    (start, one.rows)
                )
                if question.compared:
                    other = Summary.unpacked(question.compared)
                    self.counts.add_comparison(question.epoch, compared(own, other, one.rows))
            start += one.rows
        for (epoch, role), pieces in counted_rows.items():
            if len(pieces) == len(asked):
                self.counts.add(epoch, role, counted(summary, start))
            else:
                for first, rows in pieces:
                    self.counts.add(epoch, role, counted(summary.part(first, rows), rows))
        return answers

    def _answer(
        self, question: Question, one: Asked, predictions: Predicted, summary: Summary
    ) -> Answer:
        try:
            body, head = VERBS[question.verb].write(predictions, one, self.served)
        except DataError as error:
            return error_answer(_BAD_REQUEST, str(error))
        kept = summary.packed() if question.summarized else b""
        return Answer(200, body, rows=one.rows, head=head, summary=kept)


def error_answer(status: int, message: str) -> Answer:
    """Return the answer that says what is wrong."""
    return Answer(status, written({"error": message}))


def _whole(one: Asked) -> Any:
    return {name: list(values) for name, values in one.columns.items()}


def _in_short(error: Exception) -> str:
    if isinstance(error, PenstockError):
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
