"""Reading CSV files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.data import csv
from penstock.data.csv import CsvOptions


def test_types_of_csv_columns_are_inferred(measure: Callable[..., Any], csv_file: str) -> None:
    assert len(measure(csv.infer_columns, [csv_file]).names) == 18


def test_csv_is_read_as_record_batches(
    measure: Callable[..., Any], csv_file: str, rows: int
) -> None:
    columns = csv.infer_columns([csv_file])

    def read() -> int:
        return sum(batch.num_rows for batch in csv.read_file(csv_file, columns, CsvOptions()))

    assert measure(read) == rows
