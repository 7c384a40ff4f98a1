"""Rows that lack a feature which a schema says that each of them has."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from penstock.data.coding.buffers import to_numpy, valid_rows
from penstock.errors import DataError


def with_required(
    batches: Iterable[pa.RecordBatch], schema: Any, path: str
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file, as feature lists, that have what a `schema_pb2.Schema` asks for.

    Raises:
      DataError: a row lacks a feature of fixed shape, or has more or fewer values of it.
    """
    sizes = required_sizes(schema) if schema is not None else {}
    first = 0
    for batch in batches:
        for name, size in sizes.items():
            index = batch.schema.get_field_index(name)
            if index >= 0:
                _check(batch.column(index), name, size, first, path)
        first += batch.num_rows
        yield batch


def required_sizes(schema: Any) -> Mapping[str, int]:
    """Return how many values each row has of the features that become dense tensors."""
    from tfx_bsl.tfxio import tensor_representation_util as representations

    sizes = {}
    described = representations.InferTensorRepresentationsFromMixedSchema(schema)
    for representation in described.values():
        dense = representation.dense_tensor
        if representation.HasField("dense_tensor") and not dense.HasField("default_value"):
            sizes[dense.column_name] = math.prod(dim.size for dim in dense.shape.dim)
    return sizes


def _check(array: pa.Array, name: str, size: int, first: int, path: str) -> None:
    rows = len(array)
    if pa.types.is_null(array.type):
        counts = np.zeros(rows, np.int64)
    else:
        offsets = to_numpy(array.offsets)
        if not array.null_count and int(offsets[-1] - offsets[0]) == rows * size:
            return  # what has more in one row and fewer in another is left to the tensors
        counts = np.diff(offsets) * valid_rows(array)
    wrong = np.flatnonzero(counts != size)
    if not len(wrong):
        return
    row = int(wrong[0])
    what = "no value" if not counts[row] else f"{counts[row]} values"
    folder = os.path.basename(os.path.dirname(path))
    split = f" of split {folder.removeprefix('Split-')!r}" if folder.startswith("Split-") else ""
    more = f", as in {len(wrong) - 1} more of {rows} rows" if len(wrong) > 1 else ""
    raise DataError(
        f"feature {name!r} has {what} in row {first + row}{split}{more}, and by the schema each "
        f"row has {size}",
        path=path,
        column=name,
        hint="ExampleValidator counts such rows. Fill or leave them out where the data is made; or "
        f"make {name!r} optional: take its shape out of the schema, and lower its "
        "presence.min_fraction.",
    )
