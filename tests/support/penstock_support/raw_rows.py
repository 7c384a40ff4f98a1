"""Rows as a user has them, in files of each kind, and what a model predicts for these."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from penstock.data.records import read_serialized, record_files
from penstock.data.splits import split_directory, split_files
from penstock.models.row_files import KINDS, predictions_of_file
from penstock.models.training_data import TrainingData


def rows_of_split(examples: Any, split: str) -> pa.Table:
    """Return the rows of a split of examples, before any transformation."""
    return TrainingData(tuple(split_files(examples, split))).as_arrow()


def records_of_split(examples: Any, split: str) -> list[bytes]:
    """Return the serialized examples of a split."""
    return list(read_serialized(record_files(split_directory(examples.uri, split))))


def write_rows(rows: pa.Table, path: Path) -> None:
    """Write rows as people do, by the file's suffix."""
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(rows, path)
    elif path.suffix == ".parquet":
        pyarrow.parquet.write_table(rows, path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows.to_pylist()))


def predictions_by_kind(model: Any, rows: pa.Table, folder: Path) -> dict[str, pa.Table]:
    """Return the predictions for rows by the kind of the file that they were read from."""
    predictions = {}
    for kind in KINDS:
        path = folder / f"rows.{kind}"
        write_rows(rows, path)
        parts = [part for _, part in predictions_of_file(model, str(path))]
        predictions[kind] = pa.concat_tables(parts)
    return predictions
