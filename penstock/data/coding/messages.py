"""Serialized tf.Examples to Arrow, message by message: for records of any build, without tfx_bsl.

tfx_bsl's decoder is faster; this one gives the same columns where that is not installed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from penstock.data.coding.buffers import validity_buffer
from penstock.data.coding.example_proto import example_class

_KINDS = {
    "bytes_list": pa.large_binary(),
    "float_list": pa.float32(),
    "int64_list": pa.int64(),
}
_KIND_OF_TYPE = {1: "bytes_list", 2: "int64_list", 3: "float_list"}


class MessageDecoder:
    """Decodes lists of tf.Examples as tfx_bsl's `ExamplesToRecordBatchDecoder` does.

    Without a schema, a `schema_pb2.Schema`, the columns are all that the records have, by name, or
    those of them that `only` names.
    """

    def __init__(self, schema: Any = None, only: Collection[str] | None = None) -> None:
        self._only = only
        self._types = None
        if schema is not None:
            self._types = {feature.name: feature.type for feature in schema.feature}

    def DecodeBatch(self, records: Sequence[bytes]) -> pa.RecordBatch:  # tfx_bsl's
        """Return a record batch with a row for each record.

        Raises:
          ValueError: a record is not a tf.Example, or a feature is of several kinds; the words are
            tfx_bsl's.
        """
        columns = self._columns(records)
        names = sorted(columns, key=str.encode) if self._types is None else list(self._types)
        arrays = [self._array(name, columns.get(name, {}), len(records)) for name in names]
        if not names:  # Arrow takes the number of rows from columns, and there is none
            return pa.RecordBatch.from_struct_array(pa.array([{}] * len(records), pa.struct([])))
        return pa.RecordBatch.from_arrays(arrays, names=names)

    def _columns(self, records: Sequence[bytes]) -> dict[str, dict[int, Any]]:
        """Return the features of each name by row."""
        from google.protobuf.message import DecodeError

        message = example_class()
        columns: dict[str, dict[int, Any]] = {}
        for row, record in enumerate(records):
            try:
                features = message.FromString(record).features.feature
            except DecodeError as error:
                raise ValueError("DATA_LOSS: Unable to parse example.") from error
            for name, feature in features.items():
                wanted = self._only if self._types is None else self._types
                if wanted is None or name in wanted:
                    columns.setdefault(name, {})[row] = feature
        return columns

    def _array(self, name: str, features: dict[int, Any], rows: int) -> pa.Array:
        declared = None if self._types is None else _KIND_OF_TYPE.get(self._types[name])
        if self._types is not None and declared is None:
            raise ValueError(f"INVALID_ARGUMENT: Feature {name} has no type of a tf.Example")
        kind, present, counts = declared, np.zeros(rows, bool), np.zeros(rows + 1, np.int64)
        values: list[Any] = []
        for row, feature in features.items():
            kind_here = feature.WhichOneof("kind")
            if kind_here is None:
                continue
            if kind is None:
                kind = kind_here
            elif kind_here != kind:
                raise ValueError(
                    f"INVALID_ARGUMENT: Feature had wrong type, expected {kind}, found {kind_here} "
                    f'for feature "{name}"'
                )
            held = getattr(feature, kind).value
            present[row], counts[row + 1] = True, len(held)
            values.extend(held)
        if kind is None:
            return pa.nulls(rows)
        mask = None if present.all() else validity_buffer(present)
        flat = pa.array(values, _KINDS[kind])
        buffers = [mask, pa.py_buffer(np.cumsum(counts))]
        return pa.Array.from_buffers(pa.large_list(flat.type), rows, buffers, children=[flat])
