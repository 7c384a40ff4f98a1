"""A sample of rows that go by."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from penstock.monitoring.sampling import sampled

pytestmark = pytest.mark.core


def batches(rows, size=1000):
    for start in range(0, rows, size):
        stop = min(start + size, rows)
        yield pa.RecordBatch.from_arrays([pa.array(range(start, stop))], ["number"])


def test_few_rows_are_all_kept_in_their_order():
    table, total = sampled(batches(500, 100), 1000)
    assert table.column("number").to_pylist() == list(range(500))
    assert total == 500


def test_of_many_rows_so_many_are_kept():
    table, total = sampled(batches(50_000), 700)
    assert (table.num_rows, total) == (700, 50_000)


def test_each_row_is_as_likely_as_any_other():
    table, _ = sampled(batches(100_000), 10_000)
    counts = np.histogram(table.column("number").to_numpy(), 10, (0, 100_000))[0]
    assert counts.min() > 850
    assert counts.max() < 1150


def test_the_same_rows_are_kept_each_time():
    first, second = (sampled(batches(20_000), 300)[0] for _ in range(2))
    assert first.equals(second)


def test_rows_without_a_column_that_others_have_have_no_value_there():
    one = pa.RecordBatch.from_arrays([pa.array([1])], ["a"])
    other = pa.RecordBatch.from_arrays([pa.array([2]), pa.array(["x"])], ["a", "b"])
    table, _ = sampled([one, other], 10)
    assert table.column("b").to_pylist() == [None, "x"]


def test_without_rows_there_is_an_empty_table():
    table, total = sampled([], 10)
    assert (table.num_rows, total) == (0, 0)
