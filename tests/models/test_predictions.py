"""Tables of predictions: which label belongs to which probability."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from penstock.errors import DataError
from penstock.models import classification, regression
from penstock.models.predictions import class_labels, classes_of, matrix_of


@pytest.mark.parametrize(
    ("own", "given", "labels"),
    [
        (["no", "yes"], None, ("no", "yes")),
        (np.array(["no", "yes"]), ("yes", "no"), ("no", "yes")),
        ([0, 1], ("no", "yes"), ("no", "yes")),
        (np.array([0, 2]), ("a", "b", "c"), ("a", "c")),
        ([1, 0], (0, 1), (1, 0)),
        ([0.0, 1.0], ("no", "yes"), ("no", "yes")),
        ([False, True], ("no", "yes"), ("no", "yes")),
    ],
)
def test_labels_stand_in_the_order_of_the_probabilities(own, given, labels):
    assert class_labels(own, given) == labels


@pytest.mark.parametrize("own", [["no", "maybe"], [0, 5], ["0", "1"]])
def test_classes_that_are_not_those_of_the_model_are_an_error(own):
    with pytest.raises(DataError) as caught:
        class_labels(own, ("no", "yes"))
    assert "the model tells the classes" in str(caught.value)
    assert "was given the classes 'no', 'yes'" in str(caught.value)


def test_the_likeliest_class_is_predicted():
    table = classification([[0.2, 0.8], [0.6, 0.4]], ["no", "yes"])
    assert table["prediction"].to_pylist() == ["yes", "no"]
    assert classes_of(table) == ("no", "yes")


def test_one_probability_is_that_of_the_second_class():
    table = classification(np.array([0.9]), [0, 1])
    assert table["probabilities"].to_pylist() == [pytest.approx([0.1, 0.9])]


def test_as_many_probabilities_as_classes_are_expected():
    with pytest.raises(DataError) as caught:
        classification([[0.1, 0.2, 0.7]], ["no", "yes"])
    assert "a classifier of 2 classes should give as many probabilities a row, and gives 3" in str(
        caught.value
    )


def test_no_rows_have_no_predictions():
    assert classification(np.empty((0, 2)), ["a", "b"]).num_rows == 0
    assert regression([]).num_rows == 0


def test_several_numbers_a_row_are_lists():
    assert regression([[1, 2], [3, 4]])["prediction"].to_pylist() == [[1.0, 2.0], [3.0, 4.0]]


def test_a_text_is_no_number_of_a_matrix():
    with pytest.raises(DataError) as caught:
        matrix_of(pa.table({"a": ["x"]}), ["a"])
    assert "the model takes numbers, and column 'a' is string" in str(caught.value)
