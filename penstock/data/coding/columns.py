"""Columns of decoded examples: chosen by name, and made to fit a schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

# By the numbers of tensorflow_metadata's FeatureType: BYTES, INT and FLOAT.
_SCHEMA_TYPES = {
    1: pa.large_list(pa.large_binary()),
    2: pa.large_list(pa.int64()),
    3: pa.large_list(pa.float32()),
}


def is_list(kind: pa.DataType) -> bool:
    """Return whether a type is one of Arrow's lists."""
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def select(batch: pa.RecordBatch, columns: Sequence[str], absent: bool = True) -> pa.RecordBatch:
    """Return the named columns of a batch.

    One that the batch has not is of Arrow's null type, or, without `absent`, left out.
    """
    present = {name: index for index, name in enumerate(batch.schema.names)}
    names = [name for name in columns if absent or name in present]
    arrays = [
        batch.column(present[name]) if name in present else pa.nulls(batch.num_rows)
        for name in names
    ]
    return pa.RecordBatch.from_arrays(arrays, names=names)


def with_schema(batch: pa.RecordBatch, schema: Any) -> pa.RecordBatch | None:
    """Return the columns that a `schema_pb2.Schema` names, in its order and of its types.

    A column without values is null in every row. None if a type is another, or not a plain one.
    """
    present = {name: index for index, name in enumerate(batch.schema.names)}
    arrays = []
    for feature in schema.feature:
        kind = _SCHEMA_TYPES.get(feature.type)
        if kind is None:
            return None
        index = present.get(feature.name)
        array = pa.nulls(batch.num_rows) if index is None else batch.column(index)
        if pa.types.is_null(array.type):
            array = pa.nulls(batch.num_rows, kind)
        if array.type != kind:
            return None
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, names=[feature.name for feature in schema.feature])


def pruned_schema(schema: Any, columns: Sequence[str] | None) -> Any:
    """Return a `schema_pb2.Schema` with the named features alone; all where none are named."""
    if schema is None or columns is None:
        return schema
    wanted = set(columns)
    kept = type(schema)()
    kept.CopyFrom(schema)
    del kept.feature[:]
    kept.feature.extend(feature for feature in schema.feature if feature.name in wanted)
    return kept
