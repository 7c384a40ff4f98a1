"""Predictions beside what came of them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from penstock.errors import DataError
from penstock.monitoring.outcomes import (
    BINARY,
    CLASSES,
    NUMBERS,
    chosen_of,
    outcomes_of,
    positive_outcomes,
    task_of,
)

pytestmark = pytest.mark.core


def predicted(classes=None, scores=None):
    rows = len(classes or scores)
    return pa.table(
        {
            "log/class": pa.array(classes or [None] * rows, pa.string()),
            "log/score": pa.array(scores or [None] * rows, pa.float64()),
        }
    )


@pytest.mark.parametrize(
    ("table", "task"),
    [
        (predicted(["a", "b", "a"], [0.1, 0.9, 0.2]), BINARY),
        (predicted(["a", "b", "c"], [0.1, 0.9, 0.2]), CLASSES),
        (predicted(scores=[3.5, 7.0]), NUMBERS),
        (pa.table({"log/class": pa.array([None], pa.string())}), None),
        (pa.table({"age": [1]}), None),
    ],
)
def test_the_task_is_what_the_predictions_are_of(table, task):
    assert task_of(table) == task


def test_of_two_classes_a_label_is_whether_it_is_the_positive_one():
    table = predicted(["on time", "late"], [0.1, 0.9])
    found = outcomes_of(table, pa.array(["late", "late"]), BINARY, ("late",))
    assert (list(found.label), list(found.chosen)) == ([1, 1], [False, True])


def test_of_more_classes_a_label_is_whether_the_prediction_was_right():
    table = predicted(["a", "b", "c"], [0.5, 0.6, 0.7])
    found = outcomes_of(table, pa.array(["a", "c", "c"]), CLASSES, ())
    assert list(found.label) == [1, 0, 1]


def test_numbers_are_compared_as_numbers():
    found = outcomes_of(predicted(scores=[1.5]), pa.array(["2.5"]), NUMBERS, ())
    assert (list(found.label), list(found.score)) == ([2.5], [1.5])


def test_a_label_that_should_be_a_number_is_said():
    with pytest.raises(DataError, match="expected labels that are numbers"):
        outcomes_of(predicted(scores=[1.5]), pa.array(["late"]), NUMBERS, ())


def test_ones_and_truths_are_positive():
    assert "1" in positive_outcomes({"0", "1"}, ())
    assert "True" in positive_outcomes({"False", "True"}, ())


def test_the_second_class_of_the_model_is_positive():
    assert positive_outcomes({"stays", "leaves"}, ("leaves", "stays")) == ("stays",)


def test_what_somebody_says_is_positive_comes_first():
    assert positive_outcomes({"stays", "leaves"}, ("leaves", "stays"), "leaves") == ("leaves",)


def test_which_of_two_texts_is_positive_has_to_be_said():
    with pytest.raises(DataError, match="not known of which outcome the score") as caught:
        positive_outcomes({"stays", "leaves"}, ())
    assert caught.value.hint == 'Name it: positive = "..." of the monitor\'s labels.'


def test_rows_without_labels_are_chosen_by_their_predictions():
    table = predicted(["1", "0", "1"], [0.9, 0.1, 0.8])
    assert list(chosen_of(table, BINARY, ("1",))) == [True, False, True]
