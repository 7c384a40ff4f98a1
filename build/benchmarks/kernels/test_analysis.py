"""What components count and sum of batches that were read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from penstock.components.evaluator.sums import Sums
from penstock.components.statistics_gen.in_process import statistics_of_batches
from penstock.components.statistics_gen.options import statistics_options
from penstock.components.transform.vocabularies import FrequencyCount
from penstock.data.coding import examples

GROUPS, CELLS, COLUMNS = 1000, 100, 4


def test_statistics_of_batches_are_computed(
    measure: Callable[..., Any], batch: pa.RecordBatch, rows: int
) -> None:
    lists = [
        examples.to_feature_lists(part)
        for part in pa.Table.from_batches([batch]).to_batches(max_chunksize=10_000)
    ]
    statistics = measure(statistics_of_batches, lists, statistics_options())
    assert statistics.datasets[0].num_examples == rows


def test_sums_by_group_and_cell_are_added(measure: Callable[..., Any], rows: int) -> None:
    random = np.random.default_rng(1)
    groups, cells = random.integers(GROUPS, size=rows), random.integers(CELLS, size=rows)
    values = random.random((rows, COLUMNS))

    def add() -> np.ndarray:
        sums = Sums(CELLS, COLUMNS)
        sums.add(groups, cells, values)
        return sums.tables(0, GROUPS)

    assert np.isclose(measure(add).sum(), values.sum())


def test_tokens_of_a_vocabulary_are_counted(
    measure: Callable[..., Any], batch: pa.RecordBatch, rows: int
) -> None:
    companies = batch.column("company").fill_null("").cast(pa.binary())
    tokens = np.array(companies.to_pylist(), object)

    def count() -> int:
        counted = FrequencyCount(is_text=True, weighted=False)
        counted.add([tokens])
        return int(counted.result().values.sum())

    assert measure(count) == rows
