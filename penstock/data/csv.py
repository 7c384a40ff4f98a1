"""CSV files to Arrow record batches, in bounded memory.

Types are those that TFX infers over the whole data: a column is int64 if all its cells are
integers of 64 bits, float if all are numbers, and bytes otherwise; an empty cell is no value.
Cells are read as text twice, once to infer and once to convert, by Arrow's reader; only what its
number parser refuses, and Python's accepts (as ` 1` or `1_000`), takes a slower way.
"""

from __future__ import annotations

import codecs
import csv as python_csv
import gzip
import io
import itertools
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from penstock.data.coding.buffers import to_numpy
from penstock.data.csv_options import TYPE_NAMES, ColumnType
from penstock.data.csv_options import CsvOptions as CsvOptions  # noqa: PLC0414  # public here too
from penstock.data.data_files import is_data
from penstock.errors import DataError, ParameterError, suggestion

K = TypeVar("K")

_INT64_LIMIT = 1 << 63
_SCAN_BYTES = 1 << 20
# What gzip, zipfile and the file system raise; broken deflate data are zlib's, and a RuntimeError
# says that an archive is encrypted or compressed in an unknown way.
_READ_ERRORS = (EOFError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error)
# Bytes that are not in the encoding, as `_rows` lets them through.
_ESCAPED = re.compile("[\udc80-\udcff]")
_NEWLINE = re.compile("\r\n|\r|\n")
_SLOWLY_COUNTED_ROWS = 1_000_000
_LONGEST_CELL = 1 << 30
_LONGEST_ROW = 1 << 30
_LONGEST_HEADER = 1 << 24


ARROW_TYPES = {
    ColumnType.EMPTY: pa.null(),
    ColumnType.INT: pa.int64(),
    ColumnType.FLOAT: pa.float32(),
    ColumnType.BYTES: pa.large_binary(),
}


@dataclass(frozen=True)
class CsvColumns:
    """The columns that CSV files have in common, in their order, and their types."""

    names: tuple[str, ...]
    types: tuple[ColumnType, ...]

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the record batches."""
        return pa.schema(
            [(name, ARROW_TYPES[kind]) for name, kind in zip(self.names, self.types, strict=True)]
        )


class TypeChange(NamedTuple):
    """A column that begins with numbers and is text because of a cell, in a line of a file."""

    column: str
    cell: str
    where: str

    def __str__(self) -> str:
        return (
            f"column {self.column!r} begins with numbers and is text because of {self.cell} "
            f"({self.where}). If it should be numbers, correct the cell or list it in "
            "CsvOptions.null_values, and state the type in CsvOptions.column_types."
        )


@dataclass(frozen=True)
class _Start:
    """Where a batch starts: a file, or a member of a zip archive, and a row of it, from 0."""

    path: str
    member: str | None
    row: int

    @property
    def file_name(self) -> str:
        """The file's name for a reader."""
        return _file_name(self.path, self.member)


def read_csv(paths: Sequence[str], options: CsvOptions = CsvOptions()) -> Iterator[pa.RecordBatch]:
    """Read CSV files with a header, one after the other, as record batches of flat columns.

    Raises:
      DataError: see `infer_columns`.
    """
    columns = infer_columns(paths, options)
    for path in paths:
        yield from read_file(path, columns, options)


def infer_columns(
    paths: Sequence[str],
    options: CsvOptions = CsvOptions(),
    notice: Callable[[TypeChange], None] = lambda _: None,
    part: tuple[int, int] = (0, 1),
) -> CsvColumns:
    """Read all files once to learn their columns and types.

    Files may be gzip (`.gz`) or zip (`.zip`) archives of CSV files. `notice` is told of every
    column that begins with numbers and is text because of a later cell. Of several parts, by
    number and count, each infers some columns; the others are EMPTY (see `join_types`).

    Raises:
      DataError: a file is empty, headers differ, a row has too many or too few cells, or text is
        not in the encoding; the error names file, line and column as far as they are known.
    """
    names = common_header(paths, options)
    fixed = fixed_types(names, options)
    types = [fixed.get(name, ColumnType.EMPTY) for name in names]
    number, parts = part
    open_columns = [index for index, name in enumerate(names) if name not in fixed][number::parts]
    for path in paths:
        for batch, start in _text_batches(path, names, options):
            for index in open_columns:
                earlier, cells = types[index], batch.column(index)
                types[index] = widened(earlier, cells)
                if earlier is not types[index] is ColumnType.BYTES:
                    changed = _turned_to_text(earlier, cells)
                    if changed is not None:
                        notice(_type_change(names[index], cells, changed, start, options))
    return CsvColumns(names, tuple(types))


def join_types(parts: Sequence[CsvColumns]) -> CsvColumns:
    """Return the columns of which each part has inferred some."""
    kinds = zip(*(part.types for part in parts), strict=True)
    return CsvColumns(parts[0].names, tuple(map(max, kinds)))


def align_types(by_split: Mapping[K, CsvColumns]) -> dict[K, CsvColumns]:
    """Give a column the same type in all splits or files; their columns may be different."""
    greatest: dict[str, ColumnType] = {}
    for columns in by_split.values():
        for name, kind in zip(columns.names, columns.types, strict=True):
            greatest[name] = max(kind, greatest.get(name, ColumnType.EMPTY))
    return {
        split: CsvColumns(columns.names, tuple(greatest[name] for name in columns.names))
        for split, columns in by_split.items()
    }


def read_file(path: str, columns: CsvColumns, options: CsvOptions) -> Iterator[pa.RecordBatch]:
    """Read one file whose columns are known, as record batches of flat columns.

    Raises:
      DataError: as in `infer_columns`, or a cell is not of the type of its column.
    """
    for block in read_blocks(path, columns, options):
        yield block()


# Gives some rows of a file, of the types of their columns, converted when it is called.
BlockReader = Callable[[], pa.RecordBatch]


def read_blocks(path: str, columns: CsvColumns, options: CsvOptions) -> Iterator[BlockReader]:
    """Read one file as `read_file` does, but leave the conversion of a batch to who wants it."""
    for batch, start in _text_batches(path, columns.names, options):
        yield partial(_typed, batch, start, columns, options)


def read_texts(
    path: str, options: CsvOptions = CsvOptions()
) -> Iterator[tuple[pa.RecordBatch, Callable[[int], int | None]]]:
    """Read one file with every cell as text, and null where it means no value.

    With each batch comes what tells the line of one of its rows, or None where that is not known.

    Raises:
      DataError: as in `infer_columns`.
    """
    for batch, start in _text_batches(path, common_header([path], options), options):
        yield batch, partial(_line_in, start, options)


def _line_in(start: _Start, options: CsvOptions, row: int) -> int | None:
    return _line_of(start, start.row + row, options)


def numbers_of(cells: pa.Array) -> pa.Array | None:
    """Return cells of text as whole numbers or as doubles, None if one is no number."""
    if not len(cells):
        return pa.array([], pa.float64())
    integers = _integers(cells)
    return _float_cast(cells) if integers is None else integers


def block_count(paths: Sequence[str], options: CsvOptions) -> int:
    """Return how many blocks files have at least, judged by their sizes."""
    return 1 + sum(map(os.path.getsize, paths)) // max(options.block_size, 1)


def _typed(
    batch: pa.RecordBatch, start: _Start, columns: CsvColumns, options: CsvOptions
) -> pa.RecordBatch:
    arrays = [
        _converted(batch.column(index), kind, columns.names[index], start, options)
        for index, kind in enumerate(columns.types)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=columns.schema)


def fixed_types(names: Sequence[str], options: CsvOptions) -> dict[str, ColumnType]:
    """Return the types that the options fix, after checking their names."""
    for column in options.column_types:
        if column not in names:
            raise ParameterError(
                f"CsvOptions.column_types: the data have no column {column!r}",
                hint=suggestion(column, names, noun="column"),
            )
    return {column: TYPE_NAMES[name] for column, name in options.column_types.items()}


def common_header(paths: Sequence[str], options: CsvOptions) -> tuple[str, ...]:
    """Return the header that all files share.

    Raises:
      DataError: a file has no header, names a column twice, or has another header than the first.
    """
    first: tuple[str, ...] | None = None
    for path in paths:
        for member in _members(path):
            header = _header(path, member, options)
            if first is None:
                first, first_path = header, _file_name(path, member)
            elif header != first:
                raise _other_header(first, first_path, header, _file_name(path, member))
    if first is None:
        raise DataError("there are no CSV files to read")
    return first


def _other_header(
    first: tuple[str, ...], first_path: str, header: tuple[str, ...], path: str
) -> DataError:
    missing = [name for name in first if name not in header]
    extra = [name for name in header if name not in first]
    differences = []
    if missing:
        differences.append(f"without {', '.join(map(repr, missing))}")
    if extra:
        differences.append(f"with {', '.join(map(repr, extra))}")
    difference = " and ".join(differences) or "with the same columns in another order"
    return DataError(
        f"all CSV files need the same header; this one is {difference}, compared with {first_path}",
        path=path,
        line=1,
    )


def _header(path: str, member: str | None, options: CsvOptions) -> tuple[str, ...]:
    file_name = _file_name(path, member)
    try:
        with _rows(path, member, options, _LONGEST_HEADER) as rows:
            header = next((row for row in rows if row), None)
            line = rows.line_num
    except (*_READ_ERRORS, UnicodeError, python_csv.Error) as error:
        raise _unreadable(file_name, error) from error
    if header is None:
        raise DataError(
            "the CSV file is empty", path=file_name, hint="Its first line must name the columns."
        )
    if len(header) > options.max_columns:
        raise DataError(
            f"the header has {len(header):,} columns; up to {options.max_columns:,} are expected",
            path=file_name,
            line=line,
            hint="Is the delimiter right? If so, set CsvOptions.max_columns: each column takes "
            "milliseconds and some 50 kB of memory in every step.",
        )
    if any(map(_ESCAPED.search, header)):
        raise _located(path, member, (), options, ValueError("undecodable header"))
    counts = Counter(header)
    twice = next((name for name in header if counts[name] > 1), None)
    if twice:
        columns = [index for index, name in enumerate(header, 1) if name == twice]
        raise DataError(
            f"the header names {twice!r} twice, as columns {columns[0]} and {columns[1]}",
            path=file_name,
            line=line,
            hint="Every column needs a name of its own.",
        )
    if "" in header:
        raise DataError(
            "the header has a column without a name",
            path=file_name,
            line=line,
            column=header.index("") + 1,
            hint="Name it, or take the column and its delimiters out.",
        )
    return tuple(header)


def _unreadable(file_name: str, error: Exception) -> DataError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(
        f"cannot read the CSV file: {reason}", path=file_name, hint="Write or copy the file again."
    )


def widened(earlier: ColumnType, cells: pa.Array) -> ColumnType:
    """Return the type of a column when these cells, as text, are added to it."""
    if earlier is ColumnType.BYTES or cells.null_count == len(cells):
        return earlier
    if earlier <= ColumnType.INT and _integers(cells) is not None:
        return ColumnType.INT
    if _numbers(cells) is not None:
        # Integers alone do not come here, unless there is an odd one among them.
        return max(earlier, _slow_type(cells) if earlier <= ColumnType.INT else ColumnType.FLOAT)
    return max(earlier, _slow_type(cells))


def _integers(cells: pa.Array) -> pa.Array | None:
    """Return cells as int64 if Arrow and Python both read them so."""
    first = cells[0].as_py()
    # A column of text fails here in no time; Arrow's error costs a thousand cells.
    if first is not None and not first[-1:].isdecimal():
        return None
    try:
        numbers = pc.cast(cells, pa.int64())
    except pa.ArrowInvalid:
        return None
    # Arrow reads 0x10 as 16, Python does not.
    return None if _has_x(cells) else numbers


def _has_x(cells: pa.Array) -> bool:
    _, offsets, data = cells.buffers()
    if data is None or not len(cells):
        return False
    bounds = np.frombuffer(offsets, np.int32)[[cells.offset, cells.offset + len(cells)]]
    text = memoryview(data)[int(bounds[0]) : int(bounds[1])].tobytes()
    return b"x" in text or b"X" in text


def _numbers(cells: pa.Array) -> pa.Array | None:
    """Return cells as doubles if Arrow reads them so and none is a long integer."""
    try:
        numbers = pc.cast(cells, pa.float64())
    except pa.ArrowInvalid:
        return None
    values = to_numpy(pc.drop_null(numbers))
    # TFX takes integers beyond 64 bits for text; so large numbers are looked at one by one.
    large = np.abs(values) >= _INT64_LIMIT
    return None if bool(np.any(large & np.isfinite(values))) else numbers


def _slow_type(cells: pa.Array) -> ColumnType:
    kind = ColumnType.EMPTY
    for text in pc.unique(cells).to_pylist():
        kind = max(kind, cell_type(text))
        if kind is ColumnType.BYTES:
            break
    return kind


def _turned_to_text(earlier: ColumnType, cells: pa.Array) -> int | None:
    """Return the first cell that is text, in a column that began with numbers."""
    numeric = earlier in (ColumnType.INT, ColumnType.FLOAT)
    for index, text in enumerate(cells.to_pylist()):
        kind = cell_type(text)
        if kind is ColumnType.BYTES:
            return index if numeric else None
        numeric = numeric or kind is not ColumnType.EMPTY
    return None


def _type_change(
    column: str, cells: pa.Array, index: int, start: _Start, options: CsvOptions
) -> TypeChange:
    row = start.row + index
    line = _line_of(start, row, options) if row < _SLOWLY_COUNTED_ROWS else None
    where = f"{start.file_name}, row {row + 1}" if line is None else f"{start.file_name}:{line}"
    return TypeChange(column, _excerpt(cells[index]), where)


def cell_type(text: str | None) -> ColumnType:
    """Return the type of one cell, by the rules of TFX."""
    if not text:
        return ColumnType.EMPTY
    # TFX looks at bytes, where digits of other scripts are no digits.
    raw = text.encode()
    try:
        return ColumnType.INT if -_INT64_LIMIT <= int(raw) < _INT64_LIMIT else ColumnType.BYTES
    except ValueError:
        pass
    try:
        float(raw)
    except ValueError:
        return ColumnType.BYTES
    return ColumnType.FLOAT


def _converted(
    cells: pa.Array, kind: ColumnType, column: str, start: _Start, options: CsvOptions
) -> pa.Array:
    if kind is ColumnType.EMPTY:
        return pa.nulls(len(cells))
    if kind is ColumnType.BYTES:
        return pc.cast(cells, pa.large_binary())
    if kind is ColumnType.INT:
        numbers = _integers(cells)
        return _parsed(cells, int, column, start, options) if numbers is None else numbers
    numbers = _float_cast(cells)
    if numbers is None:
        numbers = _parsed(cells, float, column, start, options)
    return pc.cast(numbers, pa.float32(), safe=False)


def _float_cast(cells: pa.Array) -> pa.Array | None:
    try:
        return pc.cast(cells, pa.float64())
    except pa.ArrowInvalid:
        return None


def _parsed(
    cells: pa.Array,
    parse: Callable[[bytes], int | float],
    column: str,
    start: _Start,
    options: CsvOptions,
) -> pa.Array:
    encoded = pc.dictionary_encode(cells)
    values: list[int | float | None] = []
    for text in encoded.dictionary.to_pylist():
        try:
            value = None if text is None else parse(text.encode())
            if parse is int and value is not None and not -_INT64_LIMIT <= value < _INT64_LIMIT:
                raise ValueError
        except ValueError:
            row = start.row + cells.to_pylist().index(text)
            line = _line_of(start, row, options)
            expected = "an integer of 64 bits" if parse is int else "a number"
            raise DataError(
                f"expected {expected}, got {_excerpt(text)}"
                + ("" if line else f" in row {row + 1} of the data"),
                path=start.file_name,
                line=line,
                column=column,
                hint="Correct the cell, list it in null_values, or change column_types.",
            ) from None
        values.append(value)
    table = pa.array(values, pa.int64() if parse is int else pa.float64())
    return pc.take(table, encoded.indices)


def _text_batches(
    path: str, names: tuple[str, ...], options: CsvOptions
) -> Iterator[tuple[pa.RecordBatch, _Start]]:
    """Read one file with every cell as text, and null where it means no value."""
    convert = arrow_csv.ConvertOptions(
        column_types={name: pa.string() for name in names},
        include_columns=list(names),
        null_values=["", *options.null_values],
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
    )
    for member in _members(path):
        rows, block_size = 0, options.block_size
        while True:
            try:
                for batch in _blocks(path, member, options, convert, block_size, rows):
                    yield batch, _Start(path, member, rows)
                    rows += batch.num_rows
                break
            except (pa.ArrowException, UnicodeError, *_READ_ERRORS) as error:
                if not _is_longer_than_a_block(error, path, member, options):
                    if _is_header_only(error):
                        break
                    raise _located(path, member, names, options, error) from error
                if block_size >= _LONGEST_ROW:
                    raise DataError(
                        f"row {rows + 1} of the data is longer than {_LONGEST_ROW >> 20} MB",
                        path=_file_name(path, member),
                        hint="Is a closing quote missing?",
                    ) from error
                block_size = min(block_size * 16, _LONGEST_ROW)


def _blocks(
    path: str,
    member: str | None,
    options: CsvOptions,
    convert: arrow_csv.ConvertOptions,
    block_size: int,
    first_row: int,
) -> Iterator[pa.RecordBatch]:
    """Read one file with blocks of some size, from a row on."""
    read = arrow_csv.ReadOptions(block_size=block_size, use_threads=True)
    parse = arrow_csv.ParseOptions(
        delimiter=options.delimiter,
        quote_char=options.quote_char,
        # Following quotes over block borders costs; most files have none.
        newlines_in_values=_has_quotes(path, member, options),
    )
    with _opened_for_arrow(path, member, options) as file:
        for batch in arrow_csv.open_csv(
            file, read_options=read, parse_options=parse, convert_options=convert
        ):
            fresh = batch.slice(min(first_row, batch.num_rows))
            first_row -= batch.num_rows - fresh.num_rows
            if fresh.num_rows:
                yield fresh


def _is_longer_than_a_block(
    error: Exception, path: str, member: str | None, options: CsvOptions
) -> bool:
    """Whether Arrow gave up because a row, or the header, did not fit into a block."""
    if "straddl" in str(error):
        return True
    if not _is_header_only(error):
        return False
    try:
        with _rows(path, member, options) as rows:
            return len(list(itertools.islice((row for row in rows if row), 2))) == 2
    except (*_READ_ERRORS, UnicodeError, python_csv.Error):
        return False


def _is_header_only(error: Exception) -> bool:
    return "Empty CSV file" in str(error)


def _members(path: str) -> list[str | None]:
    """Return the CSV files in a zip archive, or None for the file itself."""
    if not path.endswith(".zip"):
        return [None]
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not _is_hidden(name)]
    except (*_READ_ERRORS, ValueError) as error:
        raise DataError(
            f"cannot read the zip archive: {error}", path=path, hint="Write or copy it again."
        ) from error
    if not names:
        raise DataError("the zip archive has no files", path=path)
    return [*sorted(names)]


def _is_hidden(name: str) -> bool:
    base = os.path.basename(name)
    return name.startswith("__MACOSX/") or not base or not is_data(name)


def _file_name(path: str, member: str | None) -> str:
    return path if member is None else f"{path}!{member}"


@contextmanager
def _opened(path: str, member: str | None) -> Iterator[IO[bytes]]:
    """Open the bytes of a CSV file, decompressed."""
    if member is not None:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            yield file
        return
    opened: Any = gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")  # noqa: SIM115
    with opened as file:
        yield file


@contextmanager
def _opened_for_arrow(
    path: str, member: str | None, options: CsvOptions
) -> Iterator[pa.NativeFile]:
    """Open the text of a CSV file, in UTF-8, as a file of Arrow's own.

    Arrow reads ahead in threads of its own; when it meets an error while one of them waits for
    Python, to read from a file of Python's or to decode, both wait for ever.
    """
    is_utf8 = codecs.lookup(options.encoding).name == "utf-8"
    if member is None and is_utf8:
        with pa.OSFile(path) as file:
            if path.endswith(".gz"):
                with pa.CompressedInputStream(file, "gzip") as inflated:
                    yield inflated
            else:
                yield file
        return
    with tempfile.NamedTemporaryFile(suffix=".csv") as copy:
        with _opened(path, member) as source:
            if is_utf8:
                shutil.copyfileobj(source, copy)
            else:
                text = io.TextIOWrapper(source, options.encoding, newline="")
                for chunk in iter(lambda: text.read(_SCAN_BYTES), ""):
                    copy.write(chunk.encode())
        copy.flush()
        with pa.OSFile(copy.name) as file:
            yield file


def _has_quotes(path: str, member: str | None, options: CsvOptions) -> bool:
    """Whether a quote may be in the file."""
    if "16" in options.encoding or "32" in options.encoding:
        return True
    quote = options.quote_char.encode(options.encoding)
    with _opened(path, member) as file:
        return any(quote in chunk for chunk in iter(lambda: file.read(_SCAN_BYTES), b""))


@contextmanager
def _rows(
    path: str, member: str | None, options: CsvOptions, longest_line: int = _LONGEST_ROW
) -> Iterator[Any]:
    """Read a file with Python's own reader, which knows lines.

    A byte order mark is skipped, and bytes that are not in the encoding are let through. A line
    that is longer is an `OSError`.
    """
    encoding = "utf-8-sig" if options.encoding.lower() in ("utf-8", "utf8") else options.encoding
    limit = python_csv.field_size_limit(_LONGEST_CELL)
    try:
        with _opened(path, member) as file:
            text = io.TextIOWrapper(file, encoding, errors="surrogateescape", newline="")
            yield python_csv.reader(
                _lines(text, longest_line),
                delimiter=options.delimiter,
                quotechar=options.quote_char,
            )
    finally:
        python_csv.field_size_limit(limit)


def _lines(text: io.TextIOWrapper, longest: int) -> Iterator[str]:
    while line := text.readline(longest):
        if len(line) == longest:
            raise OSError(f"it has a line of more than {longest:,} characters")
        yield line


def _located(
    path: str, member: str | None, names: tuple[str, ...], options: CsvOptions, error: Exception
) -> DataError:
    """Find the line of what Arrow refuses, by reading the file again, slowly."""
    file_name = _file_name(path, member)
    if isinstance(error, _READ_ERRORS):
        return _unreadable(file_name, error)
    try:
        bad = _undecodable(path, member, options)
        ragged = None if bad else _ragged_row(path, member, names, options)
    except (*_READ_ERRORS, UnicodeError, python_csv.Error):
        return _unreadable(file_name, error)
    if bad is not None:
        line, column, reason = bad
        return DataError(
            f"text is not {options.encoding}: {reason}",
            path=file_name,
            line=line,
            column=names[column] if column < len(names) else None,
            hint="Convert the file, or name its encoding in CsvOptions.encoding.",
        )
    if ragged is None:
        return _unreadable(file_name, error)
    line, row = ragged
    return DataError(
        f"expected {len(names)} cells, as in the header, got {len(row)}: "
        f"{_excerpt(options.delimiter.join(row))}",
        path=file_name,
        line=line,
        hint="Quote cells that hold the delimiter, or set CsvOptions.delimiter.",
    )


def _ragged_row(
    path: str, member: str | None, names: tuple[str, ...], options: CsvOptions
) -> tuple[int, list[str]] | None:
    """Return the line and the cells of the first row that has too many or too few."""
    with _rows(path, member, options) as rows:
        line = 1
        for row in rows:
            if row and len(row) != len(names):
                return line, row
            line = rows.line_num + 1
    return None


def _undecodable(path: str, member: str | None, options: CsvOptions) -> tuple[int, int, str] | None:
    """Return line, column and reason of the first text that is not in the encoding."""
    with _rows(path, member, options) as rows:
        line = 1
        for row in rows:
            for index, cell in enumerate(row):
                match = _ESCAPED.search(cell)
                if match:
                    before = "".join([*row[:index], cell[: match.start()]])
                    lines = len(_NEWLINE.findall(before))
                    return line + lines, index, _decoding_error(cell, options.encoding)
            line = rows.line_num + 1
    return None


def _decoding_error(cell: str, encoding: str) -> str:
    try:
        cell.encode(encoding, "surrogateescape").decode(encoding)
    except UnicodeError as error:
        return str(error)
    return "it cannot be decoded"


def _line_of(start: _Start, row: int, options: CsvOptions) -> int | None:
    """Return the line on which a row starts, or None where that cannot be told."""
    try:
        with _rows(start.path, start.member, options) as rows:
            line, number = 1, -1  # the header
            for cells in rows:
                if cells:
                    if number == row:
                        return line
                    number += 1
                line = rows.line_num + 1
    except (*_READ_ERRORS, UnicodeError, python_csv.Error):
        pass
    return None


def _excerpt(text: Any) -> str:
    text = str(text)
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
