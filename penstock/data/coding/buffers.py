"""Arrow arrays and NumPy arrays over the same memory.

pyarrow's own conversions import pandas, which takes longer than reading a small file. So do the
methods of arrays, such as cast and take, which is why `pyarrow.compute` is used in their place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Numbers that are further apart are sorted.
_TABLE_ROWS = 1 << 20


def to_numpy(array: pa.Array) -> Any:
    """Return a number or boolean array without nulls as NumPy; numbers are not copied."""
    if pa.types.is_boolean(array.type):
        return to_numpy(pc.cast(array, pa.uint8())).astype(bool)
    kind = np.dtype(_numpy_name(array.type))
    if not len(array):
        return np.empty(0, kind)
    values = np.frombuffer(array.buffers()[1], kind, array.offset + len(array))
    return values[array.offset :]


def from_numpy(values: Any, arrow_type: pa.DataType) -> pa.Array:
    """Return numbers as an Arrow array of their type, over the same memory."""
    buffer = pa.py_buffer(np.ascontiguousarray(values, dtype=_numpy_name(arrow_type)))
    return pa.Array.from_buffers(arrow_type, len(values), [None, buffer])


def valid_rows(array: pa.Array) -> Any:
    """Return which rows are not null, as NumPy booleans."""
    return to_numpy(pc.is_valid(array))


def validity_buffer(present: Any) -> pa.Buffer:
    """Return NumPy booleans as the bits that say which rows are not null."""
    return pa.py_buffer(np.packbits(present, bitorder="little"))


def windows(data: Any, starts: Any, width: int) -> Any:
    """Return the `width` bytes that begin at each of `starts`, as the rows of a matrix."""
    if not width or not len(starts):
        return np.empty((len(starts), width), np.uint8)
    # One item each, so that NumPy copies rows and not bytes; plain bytes need no alignment.
    items: Any = np.ndarray((len(data) - width + 1,), f"V{width}", data, strides=(1,))
    return items[starts].view(np.uint8).reshape(len(starts), width)


def distinct(numbers: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    """Return the different numbers, sorted, and for each number its place among them.

    They are integers, none of them negative.
    """
    if not len(numbers):
        return numbers, np.empty(0, np.int64)
    if int(numbers.max()) >= _TABLE_ROWS:
        values, indices = np.unique(numbers, return_inverse=True)
        return values, indices.reshape(-1)
    # A table takes a fraction of the time of sorting.
    seen = np.zeros(int(numbers.max()) + 1, bool)
    seen[numbers] = True
    return np.flatnonzero(seen), (np.cumsum(seen) - 1)[numbers]


def _numpy_name(kind: pa.DataType) -> str:
    return {"float": "float32", "double": "float64"}.get(str(kind), str(kind))
