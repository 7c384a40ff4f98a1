"""Features: described once, fitted to training data, kept as JSON, the same in serving."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import DataError, PipelineError
from penstock.models import features
from penstock.models.transforming.fitted import FEATURES_FILE, read_features, save_features


def fit(function, rows):
    return features(function).fit(rows)


def values(function, rows, name="f", training=None):
    return fit(function, training or rows).transform(rows).column(name).to_pylist()


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda c: c.x + 1, [2.0, 3.0, None, 5.0]),
        (lambda c: 10 - c.x, [9.0, 8.0, None, 6.0]),
        (lambda c: c.x / 0, [None] * 4),
        (lambda c: c.x // 2, [0.0, 1.0, None, 2.0]),
        (lambda c: -c.x % 3, [2.0, 1.0, None, 2.0]),
        (lambda c: c.x > 1, [False, True, None, True]),
        (lambda c: (c.x == 1) | (c.t == "b"), [True, True, True, None]),
        (lambda c: (c.x >= 2) & ~(c.t == "b"), [False, False, False, None]),
        (lambda c: c.x.log1p().exp(), [2.0, 3.0, None, 5.0]),
        (lambda c: (c.x - 2).log(), [None, None, None, math.log(2)]),
        (lambda c: c.x.clipped(1.5, 3), [1.5, 2.0, None, 3.0]),
        (lambda c: c.x.is_missing(), [False, False, True, False]),
        (lambda c: c.x.filled(0), [1.0, 2.0, 0.0, 4.0]),
        (lambda c: (c.x > 1).where(c.x, 0), [0.0, 2.0, None, 4.0]),
        (lambda c: c.x.is_in([1, 4]), [True, False, None, True]),
        (lambda c: c.t.lower().joined(c.x.text(), "-"), ["a-1", "b-2", None, None]),
        (lambda c: c.t.is_in(["A"]), [True, False, False, None]),
        (lambda c: c.x.filled_with_mean(), [1.0, 2.0, 7 / 3, 4.0]),
        (lambda c: c.x.filled_with_median(), [1.0, 2.0, 2.0, 4.0]),
        (lambda c: c.x.scaled(), [0.0, 1 / 3, None, 1.0]),
        (lambda c: c.t.indexed(), [1, 0, 0, None]),
        (lambda c: c.t.indexed(top=1), [-1, 0, 0, None]),
        (lambda c: c.t.indexed(min_count=2), [-1, 0, 0, None]),
        (lambda c: c.x.bucketized(2), [0, 1, None, 1]),
    ],
)
def test_operations(function, expected):
    rows = {"x": pa.array([1, 2, None, 4]), "t": pa.array(["A", "b", "b", None])}
    got = values(lambda c: {"f": function(c)}, rows)
    assert (
        got == pytest.approx(expected, nan_ok=False)
        if isinstance(got[0], float)
        else (got == expected)
    )


def test_standardized_has_mean_0_and_deviation_1():
    numbers = np.random.default_rng(0).normal(5, 3, 1000)
    got = np.array(values(lambda c: {"f": c.x.standardized()}, {"x": numbers}))
    assert got.mean() == pytest.approx(0, abs=1e-12)
    assert got.std() == pytest.approx(1)


@pytest.mark.parametrize("number", [3.0, 699051.0052221504, 1e-9, 0.0])
def test_a_column_of_one_value_is_standardized_to_0(number):
    got = values(lambda c: {"f": c.x.standardized()}, {"x": [number] * 3})
    assert got == pytest.approx([0.0] * 3, abs=1e-9)


def test_one_hot_makes_a_column_for_each_value_of_the_vocabulary():
    rows = {"t": ["a", "b", "b", "c"]}
    fitted = fit(lambda c: {"t": c.t.one_hot(top=2)}, rows)
    assert fitted.outputs == ("t_0", "t_1")
    assert fitted.transform({"t": ["b", "a", "zebra", None]}).to_pydict() == {
        "t_0": [1.0, 0.0, 0.0, 0.0],
        "t_1": [0.0, 1.0, 0.0, 0.0],
    }


def test_statistics_build_on_statistics():
    rows = {"x": [1.0, 2.0, None, 3.0]}
    got = values(lambda c: {"f": c.x.filled_with_mean().standardized().scaled()}, rows)
    assert got == pytest.approx([0.0, 0.5, 0.5, 1.0])


def test_what_is_learned_is_of_the_training_data():
    got = values(lambda c: {"f": c.x.scaled()}, {"x": [20.0]}, training={"x": [0.0, 10.0]})
    assert got == [2.0]


class Batches:
    def __init__(self, *tables):
        self.tables, self.passes = tables, 0

    def batches(self):
        self.passes += 1
        yield from self.tables


# Numbers that are told apart by more than what adding them up in another order changes.
numbers_apart = st.integers(-8_000_000, 8_000_000).map(lambda n: n / 8)


@given(st.lists(st.none() | numbers_apart, min_size=3, max_size=30), st.integers(1, 29))
def test_batches_come_to_the_same_as_the_whole(numbers, at):
    whole = pa.table({"x": pa.array(numbers, pa.float64())})

    def described(c):
        return {
            "a": c.x.standardized(),
            "b": c.x.scaled(),
            "c": c.x.bucketized(3),
            "d": c.x.filled_with_median(),
            "e": c.x.indexed(),
        }

    parts = Batches(whole.slice(0, at), whole.slice(at))
    one, other = fit(described, whole).transform(whole), fit(described, parts).transform(whole)
    for name in one.schema.names:
        expected = one.column(name).to_numpy().astype(float)
        given = other.column(name).to_numpy().astype(float)
        np.testing.assert_allclose(given, expected, rtol=1e-6, atol=1e-6)


def test_a_pass_over_the_data_serves_all_statistics_that_wait_for_none():
    data = Batches(pa.table({"x": [1.0, 2.0], "y": [1.0, 2.0]}))
    fit(lambda c: {"a": c.x.standardized(), "b": c.y.scaled().standardized()}, data)
    assert data.passes == 2


def test_features_survive_their_file(tmp_path, fitted, people):
    save_features(fitted, str(tmp_path))
    again = read_features(str(tmp_path))
    assert again.inputs == fitted.inputs
    assert again.transform(people).equals(fitted.transform(people))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"format": 2, "features": {}}',
        '{"format": 1, "features": {"a": {"operation": "system"}}}',
    ],
)
def test_a_file_that_holds_no_features_is_an_error(tmp_path, content):
    (tmp_path / FEATURES_FILE).write_text(content)
    with pytest.raises(DataError) as caught:
        read_features(str(tmp_path))
    assert "expected features as Penstock writes them" in str(caught.value)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda c: {"f": 1 if c.x > 3 else 2}, "Write condition.where(a, b) in the place of if"),
        (lambda c: {"f": c.x and c.y}, "& | ~ for and, or, not"),
        (lambda c: {"f": sum(c.x)}, "a column has no values while features are described"),
        (lambda c: {"f": len(c.x)}, "a column has no length"),
        (lambda c: {"f": math.sqrt(c.x)}, "a column has no number"),
        (lambda _: {"f": 3}, "the feature 'f' of <lambda> should be made of columns, and is 3"),
        (lambda _: {}, "should return a dict of features by name"),
        (lambda c: {"f": c.x.one_hot() + 1}, "one_hot makes several columns"),
        (lambda c: {"f": c.x + object()}, "a feature is made of columns, numbers and texts"),
    ],
)
def test_a_column_never_stands_for_a_value(function, expected):
    with pytest.raises(PipelineError) as caught:
        features(function).fit({"x": [1]})
    assert expected in str(caught.value)


def test_an_unknown_operation_is_answered_with_the_nearest():
    with pytest.raises(AttributeError) as caught:
        features(lambda c: {"f": c.x.standardised()}).fit({"x": [1]})
    assert "Did you mean 'standardized'?" in str(caught.value)


def test_a_column_that_the_rows_lack_is_named(fitted):
    with pytest.raises(DataError) as caught:
        fitted.transform({"ages": [1]})
    assert "features are made of a column 'age', which the rows have not" in str(caught.value)


def test_a_text_where_a_number_should_be_is_named():
    with pytest.raises(DataError) as caught:
        fit(lambda c: {"f": c.t.standardized()}, {"t": ["a"]})
    assert "expected a column of numbers, got one of texts (column t)" in str(caught.value)
