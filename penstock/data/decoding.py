"""Serialized tf.Examples to Arrow, all rows at once, where all rows are built alike.

ExampleGens write every feature into every record, in one order. Such records are taken apart
column by column with NumPy, several times faster than message by message; of any other records
`decode_alike` says so, and tfx_bsl's decoder reads them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from penstock.data.buffers import from_numpy, validity_buffer

# Gathers look a little beyond the last record before they find that it is not alike.
_PADDING = bytes(512)
_BYTES, _FLOATS, _INTS = 0x0A, 0x12, 0x1A
_FIELD_1, _FIELD_2 = 0x0A, 0x12
_MAX_VARINT = 5


class _NotAlike(Exception):  # not an error: the other decoder takes over
    """The records are not built alike."""


class _Lists(NamedTuple):
    """Where the lists of a feature are: one entry a row, and the kind that all rows have."""

    kind: int | None
    present: Any
    starts: Any
    sizes: Any


def decode_alike(
    records: Sequence[bytes], columns: Collection[str] | None = None
) -> pa.RecordBatch | None:
    """Decode records that have the same features in the same order, or return None.

    Columns are those that tfx_bsl's decoder makes without a schema, sorted by name; of `columns`
    alone, where given.
    """
    if not records:
        return None
    try:
        arrays = _decode(records, columns)
    except (_NotAlike, UnicodeDecodeError):
        return None
    names = sorted(arrays, key=str.encode)
    return pa.RecordBatch.from_arrays([arrays[name] for name in names], names=names)


def _decode(records: Sequence[bytes], columns: Collection[str] | None) -> dict[str, pa.Array]:
    data = np.frombuffer(b"".join([*records, _PADDING]), np.uint8)
    ends = np.cumsum(np.fromiter(map(len, records), np.int64, len(records)))
    position = np.concatenate([[0], ends[:-1]])
    _must(position < ends)
    position = _message(data, position, _FIELD_1, ends)
    arrays: dict[str, pa.Array] = {}
    while True:
        done = position >= ends
        if done.any():
            _must(done)
            return arrays
        body, size = _field(data, position, _FIELD_1, ends)
        entry_ends = body + size
        name, value = _key(data, body, entry_ends)
        if name in arrays:
            raise _NotAlike
        feature = _message(data, value, _FIELD_2, entry_ends)
        if columns is None or name in columns:
            arrays[name] = _array(data, _lists(data, feature, entry_ends))
        position = entry_ends


def _must(condition: Any) -> None:
    if not condition.all():
        raise _NotAlike


def _field(data: Any, position: Any, tag: int, ends: Any) -> tuple[Any, Any]:
    """Return where the content of a length-delimited field starts, and its size."""
    _must(data[position] == tag)
    size, start = _varint(data, position + 1)
    _must(start + size <= ends)
    return start, size


def _message(data: Any, position: Any, tag: int, ends: Any) -> Any:
    """Return where the content of a field starts that takes all that is left."""
    start, size = _field(data, position, tag, ends)
    _must(start + size == ends)
    return start


def _varint(data: Any, position: Any) -> tuple[Any, Any]:
    byte = data[position]
    number = (byte & 0x7F).astype(np.int64)
    stop = position + 1
    more = byte >= 0x80
    for place in range(1, _MAX_VARINT + 1):
        if not more.any():
            return number, stop
        byte = data[np.where(more, stop, position)]
        number += np.where(more, (byte & 0x7F).astype(np.int64) << (7 * place), 0)
        stop = stop + more
        more = more & (byte >= 0x80)
    raise _NotAlike


def _key(data: Any, position: Any, ends: Any) -> tuple[str, Any]:
    """Return the name that all rows have here, and where the value starts."""
    start, size = _field(data, position, _FIELD_1, ends)
    _must(size == size[0])
    length = int(size[0])
    if length > len(_PADDING) // 2:
        raise _NotAlike
    name = data[start[0] : start[0] + length]
    _must(_matrix(data, start, length) == name)
    _must(start + length < ends)
    return name.tobytes().decode(), start + length


def _matrix(data: Any, starts: Any, width: int) -> Any:
    """Return `width` bytes of each row."""
    return np.lib.stride_tricks.sliding_window_view(data, width)[starts] if width else data[:0]


def _lists(data: Any, feature: Any, ends: Any) -> _Lists:
    present = feature < ends
    if not present.any():
        return _Lists(None, present, feature, ends - feature)
    every = bool(present.all())
    starts, stops = (feature, ends) if every else (feature[present], ends[present])
    kind = int(data[starts[0]])
    if kind not in (_BYTES, _FLOATS, _INTS):
        raise _NotAlike
    lists = _message(data, starts, kind, stops)
    filled = lists < stops
    values = np.zeros(len(lists), np.int64)
    sizes = np.zeros(len(lists), np.int64) - 1
    if filled.any():
        # A packed list of numbers, and a list of one string, are one field; others are not read.
        first, size = _field(data, lists[filled], _FIELD_1, stops[filled])
        _must(first + size == stops[filled])
        values[filled], sizes[filled] = first, size
    return _Lists(kind, present, values, sizes)


def _array(data: Any, lists: _Lists) -> pa.Array:
    if lists.kind is None:
        return pa.nulls(len(lists.present))
    filled = lists.sizes >= 0
    starts, sizes = lists.starts[filled], lists.sizes[filled]
    content = _gather(data, starts, sizes)
    counts = np.zeros(len(lists.sizes), np.int64)
    if lists.kind == _BYTES:
        counts[filled] = 1
        offsets = pa.py_buffer(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))
        values = pa.Array.from_buffers(
            pa.large_binary(), len(sizes), [None, offsets, pa.py_buffer(content)]
        )
    elif lists.kind == _FLOATS:
        _must(sizes % 4 == 0)
        counts[filled] = sizes // 4
        values = from_numpy(content.view("<f4"), pa.float32())
    else:
        numbers, in_row = _int64s(content, sizes)
        counts[filled] = in_row
        values = from_numpy(numbers, pa.int64())
    return _large_list(values, counts, lists.present)


def _gather(data: Any, starts: Any, sizes: Any) -> Any:
    """Return the bytes of all rows, one after the other."""
    if not len(sizes):
        return data[:0].copy()
    width = int(sizes[0])
    if width and (sizes == width).all():
        return np.ascontiguousarray(_matrix(data, starts, width)).reshape(-1)
    before = np.cumsum(sizes) - sizes
    return data[np.repeat(starts - before, sizes) + np.arange(int(sizes.sum()))]


def _int64s(content: Any, sizes: Any) -> tuple[Any, Any]:
    """Return varints as int64, and how many each row has."""
    last = content < 0x80
    stops = np.flatnonzero(last) + 1
    row_ends = np.cumsum(sizes)
    if len(sizes):
        _must(last[row_ends[sizes > 0] - 1])
    counted = np.concatenate([[0], np.cumsum(last)])
    in_row = counted[row_ends] - counted[row_ends - sizes]
    starts = np.concatenate([[0], stops[:-1]]).astype(np.int64)[: len(stops)]
    lengths = stops - starts
    width = int(lengths.max(initial=0))
    if width > 10:
        raise _NotAlike
    numbers = np.zeros(len(stops), np.uint64)
    padded = np.concatenate([content, np.zeros(10, np.uint8)])
    for place in range(width):
        septet = (padded[starts + place] & 0x7F).astype(np.uint64) << np.uint64(7 * place)
        numbers |= np.where(lengths > place, septet, np.uint64(0))
    return numbers.view(np.int64), in_row


def _large_list(values: pa.Array, counts: Any, present: Any) -> pa.Array:
    """Make a list array; `counts` are those of the rows that are present."""
    every = bool(present.all())
    all_counts = counts
    if not every:
        all_counts = np.zeros(len(present), np.int64)
        all_counts[present] = counts
    offsets = np.concatenate([[0], np.cumsum(all_counts)]).astype(np.int64)
    mask = None if every else validity_buffer(present)
    return pa.Array.from_buffers(
        pa.large_list(values.type),
        len(present),
        [mask, pa.py_buffer(offsets)],
        children=[values],
    )
