"""Parquet files to Arrow record batches, and examples written as Parquet.

Columns are numbers, booleans, text, binary, dates and times, or lists of these; how they become
features is said in `penstock.data.coding.examples.encode`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.data.coding import examples
from penstock.data.coding.columns import pruned_schema, with_schema
from penstock.data.file_columns import check_columns, located, of_types
from penstock.data.files.closing import ClosesOnExit
from penstock.errors import DataError

# Arrow's own errors, and what its Python layer makes of damaged names and sizes.
_READ_ERRORS = (pa.ArrowException, OSError, UnicodeError, OverflowError, MemoryError)


def read_file(
    path: str,
    batch_rows: int = 10_000,
    columns: Sequence[str] | None = None,
    row_groups: Sequence[int] | None = None,
    types: Mapping[str, pa.DataType] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Read one Parquet file, or some of its row groups, as record batches.

    `types`, from `file_columns.common_types`, gives the order of the columns and their types.
    """
    file = _opened(path)
    schema = _schema(file, path)
    check_columns(schema, columns, path, "Parquet")
    order = None if types is None else [name for name in types if name in schema.names]
    try:
        for batch in file.iter_batches(
            batch_size=batch_rows,
            columns=order if columns is None or types is not None else list(columns),
            row_groups=None if row_groups is None else list(row_groups),
        ):
            # A damaged file may decode to indices and offsets that point beyond their values.
            batch.validate(full=True)
            yield batch if types is None else of_types(batch, types, order or [], path)
    except _READ_ERRORS as error:
        raise _unreadable(path, error) from error


def row_group_count(path: str) -> int:
    """Return the number of row groups of a Parquet file."""
    return int(_opened(path).metadata.num_row_groups)


def row_group_sizes(path: str) -> list[int]:
    """Return how many rows each row group of a Parquet file has."""
    metadata = _opened(path).metadata
    return [metadata.row_group(place).num_rows for place in range(metadata.num_row_groups)]


def schema_of(path: str) -> pa.Schema:
    """Return the columns of a Parquet file."""
    return _schema(_opened(path), path)


def _opened(path: str) -> Any:
    try:
        return pq.ParquetFile(path)
    except _READ_ERRORS as error:
        raise _unreadable(path, error) from error


def _schema(file: Any, path: str) -> pa.Schema:
    try:
        schema = file.schema_arrow.remove_metadata()
        list(schema.names)  # they are decoded, and may fail to, only when they are asked for
        return schema
    except _READ_ERRORS as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: Exception) -> DataError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(
        f"cannot read the Parquet file: {reason}",
        path=path,
        hint="Write or copy the file again, and check that it is a Parquet file.",
    )


def read_example_batches(
    path: str, batch_rows: int, schema: Any = None, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Read a Parquet file of examples as tfx_bsl decodes tf.Examples: columns of feature lists.

    `schema` is a `schema_pb2.Schema`; features that the file does not have are null. Without it
    those of `columns` that the file does not have are left out.
    """
    pruned = pruned_schema(schema, columns)
    wanted = columns if pruned is None else [feature.name for feature in pruned.feature]
    names = _schema(_opened(path), path).names
    read = None if wanted is None else [name for name in wanted if name in names]
    for batch in read_file(path, batch_rows, read):
        with located(path):
            lists = examples.to_feature_lists(batch)
        yield lists if pruned is None else _as_in_schema(lists, pruned, path)


def _as_in_schema(batch: pa.RecordBatch, schema: Any, path: str) -> pa.RecordBatch:
    fitting = with_schema(batch, schema)
    if fitting is None:
        columns = ", ".join(f"{field.name} ({field.type})" for field in batch.schema)
        raise DataError(
            f"the columns are not of the types of the schema; there are {columns}", path=path
        )
    return fitting


class ParquetWriter(ClosesOnExit):
    """Writes record batches of one schema to a Parquet file, in row groups of some size."""

    def __init__(self, path: str | os.PathLike[str], schema: pa.Schema) -> None:
        self.path = os.fspath(path)
        self.schema = schema
        self._writer = pq.ParquetWriter(self.path, schema, compression="snappy")
        self._waiting: list[pa.RecordBatch] = []

    def write(self, batch: pa.RecordBatch, group_rows: int = 100_000) -> None:
        """Append a batch."""
        self._waiting.append(batch)
        if sum(waiting.num_rows for waiting in self._waiting) >= group_rows:
            self._flush()

    def close(self) -> None:
        """Write what is left and close the file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting, self.schema))
        self._waiting = []
