"""Files of records: TFRecord as TensorFlow frames it, and Parquet, read and written in bulk.

A TFRecord is a length (8 bytes, little endian), the masked CRC-32C of these 8 bytes, the data,
and the masked CRC-32C of the data. Files are compressed with gzip unless told otherwise.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, BinaryIO, NamedTuple

import google_crc32c
import numpy as np
import pyarrow as pa

from penstock.data.coding import decoding
from penstock.data.coding.buffers import distinct, windows
from penstock.data.coding.columns import pruned_schema, select, with_schema
from penstock.data.coding.decoding import Buffered, joined
from penstock.data.coding.messages import MessageDecoder
from penstock.data.data_files import is_parquet, shard_name
from penstock.data.data_files import record_files as record_files  # noqa: PLC0414  # public here too
from penstock.data.files.closing import ClosesOnExit
from penstock.errors import DataError

DEFAULT_BATCH_ROWS = 10_000

_READ_BYTES = 1 << 20
_WRITE_BYTES = 1 << 21
# A record is held in memory, twice while it is put together.
_LONGEST_RECORD = 1 << 29
_HEADER = struct.Struct("<QI")
_HEADER_TYPE = np.dtype([("length", "<u8"), ("crc", "<u4")])
_MASK = 0xA282EAD8


def masked_crc32c(data: bytes) -> int:
    """Return the CRC-32C of data as TFRecord stores it."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK) & 0xFFFFFFFF


def frame_records(records: Sequence[bytes]) -> bytes:
    """Return records framed, one after the other."""
    count = len(records)
    headers = np.empty(count, _HEADER_TYPE)
    headers["length"] = lengths = np.fromiter(map(len, records), np.uint64, count)
    headers["crc"] = _length_crcs(lengths)
    crcs = np.fromiter(map(google_crc32c.value, records), np.uint32, count)
    footers = _masked(crcs).astype("<u4")
    parts: list[bytes] = [b""] * (3 * count)
    parts[0::3] = _pieces(headers.tobytes(), 12)
    parts[1::3] = records
    parts[2::3] = _pieces(footers.tobytes(), 4)
    return b"".join(parts)


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


class TFRecordWriter(ClosesOnExit):
    """Writes one TFRecord file, compressing in a thread of its own.

    The file is gzip if its name ends in `.gz`. The same records give the same bytes.
    """

    def __init__(self, path: str | os.PathLike[str], *, level: int = 1) -> None:
        self.path = os.fspath(path)
        self.count = 0
        self._file: BinaryIO = open(self.path, "wb")  # noqa: SIM115  # closed by close()
        gzip = self.path.endswith(".gz")
        self._deflate = zlib.compressobj(level, zlib.DEFLATED, 31) if gzip else None
        self._thread = ThreadPoolExecutor(1)
        self._pending: list[Future[None]] = []
        self._records: list[bytes] = []
        self._size = 0

    def write(self, record: bytes) -> None:
        """Append one serialized record."""
        self._records.append(record)
        self._size += len(record)
        if self._size >= _WRITE_BYTES:
            self._flush()

    def write_many(self, records: Sequence[bytes]) -> None:
        """Append serialized records."""
        self._records.extend(records)
        self._size += sum(map(len, records))
        if self._size >= _WRITE_BYTES:
            self._flush()

    def close(self) -> None:
        """Write what is left and close the file."""
        try:
            self._flush()
            for future in self._pending:
                future.result()
            if self._deflate is not None:
                self._file.write(self._deflate.flush())
        finally:
            self._thread.shutdown()
            self._file.close()

    def _flush(self) -> None:
        if not self._records:
            return
        framed = frame_records(self._records)
        self.count += len(self._records)
        self._records, self._size = [], 0
        # At most two chunks wait, so that memory stays bounded when compression is the slower.
        while len(self._pending) >= 2:
            self._pending.pop(0).result()
        self._pending.append(self._thread.submit(self._compress, framed))

    def _compress(self, framed: bytes) -> None:
        self._file.write(self._deflate.compress(framed) if self._deflate else framed)


def write_serialized(
    directory: str, prefix: str, records: Iterable[bytes], shards: int = 1, suffix: str = ".gz"
) -> list[str]:
    """Write records to TFRecord files in a folder, in turns over the shards; return the files."""
    os.makedirs(directory, exist_ok=True)
    paths = [
        os.path.join(directory, shard_name(prefix, shard, shards, suffix))
        for shard in range(shards)
    ]
    with ExitStack() as stack:
        writers = [stack.enter_context(TFRecordWriter(path)) for path in paths]
        for index, record in enumerate(records):
            writers[index % shards].write(record)
    return paths


def read_serialized(paths: str | Iterable[str]) -> Iterator[bytes]:
    """Read the records of TFRecord files one by one.

    Raises:
      DataError: a file is corrupt or truncated; the error names file, record and offset.
    """
    for path in [paths] if isinstance(paths, str) else paths:
        for batch in read_serialized_batches(path):
            yield from batch


def serialized_examples(path: str) -> Iterator[bytes]:
    """Yield the serialized examples of a file, those of a Parquet file made for the purpose."""
    if not is_parquet(path):
        yield from read_serialized(path)
        return
    from penstock.data.coding.examples import encode

    for batch in read_record_batches(path):
        yield from encode(batch)


def read_serialized_batches(path: str) -> Iterator[list[bytes]]:
    """Read the records of one TFRecord file in lists of about a megabyte of data."""
    for framed in _framed(path):
        batch = list(framed.records())
        framed.check(map(google_crc32c.value, batch))
        if batch:
            yield batch


class _Framed(NamedTuple):
    """The records that are whole in a chunk of a file's data, their own checksums not looked at.

    `starts` and `ends` leave out the framing. The chunk is at byte `offset` of the uncompressed
    data, and `read` records are before it. After these is a record whose length is wrong, if
    `then_wrong`.
    """

    path: str
    read: int
    offset: int
    data: bytes
    starts: Any
    ends: Any
    then_wrong: bool

    def records(self) -> Iterator[bytes]:
        """Return the records one after the other."""
        return map(self.data.__getitem__, map(slice, self.starts.tolist(), self.ends.tolist()))

    def check(self, crcs: Iterable[int]) -> None:
        """Raise DataError at the first record that is corrupt; `crcs` are those of the records."""
        count = len(self.starts)
        masked = _masked(np.fromiter(crcs, np.uint32, count))
        wrong = np.flatnonzero(masked != windows(self.data, self.ends, 4).reshape(-1).view("<u4"))
        if len(wrong):
            first = int(wrong[0])
            at = self.offset + int(self.starts[first]) - _HEADER.size
            raise _corrupt(self.path, "data", self.read + first, at)
        if self.then_wrong:
            at = self.offset + (int(self.ends[-1]) + 4 if count else 0)
            raise _corrupt(self.path, "length", self.read + count, at)


def _framed(path: str) -> Iterator[_Framed]:
    """Find the records of a TFRecord file in each chunk of its data."""
    length_at = struct.Struct("<Q").unpack_from
    waiting: list[bytes] = []
    held = needed = read = offset = 0
    for chunk in _ahead(_decompressed(path)):
        waiting.append(chunk)
        held += len(chunk)
        # A record that is longer than many chunks is put together once.
        if held < needed:
            continue
        data = b"".join(waiting)
        headers: list[int] = []
        start, last = 0, len(data) - _HEADER.size
        while start <= last:
            headers.append(start)
            start += 16 + length_at(data, start)[0]
        # A length's own checksum is looked at first: a wrong length could ask for anything.
        right = _right_lengths(data, headers)
        whole = right - 1 if right == len(headers) and start > len(data) else right
        bounds = np.array([*headers, min(start, len(data) + 1)], np.int64)
        starts, ends = bounds[:whole] + _HEADER.size, bounds[1 : whole + 1] - 4
        yield _Framed(path, read, offset, data, starts, ends, right < len(headers))
        done = int(bounds[whole])
        waiting, held = [data[done:]], len(data) - done
        offset += done
        read += whole
        needed = _HEADER.size
        if held >= needed:
            length = length_at(waiting[0])[0]
            if length > _LONGEST_RECORD:
                raise _too_long(path, length, read, offset)
            needed = 16 + length
    if held:
        raise DataError(
            f"TFRecord file is truncated: record {read} starts at byte {offset} of the "
            "uncompressed data and does not end",
            path=path,
            hint="Write or copy the file again.",
        )


def _too_long(path: str, length: int, record: int, offset: int) -> DataError:
    return DataError(
        f"record {record}, at byte {offset} of the uncompressed data, is said to be {length:,} "
        f"bytes long; a tf.Example has up to {_LONGEST_RECORD:,}",
        path=path,
        hint="Write or copy the file again, and check that it is a TFRecord file of tf.Examples.",
    )


def _right_lengths(data: bytes, headers: list[int]) -> int:
    """Return how many headers come before the first whose length is not that of its checksum."""
    starts = np.array(headers, np.int64)
    stored = windows(data, starts, _HEADER.size).reshape(-1).view(_HEADER_TYPE)
    wrong = np.flatnonzero(_length_crcs(stored["length"]) != stored["crc"])
    return int(wrong[0]) if len(wrong) else len(headers)


def _length_crcs(lengths: Any) -> Any:
    """Return the masked checksums of lengths, of which most come often."""
    values, indices = distinct(lengths)
    crcs = [masked_crc32c(struct.pack("<Q", length)) for length in values.tolist()]
    return np.array(crcs, np.uint32)[indices]


def _masked(crcs: Any) -> Any:
    """Return checksums as TFRecord stores them."""
    return ((crcs >> 15) | (crcs << 17)) + np.uint32(_MASK)


def _buffered(path: str, rows: int) -> Iterator[Buffered]:
    """Read the records of a TFRecord file, `rows` at a time; the last may be fewer."""
    parts: list[Buffered] = []
    waiting = 0
    for framed in _framed(path):
        framed.check(map(google_crc32c.value, framed.records()))
        records = Buffered(framed.data, framed.starts, framed.ends)
        first, count = 0, len(framed.starts)
        while waiting + count - first >= rows:
            last = first + rows - waiting
            yield joined([*parts, records.between(first, last)])
            parts, waiting, first = [], 0, last
        if first < count:
            parts.append(records.between(first, count))
            waiting += count - first
    if parts:
        yield joined(parts)


def _corrupt(path: str, part: str, record: int, offset: int) -> DataError:
    return DataError(
        f"TFRecord file is corrupt: the checksum of the {part} of record {record}, at byte "
        f"{offset} of the uncompressed data, does not match",
        path=path,
        hint="Write or copy the file again, and check that it is a TFRecord file.",
    )


def _ahead(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield chunks, the next of which is made in a thread: decompressing leaves Python's lock."""
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(next, chunks, None)
        while (chunk := waiting.result()) is not None:
            waiting = thread.submit(next, chunks, None)
            yield chunk


def _decompressed(path: str) -> Iterator[bytes]:
    try:
        file = open(path, "rb")  # noqa: SIM115  # entered below, where its errors are not caught
    except OSError as error:
        raise DataError(f"cannot read records: {error.strerror}", path=path) from error
    with file:
        head = file.read(12)
        file.seek(0)
        plain = len(head) == 12 and masked_crc32c(head[:8]) == _HEADER.unpack(head)[1]
        if plain or not head.startswith(b"\x1f\x8b"):
            yield from iter(lambda: file.read(_READ_BYTES), b"")
        else:
            yield from _inflated(path, file)


def _inflated(path: str, file: BinaryIO) -> Iterator[bytes]:
    inflate = zlib.decompressobj(31)
    done = 0
    while data := file.read(_READ_BYTES):
        while data:
            if inflate.eof:
                inflate = zlib.decompressobj(31)
            try:
                chunk = inflate.decompress(data, 4 * _READ_BYTES)
            except zlib.error as error:
                raise DataError(
                    f"gzip data are corrupt after byte {done} of the uncompressed data: {error}",
                    path=path,
                    hint="Write or copy the file again.",
                ) from error
            done += len(chunk)
            data = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            if chunk:
                yield chunk
    if not inflate.eof:
        raise DataError(
            f"gzip data are truncated after byte {done} of the uncompressed data",
            path=path,
            hint="Write or copy the file again.",
        )


def read_record_batches(
    paths: str | Iterable[str],
    batch_rows: int = DEFAULT_BATCH_ROWS,
    schema: Any = None,
    columns: Sequence[str] | None = None,
    absent: bool = True,
) -> Iterator[pa.RecordBatch]:
    """Read tf.Examples, in TFRecord or Parquet files, as Arrow record batches.

    Columns are list arrays as tfx_bsl makes them: `large_list` of int64, float or large_binary; a
    row without the feature is null, and a feature that a batch nowhere has is of Arrow's null
    type. `schema` is a `schema_pb2.Schema`: it gives the columns, their order and their types.
    `columns` reads these alone; without `absent`, and without a schema, those that a batch nowhere
    has are left out. Batches have `batch_rows` rows, but the last of a file may be smaller.

    Raises:
      DataError: a file is corrupt, or a record is not a tf.Example.
    """
    for path in [paths] if isinstance(paths, str) else paths:
        if is_parquet(path):
            from penstock.data import parquet

            batches = parquet.read_example_batches(path, batch_rows, schema, columns)
        else:
            batches = _decoded_batches(path, batch_rows, schema, columns)
        if columns is None or schema is not None:
            yield from batches
        else:
            yield from (select(batch, columns, absent) for batch in batches)


def _decoded_batches(
    path: str, batch_rows: int, schema: Any, columns: Sequence[str] | None
) -> Iterator[pa.RecordBatch]:
    pruned = pruned_schema(schema, columns)
    decoder = _decoder(pruned)
    first, alike = 0, True
    for buffered in _buffered(path, batch_rows):
        batch = _decode_alike(buffered, pruned, columns) if alike else None
        if batch is None:
            alike = False
            records = buffered.as_list()
            try:
                batch = decoder.DecodeBatch(records)
            except (RuntimeError, ValueError) as error:
                if schema is not None or columns is None:
                    raise _not_an_example(path, first, records, decoder, error) from error
                # What is wrong may be in a feature that nobody asks for.
                decoder = MessageDecoder(only=columns)
                try:
                    batch = decoder.DecodeBatch(records)
                except ValueError as named:
                    raise _not_an_example(path, first, records, decoder, named) from named
        first += len(buffered.ends)
        yield batch


def decode_records(records: Sequence[bytes], path: str, first: int = 0) -> pa.RecordBatch:
    """Return serialized tf.Examples as `read_record_batches` does; `first` came before in the file.

    Raises:
      DataError: a record is not a tf.Example.
    """
    batch = decoding.decode_alike(decoding.buffered(records), None)
    if batch is not None:
        return batch
    decoder = _decoder(None)
    try:
        return decoder.DecodeBatch(list(records))
    except (RuntimeError, ValueError) as error:
        raise _not_an_example(path, first, list(records), decoder, error) from error


def _decoder(schema: Any) -> Any:
    """Return what decodes records of any build: tfx_bsl's decoder, or ours where it is missing."""
    try:
        from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder
    except ImportError:
        return MessageDecoder(schema)
    return ExamplesToRecordBatchDecoder(None if schema is None else schema.SerializeToString())


def _decode_alike(
    records: Buffered, schema: Any, columns: Sequence[str] | None
) -> pa.RecordBatch | None:
    if schema is None:
        return decoding.decode_alike(records, columns)
    names = [feature.name for feature in schema.feature]
    batch = decoding.decode_alike(records, names)
    return None if batch is None else with_schema(batch, schema)


def _not_an_example(
    path: str, first: int, records: list[bytes], decoder: Any, error: Exception
) -> DataError:
    reason = str(error).partition(": ")[2] or str(error)
    for index, record in enumerate(records):
        try:
            decoder.DecodeBatch([record])
        except (RuntimeError, ValueError) as single:
            reason = str(single).partition(": ")[2] or str(single)
            return DataError(
                f"record {first + index} cannot be read as a tf.Example: {reason}", path=path
            )
    return DataError(
        f"records {first} to {first + len(records) - 1} cannot be read as tf.Examples: {reason}",
        path=path,
    )


def rebatch(batches: Iterable[Sequence[bytes]], rows: int) -> Iterator[list[bytes]]:
    """Cut lists of records to lists of `rows`; the last may be shorter."""
    waiting: list[bytes] = []
    for batch in batches:
        waiting.extend(batch)
        start = 0
        while len(waiting) - start >= rows:
            yield waiting[start : start + rows]
            start += rows
        if start:
            waiting = waiting[start:]
    if waiting:
        yield waiting
