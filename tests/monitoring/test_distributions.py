"""Columns of two tables in the same bins."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.monitoring.distributions import (
    MISSING,
    NEW,
    OTHERS,
    binned,
    independent_rows,
    told_apart,
)

pytestmark = pytest.mark.core

VALUES = st.one_of(
    st.lists(st.one_of(st.none(), st.floats())).map(lambda v: pa.array(v, pa.float64())),
    st.lists(st.one_of(st.none(), st.integers(-(2**53), 2**53))).map(
        lambda v: pa.array(v, pa.int64())
    ),
    st.lists(st.one_of(st.none(), st.text())).map(lambda v: pa.array(v, pa.string())),
    st.lists(st.one_of(st.none(), st.binary())).map(lambda v: pa.array(v, pa.large_binary())),
    st.lists(st.one_of(st.none(), st.lists(st.floats()))).map(
        lambda v: pa.array(v, pa.list_(pa.float64()))
    ),
    st.lists(st.one_of(st.none(), st.booleans())).map(lambda v: pa.array(v, pa.bool_())),
)


@given(VALUES, VALUES)
def test_every_value_is_in_a_bin_whatever_the_columns(one, other):
    counts = binned(one, other)
    assert counts.counts.sum() == len(counts.bin_of)
    assert len(counts.names) == len(counts.counts) == len(counts.reference)
    if not pa.types.is_list(one.type):
        assert counts.counts.sum() == len(one)


def test_numbers_are_in_about_equal_parts_of_what_they_are_compared_with():
    reference = pa.array(np.arange(1000.0))
    counts = binned(pa.array([0.0, 999.0, 5000.0, None]), reference)
    assert list(counts.reference[:-1]) == [100] * 10
    assert counts.counts[0] == 1
    assert counts.counts[9] == 2
    assert counts.counts[-1] == 1
    assert counts.names[-1] == MISSING


def test_a_number_that_is_always_the_same_has_a_bin():
    counts = binned(pa.array([3.0, 4.0]), pa.array([3.0] * 50))
    assert counts.reference.sum() == 50
    assert counts.is_of_numbers


def test_a_number_that_is_mostly_the_same_is_told_from_the_others():
    counts = binned(pa.array([0] * 5 + [7] * 5), pa.array([0] * 90 + list(range(1, 11))))
    assert counts.counts.max() < 10


def test_texts_are_the_most_frequent_ones_the_others_and_new_ones():
    reference = pa.array([f"common-{n % 50:02}" for n in range(500)] + ["rare"])
    counts = binned(pa.array(["common-00", "rare", "unheard", None]), reference)
    by_name = dict(zip(counts.names, counts.counts, strict=True))
    assert by_name["common-00"] == by_name[OTHERS] == by_name[NEW] == by_name[MISSING] == 1


def test_new_values_are_tested_together_with_rare_ones():
    reference = pa.array([f"value-{n}" for n in range(400)])
    counts = binned(pa.array([f"value-{n}" for n in range(200, 600)]), reference)
    one, other = told_apart(counts)
    assert len(one) == len(other) < len(counts.names)
    assert one.sum() == 400


def test_bytes_and_texts_are_the_same_values():
    counts = binned(pa.array([b"JFK"]), pa.array(["JFK", "LGA"]))
    assert counts.counts[counts.names.index("JFK")] == 1


def test_lists_are_compared_value_by_value_and_empty_ones_are_missing():
    column = pa.array([["a", "b"], [], None, ["a"]], pa.list_(pa.string()))
    counts = binned(column, column)
    by_name = dict(zip(counts.names, counts.counts, strict=True))
    assert (by_name["a"], by_name["b"], by_name[MISSING]) == (2, 1, 2)


def test_rows_of_an_hour_that_are_alike_count_as_few():
    hours = np.repeat(np.arange(20), 50)
    alike = pa.array(np.repeat(np.random.default_rng(3).normal(size=20), 50))
    counts = binned(alike, pa.array(np.random.default_rng(4).normal(size=1000)))
    assert independent_rows(counts, hours) < 60


def test_rows_that_have_nothing_to_do_with_their_hour_count_as_they_are():
    random = np.random.default_rng(5)
    counts = binned(pa.array(random.normal(size=1000)), pa.array(random.normal(size=1000)))
    assert independent_rows(counts, np.repeat(np.arange(20), 50)) > 700
