"""Writing and reading tf.Examples and their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from penstock.data import parquet, splits
from penstock.data.coding import decoding, examples
from penstock.data.records import TFRecordWriter, frame_records, read_serialized_batches


def test_examples_are_encoded(
    measure: Callable[..., Any], batch: pa.RecordBatch, rows: int
) -> None:
    assert len(measure(examples.encode, batch)) == rows


def test_records_are_distributed_over_splits(
    measure: Callable[..., Any], records: list[bytes], rows: int
) -> None:
    assert sum(map(len, measure(splits.partition, records, records, [2, 3]))) == rows


def test_records_are_framed(measure: Callable[..., Any], records: list[bytes], rows: int) -> None:
    assert len(measure(frame_records, records)) == sum(map(len, records)) + 16 * rows


def test_tfrecords_are_written(
    measure: Callable[..., Any], records: list[bytes], rows: int, tmp_path: Path
) -> None:
    def write() -> int:
        with TFRecordWriter(tmp_path / "data_tfrecord.gz") as writer:
            writer.write_many(records)
        return writer.count

    assert measure(write) == rows


def test_tfrecords_are_read(measure: Callable[..., Any], tfrecord_file: str, rows: int) -> None:
    def read() -> int:
        return sum(map(len, read_serialized_batches(tfrecord_file)))

    assert measure(read) == rows


def test_examples_are_decoded_to_arrow(
    measure: Callable[..., Any], records: list[bytes], rows: int
) -> None:
    assert measure(decoding.decode_alike, decoding.buffered(records)).num_rows == rows


def test_parquet_is_read_as_feature_lists(
    measure: Callable[..., Any], parquet_file: str, rows: int
) -> None:
    def read() -> int:
        batches = parquet.read_example_batches(parquet_file, batch_rows=10_000)
        return sum(batch.num_rows for batch in batches)

    assert measure(read) == rows
