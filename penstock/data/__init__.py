"""Records on disk and in Arrow: TFRecord, tf.Example, Parquet, CSV, splits and spans.

These names are for components and scripts; they are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.data.csv import infer_columns, read_csv
    from penstock.data.csv_options import CsvOptions
    from penstock.data.data_files import record_files
    from penstock.data.payload import PayloadFormat
    from penstock.data.records import TFRecordWriter, read_record_batches, read_serialized
    from penstock.data.spans import RangeConfig
    from penstock.data.splits import (
        InputConfig,
        OutputConfig,
        encode_split_names,
        split_directory,
        split_names,
    )

_HOMES = {
    "CsvOptions": "csv_options",
    "InputConfig": "splits",
    "OutputConfig": "splits",
    "PayloadFormat": "payload",
    "RangeConfig": "spans",
    "TFRecordWriter": "records",
    "encode_split_names": "splits",
    "infer_columns": "csv",
    "read_csv": "csv",
    "read_record_batches": "records",
    "read_serialized": "records",
    "record_files": "data_files",
    "split_directory": "splits",
    "split_names": "splits",
}

__all__ = [
    "CsvOptions",
    "InputConfig",
    "OutputConfig",
    "PayloadFormat",
    "RangeConfig",
    "TFRecordWriter",
    "encode_split_names",
    "infer_columns",
    "read_csv",
    "read_record_batches",
    "read_serialized",
    "record_files",
    "split_directory",
    "split_names",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'penstock.data' has no attribute {name!r}")
    return getattr(importlib.import_module(f"penstock.data.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
