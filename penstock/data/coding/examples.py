"""Arrow record batches to serialized tf.Examples, column by column.

The bytes are those that protobuf writes deterministically: features in one order. So they do
not change from run to run, and TFX, whose splits hash these very bytes, finds the same splits.
(tfx_bsl's encoder writes features in the order of a hash table.)
"""

from __future__ import annotations

import decimal
import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.data.coding.buffers import (
    distinct,
    from_numpy,
    to_numpy,
    valid_rows,
    validity_buffer,
)
from penstock.data.coding.columns import is_list
from penstock.data.coding.example_proto import feature_order
from penstock.errors import DataError

# Field numbers in tf.Feature, as protobuf tags of length-delimited fields.
_KIND_TAGS = {"bytes": 0x0A, "float": 0x12, "int": 0x1A}
_VARINT_LIMITS = np.array([1 << (7 * i) for i in range(1, 10)], np.uint64)
DEFAULT_ENCODE_ROWS = 5_000

# Makes the bytes before a payload of a length and a kind; the length None says: no value at all.
Header = Callable[[int | None, str], bytes]


def encode(
    batch: pa.RecordBatch, *, null_as_empty: bool = False, rows: int = DEFAULT_ENCODE_ROWS
) -> list[bytes]:
    """Serialize a batch of flat or list columns, one tf.Example a row.

    Integers, booleans and durations become int64, floating point numbers float, strings and
    binaries bytes, dates and times ISO 8601 text. Decimals without a fraction by their type become
    int64, others float, as long as the float has all of their digits. A null is a feature
    without a value, or, with `null_as_empty`, with an empty list. An empty list, or a list that
    has only nulls, is a feature with an empty list; nulls between values are left out.

    Raises:
      DataError: a column's type has no place in a tf.Example, or a value of a decimal has not.
    """
    as_lists = to_feature_lists(batch, null_as_empty=null_as_empty)
    serialized: list[bytes] = []
    for start in range(0, as_lists.num_rows, rows):
        serialized += _slices(_encode_slice(as_lists.slice(start, rows)))
    return serialized


def encode_feature(batch: pa.RecordBatch, name: str, *, null_as_empty: bool = False) -> list[bytes]:
    """Serialize one column, one tf.Feature a row; see `encode`."""
    index = batch.schema.get_field_index(name)
    one = pa.RecordBatch.from_arrays([batch.column(index)], [name])
    lists = to_feature_lists(one, null_as_empty=null_as_empty)
    return _slices(_joined(_feature_parts(lists.column(0), _feature_header)))


def to_feature_lists(batch: pa.RecordBatch, *, null_as_empty: bool = False) -> pa.RecordBatch:
    """Return a batch with columns as tfx_bsl has them: `large_list` of int64, float or binary.

    A column without any value is of Arrow's null type. See `encode` for the conversions.
    """
    arrays = [
        _feature_list(array, name, null_as_empty)
        for name, array in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _feature_list(array: pa.Array, name: str, null_as_empty: bool) -> pa.Array:
    if pa.types.is_null(array.type):
        return array
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if not is_list(array.type):
        return _single_values(_feature_values(array, name), null_as_empty)
    # Flattening leaves out what lies below nulls.
    offsets = np.concatenate([[0], np.cumsum(_list_lengths(array))])
    values = _feature_values(array.flatten(), name)
    offsets, values = _without_nulls(offsets, values)
    return _list_array(offsets, values, array, null_as_empty)


def _list_lengths(array: pa.Array) -> Any:
    if pa.types.is_fixed_size_list(array.type):
        lengths: Any = np.full(len(array), array.type.list_size)
    else:
        lengths = np.diff(to_numpy(array.offsets))
    return lengths * valid_rows(array) if array.null_count else lengths


def _single_values(values: pa.Array, null_as_empty: bool) -> pa.Array:
    offsets = np.arange(len(values) + 1)
    return _list_array(*_without_nulls(offsets, values), values, null_as_empty)


def _without_nulls(offsets: np.ndarray[Any, Any], values: pa.Array) -> tuple[Any, pa.Array]:
    if not values.null_count:
        return offsets, values
    counts = np.concatenate([[0], np.cumsum(valid_rows(values))])
    return counts[offsets], pc.drop_null(values)


def _list_array(offsets: Any, values: pa.Array, like: pa.Array, null_as_empty: bool) -> pa.Array:
    """Make a list array that is null, or empty, where `like` is null."""
    mask = None
    if like.null_count and not null_as_empty:
        mask = validity_buffer(valid_rows(like))
    return pa.Array.from_buffers(
        pa.large_list(values.type),
        len(like),
        [mask, pa.py_buffer(np.ascontiguousarray(offsets, dtype=np.int64))],
        children=[values],
    )


def _feature_values(values: pa.Array, name: str) -> pa.Array:
    """Return values as int64, float or large_binary."""
    kind, types = values.type, pa.types
    if types.is_dictionary(kind):
        return _feature_values(values.dictionary_decode(), name)
    if types.is_integer(kind) or types.is_boolean(kind):
        return _as_int64(values, name)
    if types.is_float16(kind):
        return pc.cast(values, pa.float32())
    if types.is_decimal(kind):
        return _exact_number(values, name)
    if types.is_floating(kind):
        return pc.cast(values, pa.float32(), safe=False)
    if types.is_string(kind) or types.is_binary(kind) or types.is_large_string(kind):
        return pc.cast(values, pa.large_binary())
    if types.is_large_binary(kind):
        return values
    if types.is_fixed_size_binary(kind):
        return pc.cast(pc.cast(values, pa.binary()), pa.large_binary())
    if types.is_duration(kind):
        return pc.cast(values, pa.int64())
    if types.is_temporal(kind):
        return _iso_text(values, name)
    if types.is_null(kind):
        return pc.cast(values, pa.large_binary())
    raise DataError(
        f"Arrow's {kind} has no place in a tf.Example",
        column=name,
        hint="Convert the column to numbers, text, or a list of these, or leave it out.",
    )


def _exact_number(values: pa.Array, name: str) -> pa.Array:
    """Return decimals as int64 if their type has no fraction, else as float32."""
    if values.type.scale <= 0:
        return _as_int64(values, name)
    floats = pc.cast(pc.cast(values, pa.float64()), pa.float32())
    # A float stands for the shortest decimal that is nearest to it.
    kept = [decimal.Decimal(text) for text in floats.drop_null().to_numpy().astype(str).tolist()]
    for expected, actual in zip(values.drop_null().to_pylist(), kept, strict=True):
        if expected != actual:
            raise DataError(
                f"{expected} of {values.type} has more digits than the 32-bit floats of a "
                f"tf.Example, of which {actual} is the nearest",
                column=name,
                hint="Where the data is written, make the column a double if the nearest float "
                "will do, an integer of a smaller unit (cents), or text.",
            )
    return floats


def _as_int64(values: pa.Array, name: str) -> pa.Array:
    if pa.types.is_boolean(values.type):
        return pc.cast(pc.cast(values, pa.int8()), pa.int64())
    try:
        return pc.cast(values, pa.int64())
    except pa.ArrowInvalid as error:
        raise DataError(f"a value is beyond 64-bit integers: {error}", column=name) from error


def _iso_text(values: pa.Array, name: str) -> pa.Array:
    # Python's isoformat, which drops fractions that are zero; Arrow's own text depends on units.

    if pa.types.is_timestamp(values.type) and values.type.unit == "ns":
        values = pc.cast(values, pa.timestamp("us", tz=values.type.tz), safe=False)
    if pa.types.is_time(values.type) and values.type == pa.time64("ns"):
        values = pc.cast(values, pa.time64("us"), safe=False)
    try:
        times = values.to_pylist()
    except (OverflowError, ValueError) as error:
        raise DataError(
            f"a date or time is not between the years 1 and 9999: {error}",
            column=name,
            hint="Correct the value, or convert the column to numbers or text.",
        ) from error
    return pa.array([None if v is None else v.isoformat() for v in times], pa.large_binary())


def _encode_slice(batch: pa.RecordBatch) -> pa.Array:
    """Return serialized tf.Examples of a batch of feature lists, as a binary array."""
    names = batch.schema.names
    parts: list[pa.Array] = []
    for name in feature_order(tuple(names)):
        column = batch.column(names.index(name))
        parts += _feature_parts(column, _entry_header(name.encode()))
    if not parts:
        return pa.array([b""] * batch.num_rows, pa.large_binary())
    features = _joined(parts)
    headers = _looked_up(_lengths(features), lambda length: b"\x0a" + varint(length))
    return _joined([headers, features])


def _feature_parts(array: pa.Array, header: Header) -> list[pa.Array]:
    """Return the headers and the payloads of a column's features, to be joined row by row.

    One header is made for each length that occurs.
    """
    if pa.types.is_null(array.type):
        rows = len(array)
        return [pc.take(_of_bytes([header(None, "bytes")]), _zeros(rows))]
    offsets = to_numpy(array.offsets)
    values = array.values[int(offsets[0]) : int(offsets[-1])]
    offsets = offsets - offsets[0]
    kind, data, starts = _payload(values)
    starts = starts[offsets]
    lengths = np.diff(starts)
    if array.null_count:
        lengths = np.where(valid_rows(array), lengths, -1)
    # One more, so that no value at all is 0.
    headers = _looked_up(lengths + 1, lambda above: header(above - 1 if above else None, kind))
    return [headers, _binary(data, starts)]


def _payload(values: pa.Array) -> tuple[str, Any, Any]:
    """Return the kind of values, their encoded bytes one after the other, and where each starts."""
    if pa.types.is_int64(values.type):
        data, starts = _varints(to_numpy(values))
        return "int", data, starts
    if pa.types.is_float32(values.type):
        data = np.ascontiguousarray(to_numpy(values), dtype="<f4")
        return "float", data, np.arange(len(values) + 1, dtype=np.int64) * 4
    headers = _looked_up(_lengths(values), lambda length: b"\x0a" + varint(length))
    encoded = _joined([headers, values])
    starts = _offsets(encoded)
    return "bytes", _data(encoded), starts


@functools.lru_cache(4096)
def _entry_header(name: bytes) -> Header:
    key = b"\x0a" + varint(len(name)) + name + b"\x12"

    @functools.lru_cache(4096)
    def header(length: int | None, kind: str) -> bytes:
        feature = _feature_header(length, kind)
        size = len(feature) + (length or 0)
        before = key + varint(size)
        return b"\x0a" + varint(len(before) + size) + before + feature

    return header


def _feature_header(length: int | None, kind: str) -> bytes:
    """Return what stands before a payload in a tf.Feature."""
    if length is None:
        return b""
    # Numbers are packed into one field; every string of bytes is a field of its own.
    packed = b"" if kind == "bytes" or not length else b"\x0a" + varint(length)
    return bytes([_KIND_TAGS[kind]]) + varint(len(packed) + length) + packed


def varint(number: int) -> bytes:
    """Return a number that is not negative as protobuf writes it."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _varints(numbers: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    """Return int64 numbers as protobuf varints, and where each starts."""
    unsigned = numbers.astype(np.int64, copy=False).view(np.uint64)
    sizes = np.searchsorted(_VARINT_LIMITS, unsigned, side="right") + 1
    starts = np.concatenate([[0], np.cumsum(sizes)])
    width = int(sizes.max(initial=1))
    table = np.empty((len(unsigned), width), np.uint8)
    for index in range(width):
        septet = (unsigned >> np.uint64(7 * index)).astype(np.uint8) & np.uint8(0x7F)
        table[:, index] = septet | (np.uint8(0x80) * (sizes > index + 1))
    return table[np.arange(width) < sizes[:, None]], starts


def _looked_up(lengths: Any, make: Callable[[int], bytes]) -> pa.Array:
    """Return `make(length)` for every length, made once for each that occurs."""
    values, indices = distinct(lengths)
    table = _of_bytes([make(length) for length in values.tolist()])
    return pc.take(table, from_numpy(indices, pa.int64()))


def _zeros(rows: int) -> pa.Array:
    return from_numpy(np.zeros(rows), pa.int64())


def _joined(arrays: list[pa.Array]) -> pa.Array:
    empty = _of_bytes([b""])[0]
    return pc.binary_join_element_wise(*arrays, empty) if len(arrays) > 1 else arrays[0]


def _of_bytes(values: list[bytes]) -> pa.Array:
    return _binary(b"".join(values), np.cumsum([0, *map(len, values)]))


def _binary(data: Any, starts: Any) -> pa.Array:
    offsets = pa.py_buffer(np.ascontiguousarray(starts, dtype=np.int64))
    buffer = data if isinstance(data, pa.Buffer) else pa.py_buffer(data)
    return pa.Array.from_buffers(pa.large_binary(), len(starts) - 1, [None, offsets, buffer])


def _offsets(array: pa.Array) -> Any:
    """Return the offsets of a large_binary array into `_data(array)`."""
    raw = np.frombuffer(array.buffers()[1], np.int64)
    return raw[array.offset : array.offset + len(array) + 1]


def _lengths(array: pa.Array) -> Any:
    return np.diff(_offsets(array)) if len(array) else np.empty(0, np.int64)


def _data(array: pa.Array) -> pa.Buffer:
    return array.buffers()[2] or pa.py_buffer(b"")


def _slices(array: pa.Array) -> list[bytes]:
    if not len(array):
        return []
    offsets = _offsets(array)
    first = int(offsets[0])
    data = _data(array)[first : int(offsets[-1])].to_pybytes()
    starts = (offsets - first).tolist()
    return [data[a:b] for a, b in itertools.pairwise(starts)]
