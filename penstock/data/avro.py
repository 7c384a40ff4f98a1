"""Avro files (object container files of Apache Avro 1.11) to Arrow record batches.

Numbers, booleans, text, bytes, enumerations, fixed bytes, dates, times, decimals and UUIDs become
columns, and so do lists of these; any of them may be null. How columns become features is said in
`penstock.data.coding.examples.encode`. Other records, maps and lists of lists have no place there.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import fastavro
import pyarrow as pa
from fastavro.schema import SchemaParseException

from penstock.data.file_columns import located, of_types
from penstock.errors import DataError

FORM = "Avro"

# What fastavro raises of files that are damaged, cut off, or no Avro at all.
_READ_ERRORS = (
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    OSError,
    AttributeError,
    SchemaParseException,
)
_PLAIN = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
    "enum": pa.string(),
    "fixed": pa.binary(),
}
_LOGICAL = {
    "date": pa.date32(),
    "time-millis": pa.time64("us"),
    "time-micros": pa.time64("us"),
    "timestamp-millis": pa.timestamp("us", "UTC"),
    "timestamp-micros": pa.timestamp("us", "UTC"),
    "local-timestamp-millis": pa.timestamp("us"),
    "local-timestamp-micros": pa.timestamp("us"),
    "uuid": pa.string(),
}
# In this order each holds the values of those before it.
_NUMBERS = (pa.int32(), pa.int64(), pa.float32(), pa.float64())
_SYNC_BYTES = 16
_PART_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class Part:
    """Some blocks of a file that stand one after the other: from a byte to a byte of it."""

    path: str
    begin: int
    end: int


def schema_of(path: str) -> pa.Schema:
    """Return the columns of an Avro file.

    Raises:
      DataError: it is none, or its rows are no records.
    """
    try:
        with open(path, "rb") as file:
            written = fastavro.block_reader(file).writer_schema
    except _READ_ERRORS as error:
        raise _unreadable(path, error) from error
    if not isinstance(written, Mapping) or written.get("type") not in ("record", "error"):
        raise DataError("the rows of the Avro file are no records", path=path)
    named: dict[str, Any] = {}
    fields = [(field["name"], _column(field["type"], named)) for field in written["fields"]]
    return pa.schema(fields)


def parts_of(path: str) -> list[Part]:
    """Return an Avro file in parts of some megabytes, each of which can be read on its own.

    Raises:
      DataError: it is none, or it is cut off.
    """
    parts: list[Part] = []
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            begin = at = _header_bytes(file, size)
            while at < size:
                file.seek(at)
                _read_long(file)
                length = _read_long(file)
                at = file.tell() + length + _SYNC_BYTES
                if length < 0 or at > size:
                    raise EOFError(f"its last block ends at byte {at}, and the file at {size}")
                if at - begin >= _PART_BYTES or at == size:
                    parts.append(Part(path, begin, at))
                    begin = at
    except _READ_ERRORS as error:
        raise _unreadable(path, error) from error
    return parts


def read_part(
    part: Part, types: Mapping[str, pa.DataType], batch_rows: int = 10_000
) -> Iterator[pa.RecordBatch]:
    """Read a part as record batches, with the columns of `types`, from `common_types`.

    Raises:
      DataError: a block is damaged.
    """
    path = part.path
    own = schema_of(path)
    names = [name for name in types if name in own.names]
    kinds = {name: own.field(name).type for name in names}
    try:
        with open(path, "rb") as file:
            header = file.read(_header_bytes(file, part.end))
            file.seek(part.begin)
            blocks = io.BytesIO(header + file.read(part.end - part.begin))
        rows: list[Any] = []
        for row in fastavro.reader(blocks):
            rows.append(row)
            if len(rows) == batch_rows:
                yield _batch(rows, kinds, types, path)
                rows = []
        if rows:
            yield _batch(rows, kinds, types, path)
    except _READ_ERRORS as error:
        raise _unreadable(path, error) from error


def _batch(
    rows: Sequence[Mapping[str, Any]],
    kinds: Mapping[str, pa.DataType],
    types: Mapping[str, pa.DataType],
    path: str,
) -> pa.RecordBatch:
    arrays = []
    for name, kind in kinds.items():
        values = [row[name] for row in rows]
        try:
            arrays.append(pa.array(map(_plain, values) if _is_text(kind) else values, kind))
        except (pa.ArrowException, ValueError, OverflowError) as error:
            with located(path):
                raise DataError(
                    f"the column does not hold what its schema says: {error}", column=name
                ) from error
    batch = pa.RecordBatch.from_arrays(arrays, names=list(kinds))
    return of_types(batch, types, list(kinds), path)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind))


def _plain(value: Any) -> Any:
    """Return text as it is, and of a UUID the text."""
    return value if value is None or isinstance(value, str) else str(value)


def _column(written: Any, named: dict[str, Any]) -> pa.DataType:
    """Return the type of a column for a type of Avro's; `named` are those that have a name."""
    if isinstance(written, str):
        if written in _PLAIN:
            return _PLAIN[written]
        return _column(named[written], named) if written in named else pa.struct([])
    if isinstance(written, Sequence):
        return _common([_column(one, named) for one in written])
    kind = written["type"]
    if isinstance(kind, (Mapping, list)):
        return _column(kind, named)
    if "name" in written:
        named[written["name"]] = written
    if kind == "array":
        return pa.list_(_column(written["items"], named))
    logical = written.get("logicalType")
    if logical == "decimal":
        precision, scale = written["precision"], written.get("scale", 0)
        decimal = pa.decimal128 if precision <= 38 else pa.decimal256
        return decimal(precision, scale)
    if logical in _LOGICAL:
        return _LOGICAL[logical]
    # What has no place in a tf.Example is refused by who looks at the types, if it is read at all.
    return _PLAIN.get(kind, pa.struct([]))


def _common(kinds: Sequence[pa.DataType]) -> pa.DataType:
    """Return the type that holds the values of all types of a union."""
    distinct = [kind for kind in dict.fromkeys(kinds) if not pa.types.is_null(kind)]
    if len(distinct) <= 1:
        return distinct[0] if distinct else pa.null()
    if all(kind in _NUMBERS for kind in distinct):
        has_large = pa.int64() in distinct or pa.int32() in distinct
        widest = max(distinct, key=_NUMBERS.index)
        return pa.float64() if widest == pa.float32() and has_large else widest
    return pa.struct([])


def _header_bytes(file: BinaryIO, size: int) -> int:
    """Return the bytes of a file before its first block."""
    file.seek(0)
    first = next(fastavro.block_reader(file), None)
    file.seek(0)
    return size if first is None else int(first.offset)


def _read_long(file: BinaryIO) -> int:
    """Read a long of Avro's: seven bits a byte, the sign in the lowest."""
    number = shift = 0
    while True:
        byte = file.read(1)
        if not byte or shift > 63:
            raise EOFError("a block has no length")
        number |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return (number >> 1) ^ -(number & 1)
        shift += 7


def _unreadable(path: str, error: Exception) -> DataError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(
        f"cannot read the Avro file: {reason[:300]}",
        path=path,
        hint="Write or copy the file again, and check that it is an Avro file.",
    )
