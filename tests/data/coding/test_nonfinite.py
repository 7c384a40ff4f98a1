"""Features that are not numbers are named with their rows."""

import math

import pyarrow as pa
import pytest

from penstock.data.coding.examples import to_feature_lists
from penstock.data.coding.nonfinite import NonFinite

pytestmark = pytest.mark.core


def described(*batches):
    found = NonFinite()
    for columns in batches:
        arrays = [pa.array(column) for column in columns.values()]
        found.add(to_feature_lists(pa.RecordBatch.from_arrays(arrays, list(columns))))
    return found.described()


def test_rows_are_counted_over_batches_and_the_first_is_named():
    batches = [{"x": [1.0, None], "n": [1, 2]}, {"x": [2.0, math.nan], "n": [3, 4]}]
    batches.append({"x": [-math.inf, math.inf], "n": [5, 6]})
    assert described(*batches) == [
        "feature 'x' is NaN or infinite in 3 of 6 rows, the first of them row 3"
    ]


def looked_at(*columns):
    found = NonFinite()
    for values in columns:
        arrays = [pa.array(values, pa.float32())]
        found.add(to_feature_lists(pa.RecordBatch.from_arrays(arrays, ["x"])))
    return found


def test_what_two_have_looked_at_one_after_the_other_is_put_together():
    together = looked_at([1.0, 2.0])
    together.merge(looked_at([3.0], [math.nan]))
    together.merge(looked_at([math.inf]))
    assert together.described() == [
        "feature 'x' is NaN or infinite in 2 of 5 rows, the first of them row 3"
    ]


def test_a_row_with_several_values_counts_once():
    assert described({"x": [[1.0], [math.nan, math.nan], []]}) == [
        "feature 'x' is NaN or infinite in 1 of 3 rows, the first of them row 1"
    ]


def test_lists_of_lists_are_looked_into():
    found = NonFinite()
    lists = pa.array([[[1.0], [2.0]], [[3.0], [math.inf]]], pa.large_list(pa.list_(pa.float32())))
    found.add(pa.RecordBatch.from_arrays([lists], ["x"]))
    assert found.described()[0].endswith("in 1 of 2 rows, the first of them row 1")


def test_slices_are_looked_at_alone():
    found = NonFinite()
    column = pa.array([[math.nan], [1.0], [math.nan]], pa.large_list(pa.float32()))
    found.add(pa.RecordBatch.from_arrays([column], ["x"]).slice(1))
    assert found.described()[0].endswith("in 1 of 2 rows, the first of them row 1")


def test_texts_integers_and_finite_numbers_are_not_named():
    assert described({"a": ["x"], "b": [1], "c": [0.5], "d": [None]}) == []


def test_of_many_features_some_are_named():
    (*first, last) = described({f"f{number}": [math.nan] for number in range(7)})
    assert len(first) == 5
    assert last == "and 2 more features"
