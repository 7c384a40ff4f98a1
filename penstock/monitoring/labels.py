"""Labels that come after the predictions, and the rows that they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.data import csv, parquet, unifying
from penstock.data.data_files import is_parquet
from penstock.data.files import fingerprint
from penstock.data.spans import (
    RangeConfig,
    ResolvedInput,
    StaticRange,
    find_spans,
    resolve_input,
    specs,
)
from penstock.data.splits import InputConfig, InputSplit
from penstock.errors import DataError, suggestion
from penstock.project.monitors import Labels

_LABEL = "label"
_KEY = "key {}"


@dataclass(frozen=True)
class Labeled:
    """Rows of a log with a column of labels, which has a null where none has come yet."""

    table: pa.Table
    labels: pa.Array

    @property
    def waiting(self) -> int:
        """How many rows have no label yet."""
        return int(self.labels.null_count)


def find_labels(labels: Labels) -> ResolvedInput | None:
    """Return the files of all labels, spans in their order; None where none has come yet.

    Raises:
      ParameterError: the pattern makes no sense.
      StorageError: the object store cannot be reached or does not let us in.
    """
    split = InputSplit("labels", labels.source)
    kind, _ = specs(split)
    base = labels.folder or "."
    chosen = None
    if kind is not None:
        found = find_spans(labels.source, base)
        if not found:
            return None
        chosen = RangeConfig(static_range=StaticRange(found[0].span, found[-1].span))
    try:
        return resolve_input(base, InputConfig((split,)), chosen)
    except DataError:
        if kind is not None:
            raise
        return None


def labels_fingerprint(labels: Labels | None) -> str:
    """Return what changes when more labels have come; nothing where there are none."""
    found = find_labels(labels) if labels is not None else None
    if labels is None or found is None:
        return ""
    return fingerprint.fingerprint_files(labels.folder or ".", found.files)


def read_labels(files: Sequence[str], labels: Labels) -> pa.Table:
    """Return the key columns and the label of all files, as text and in their order.

    Raises:
      DataError: a file lacks one of the columns, or cannot be read.
    """
    wanted = [*labels.key, labels.label]
    tables = []
    for path in files:
        for batch in _batches(path):
            missing = [name for name in wanted if name not in batch.schema.names]
            if missing:
                raise DataError(
                    f"the labels have no column {missing[0]!r}",
                    path=path,
                    column=missing[0],
                    hint=suggestion(missing[0], batch.schema.names, noun="column"),
                )
            columns = [as_text(batch.column(name)) for name in wanted]
            names = [*map(_KEY.format, range(len(labels.key))), _LABEL]
            tables.append(pa.Table.from_arrays(columns, names))
    return unifying.as_one(tables)


def join(rows: pa.Table, known: pa.Table, labels: Labels) -> Labeled:
    """Return rows of a log with their labels, by the key; of several labels the last one.

    Raises:
      DataError: the rows lack a column of the key.
    """
    for name in labels.key.values():
        if name not in rows.column_names:
            raise DataError(
                f"the log has no column {name!r}, by which labels are found",
                column=name,
                hint=suggestion(name, rows.column_names, noun="column"),
            )
    if not known.num_rows:
        return Labeled(rows, pa.nulls(rows.num_rows, pa.string()))
    keys = [as_text(rows.column(name)) for name in labels.key.values()]
    there = [known.column(_KEY.format(place)) for place in range(len(keys))]
    told = dict(zip(_joint(there), known.column(_LABEL).to_pylist(), strict=True))
    return Labeled(rows, pa.array([told.get(key) for key in _joint(keys)], pa.string()))


def as_text(column: Any) -> Any:
    """Return a column as text, in which equal values are equal whatever their types.

    A whole number is the same as a fraction that is one.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    kind = array.type
    if pa.types.is_floating(kind):
        texts = [
            None if v is None else str(int(v)) if v.is_integer() else repr(v)
            for v in array.to_pylist()
        ]
        return pa.array(texts, pa.string())
    if pa.types.is_boolean(kind):
        return pc.if_else(array, "1", "0")
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return pa.array(
            [None if v is None else v.decode("utf-8", "replace") for v in array.to_pylist()],
            pa.string(),
        )
    return array.cast(pa.string())


def _joint(columns: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in columns), strict=True)


def _batches(path: str) -> Iterator[pa.RecordBatch]:
    return parquet.read_file(path) if is_parquet(path) else csv.read_csv([path])
