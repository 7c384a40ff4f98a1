"""Serialized tf.Examples to Arrow, all rows at once, where all rows are built alike.

ExampleGens write every feature into every record, in one order. Such records are taken apart
column by column with NumPy, several times faster than message by message; of any other records
`decode_alike` says so, and tfx_bsl's decoder reads them.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from penstock.data.coding.buffers import from_numpy, validity_buffer, windows

# Gathers look a little beyond the last record before they find that it is not alike.
_PADDING = bytes(512)
_BYTES, _FLOATS, _INTS = 0x0A, 0x12, 0x1A
_FIELD_1, _FIELD_2 = 0x0A, 0x12
_MAX_VARINT = 5

# An entry of a feature with a value is, where every size is one byte: 0A size 0A size name 12 size
# kind size 0A size value. Sizes that count what follows the name are that much less than the first.
_HEAD_WITHOUT_NAME = 10
_NO_KIND, _NO_VALUE, _VALUE = 4, 6, 8


class _NotAlike(Exception):  # not an error: the other decoder takes over
    """The records are not built alike."""


class Buffered(NamedTuple):
    """Serialized records in one buffer, in their order.

    `starts` and `ends` are NumPy arrays of int64; between records, and around them, may be
    anything.
    """

    data: bytes | memoryview
    starts: Any
    ends: Any

    def as_list(self) -> list[bytes]:
        """Return the records one by one."""
        data, bounds = bytes(self.data), zip(self.starts.tolist(), self.ends.tolist(), strict=True)
        return [data[start:end] for start, end in bounds]

    def between(self, first: int, last: int) -> Buffered:
        """Return some of the records, over the same memory."""
        starts, ends = self.starts[first:last], self.ends[first:last]
        data = memoryview(self.data)[starts[0] : ends[-1]]
        return Buffered(data, starts - starts[0], ends - starts[0])


class _Lists(NamedTuple):
    """Where the lists of a feature are, and the kind that all rows with a list have.

    `present` and `filled` say which rows have a list, and one with content; `starts` and `sizes`
    are those of the contents.
    """

    kind: int | None
    present: Any
    filled: Any
    starts: Any
    sizes: Any


def buffered(records: Sequence[bytes]) -> Buffered:
    """Return records as one buffer that `decode_alike` can read."""
    sizes = np.fromiter(map(len, records), np.int64, len(records))
    ends = np.cumsum(sizes)
    return Buffered(b"".join([*records, _PADDING]), ends - sizes, ends)


def joined(parts: Sequence[Buffered]) -> Buffered:
    """Return the records of several buffers as one that `decode_alike` can read."""
    before = np.cumsum([0, *(len(part.data) for part in parts)])[:-1].tolist()
    return Buffered(
        b"".join([*(part.data for part in parts), _PADDING]),
        np.concatenate([part.starts + at for part, at in zip(parts, before, strict=True)]),
        np.concatenate([part.ends + at for part, at in zip(parts, before, strict=True)]),
    )


def decode_alike(
    records: Buffered, columns: Collection[str] | None = None
) -> pa.RecordBatch | None:
    """Decode records that have the same features in the same order, or return None.

    The records are what `buffered` or `joined` returned.
    Columns are those that tfx_bsl's decoder makes without a schema, sorted by name; of `columns`
    alone, where given.
    """
    if not len(records.ends):
        return None
    try:
        arrays = _decode(records, columns)
    except (_NotAlike, UnicodeDecodeError):
        return None
    names = sorted(arrays, key=str.encode)
    return pa.RecordBatch.from_arrays([arrays[name] for name in names], names=names)


def _decode(records: Buffered, columns: Collection[str] | None) -> dict[str, pa.Array]:
    data, ends = np.frombuffer(records.data, np.uint8), records.ends
    _must(records.starts < ends)
    position = _message(data, records.starts, _FIELD_1, ends)
    arrays: dict[str, pa.Array] = {}
    while True:
        done = position >= ends
        if done.any():
            _must(done)
            return arrays
        name, lists, position = _short_entry(data, position, ends) or _entry(data, position, ends)
        if name in arrays:
            raise _NotAlike
        if columns is None or name in columns:
            arrays[name] = _array(data, lists)


def _short_entry(data: Any, position: Any, ends: Any) -> tuple[str, _Lists, Any] | None:
    """Read an entry where every size is one byte, as nearly all are; None if one is not."""
    first = int(position[0])
    name_size = int(data[first + 3])
    if name_size + _VALUE >= 0x80:
        return None
    heads = windows(data, position, name_size + _HEAD_WITHOUT_NAME)
    sizes = heads[:, 1].copy()
    filled = sizes >= name_size + _VALUE
    present = filled
    if not filled.all():
        # What follows is of the next entry.
        heads[~filled, name_size + _VALUE :] = 0
        present = sizes >= name_size + _NO_VALUE
        heads[~present, name_size + _NO_VALUE :] = 0
    # The rows that have no kind have a zero in its place.
    kind = int(heads[present.argmax(), name_size + _NO_VALUE]) if present.any() else None
    if kind not in (None, _BYTES, _FLOATS, _INTS):
        return None
    name = data[first + 4 : first + 4 + name_size].tobytes()
    expected = _windows_at(_short_heads(name, kind or 0), sizes)
    if not np.array_equal(heads.reshape(-1), expected.reshape(-1)):
        return None
    entry_ends = position + (sizes.astype(np.int64) + 2)
    _must(entry_ends <= ends)
    starts = position + heads.shape[1]
    content = sizes.astype(np.int64) - (name_size + _VALUE)
    if not filled.all():
        starts, content = starts[filled], content[filled]
    return name.decode(), _Lists(kind, present, filled, starts, content), entry_ends


@functools.lru_cache(maxsize=1024)  # they are the same in every batch
def _short_heads(name: bytes, kind: int) -> Any:
    """Return what stands before the value in a short entry, for every size of the entry.

    It is zero for sizes that no entry has, and ends in zeros where there is no kind or value.
    """
    length = len(name)
    heads = np.zeros((256, length + _HEAD_WITHOUT_NAME), np.uint8)
    sizes = np.arange(256)
    valid = (sizes < 0x80) & (sizes >= length + _VALUE)
    valid[[length + _NO_KIND, length + _NO_VALUE]] = True
    heads[valid, : length + 5] = np.frombuffer(
        b"\x0a\0\x0a" + bytes([length]) + name + b"\x12", "u1"
    )
    heads[valid, 1] = sizes[valid]
    heads[valid, length + 5] = sizes[valid] - (length + _NO_KIND)
    valid[length + _NO_KIND] = False
    heads[valid, length + 6] = kind
    heads[valid, length + 7] = sizes[valid] - (length + _NO_VALUE)
    valid[length + _NO_VALUE] = False
    heads[valid, length + 8] = _FIELD_1
    heads[valid, length + 9] = sizes[valid] - (length + _VALUE)
    return heads


def _entry(data: Any, position: Any, ends: Any) -> tuple[str, _Lists, Any]:
    """Read an entry, whatever its sizes."""
    body, size = _field(data, position, _FIELD_1, ends)
    entry_ends = body + size
    name, value = _key(data, body, entry_ends)
    feature = _message(data, value, _FIELD_2, entry_ends)
    return name, _lists(data, feature, entry_ends), entry_ends


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
    for index in range(1, _MAX_VARINT + 1):
        if not more.any():
            return number, stop
        byte = data[np.where(more, stop, position)]
        number += np.where(more, (byte & 0x7F).astype(np.int64) << (7 * index), 0)
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
    _must(windows(data, start, length) == name)
    _must(start + length < ends)
    return name.tobytes().decode(), start + length


def _windows_at(rows: Any, numbers: Any) -> Any:
    """Return the rows with these numbers of a matrix of bytes."""
    width = rows.shape[1]
    return rows.view(f"V{width}").reshape(-1)[numbers].view(np.uint8)


def _lists(data: Any, feature: Any, ends: Any) -> _Lists:
    present = feature < ends
    if not present.any():
        return _Lists(None, present, present, feature[:0], feature[:0])
    starts, stops = feature[present], ends[present]
    kind = int(data[starts[0]])
    if kind not in (_BYTES, _FLOATS, _INTS):
        raise _NotAlike
    lists = _message(data, starts, kind, stops)
    with_content = lists < stops
    filled = present.copy()
    filled[present] = with_content
    if not with_content.any():
        return _Lists(kind, present, filled, lists[:0], lists[:0])
    # A packed list of numbers, and a list of one string, are one field; others are not read.
    first, size = _field(data, lists[with_content], _FIELD_1, stops[with_content])
    _must(first + size == stops[with_content])
    return _Lists(kind, present, filled, first, size)


def _array(data: Any, lists: _Lists) -> pa.Array:
    if lists.kind is None:
        return pa.nulls(len(lists.present))
    starts, sizes = lists.starts, lists.sizes
    if lists.kind == _BYTES:
        return _large_list(_strings(data, starts, sizes), 1, lists)
    if lists.kind == _FLOATS:
        _must(sizes % 4 == 0)
        values = _gather(data, starts, sizes).view("<f4")
        return _large_list(from_numpy(values, pa.float32()), sizes // 4, lists)
    numbers, counts = _one_int64_each(data, starts, sizes), 1
    if numbers is None:
        numbers, counts = _int64s(_gather(data, starts, sizes), sizes)
    return _large_list(from_numpy(numbers, pa.int64()), counts, lists)


def _strings(data: Any, starts: Any, sizes: Any) -> pa.Array:
    """Return the bytes of all rows as an array of strings."""
    if not len(sizes):
        return pa.array([], pa.large_binary())
    # Every second string of these is what lies between two rows; Arrow copies the others.
    offsets = np.empty(2 * len(sizes), np.int64)
    offsets[0::2] = starts
    offsets[1::2] = starts + sizes
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    with_gaps = pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)
    return with_gaps.take(from_numpy(np.arange(0, len(offsets), 2), pa.int64()))


def _gather(data: Any, starts: Any, sizes: Any) -> Any:
    """Return the bytes of all rows, one after the other."""
    if not len(sizes) or (sizes == sizes[0]).all():
        return windows(data, starts, int(sizes[0]) if len(sizes) else 0).reshape(-1)
    return np.frombuffer(_strings(data, starts, sizes).buffers()[2], np.uint8, int(sizes.sum()))


def _one_int64_each(data: Any, starts: Any, sizes: Any) -> Any:
    """Return the varints as int64 if each row has exactly one, of up to 8 bytes; else None."""
    longest = int(sizes.max(initial=0))
    if longest > 8 or not sizes.all():
        return None
    words = windows(data, starts, 8).view("<u8").reshape(-1)
    within, continued = _varint_masks()
    words &= within[sizes]
    if not np.array_equal(words & _HIGH_BITS, continued[sizes]):
        return None
    words &= ~_HIGH_BITS
    # Groups of 7 bits move together, then groups of 14, and of 28.
    for bits, low in ((7, 0x007F007F007F007F), (14, 0x00003FFF00003FFF), (28, 0x0FFFFFFF)):
        if longest * 7 > bits:
            half = np.uint64(low)
            words = (words & half) | ((words >> np.uint64(bits // 7)) & (half << np.uint64(bits)))
    return words.view(np.int64)


_HIGH_BITS = np.uint64(0x8080808080808080)


@functools.cache
def _varint_masks() -> tuple[Any, Any]:
    """Return, by its size, the bits that a varint has, and the ones that say that it goes on."""
    within = [(1 << 8 * size) - 1 for size in range(9)]
    continued = [int(_HIGH_BITS) & ((1 << max(0, 8 * (size - 1))) - 1) for size in range(9)]
    return np.array(within, np.uint64), np.array(continued, np.uint64)


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
    for index in range(width):
        septet = (padded[starts + index] & 0x7F).astype(np.uint64) << np.uint64(7 * index)
        numbers |= np.where(lengths > index, septet, np.uint64(0))
    return numbers.view(np.int64), in_row


def _large_list(values: pa.Array, counts: Any, lists: _Lists) -> pa.Array:
    """Make a list array; `counts` are those of the rows that are filled."""
    rows = len(lists.present)
    offsets = np.zeros(rows + 1, np.int64)
    offsets[1:][lists.filled] = counts
    offsets = np.cumsum(offsets, out=offsets)
    mask = None if lists.present.all() else validity_buffer(lists.present)
    return pa.Array.from_buffers(
        pa.large_list(values.type), rows, [mask, pa.py_buffer(offsets)], children=[values]
    )
