"""What a CSV file's columns are good for, found out without TensorFlow: numbers, categories, none.

What is decided here is written into a new project as code, for people to correct.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from penstock.errors import DataError, ParameterError, suggestion
from penstock.surfaces.cli import cells as written
from penstock.surfaces.cli.cells import NumberForm

# Cells that stand for no value where the rest of a column are numbers; an empty cell always does.
_NULLS = frozenset({"NA", "N/A", "n/a", "na", "NaN", "nan", "NULL", "null", "None", "?", "-"})
_DELIMITERS = ",;\t|"
_ENCODINGS = ("utf-8-sig", "cp1252", "latin-1")
_SNIFFED_BYTES = 1 << 16
# Different values are told apart up to so many, further rows only by their number.
_MOST_VALUES = 1000
_MOST_CLASSES = 20
# Fewer rows than these are numbered by chance.
_LEAST_NUMBERED = 3


class Task(StrEnum):
    """What there is to learn about a label."""

    BINARY = "binary"
    CLASSES = "classes"
    REGRESSION = "regression"


class Kind(StrEnum):
    """The type that ExampleGens give a column."""

    INT = "INT"
    FLOAT = "FLOAT"
    BYTES = "BYTES"


@dataclass(frozen=True)
class Column:
    """A column: its cells' type, how many rows have a value, and the values while they are few."""

    name: str
    kind: Kind
    present: int
    rows: int
    values: tuple[tuple[str, int], ...]
    many_values: bool = False
    is_date: bool = False
    mean: float = 0.0
    spread: float = 0.0
    least: float = 0.0
    greatest: float = 0.0
    numbers_rows: bool = False
    number_form: NumberForm | None = None
    is_decorated: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether every row has a value."""
        return self.present == self.rows

    def reason_to_leave_out(self) -> str | None:
        """Return why a model should not be given the column as it is, if there is a reason."""
        if not self.present:
            return "no row has a value"
        if len(self.values) == 1 and not self.many_values:
            return f"always {self.values[0][0]!r}"
        if self.numbers_rows:
            return "it numbers the rows: consecutive integers, each once"
        if self.is_date:
            return "dates; derive what matters, as the weekday or an age, in a column of its own"
        if self.is_decorated:
            return (
                f"numbers with signs beside them, as {self.values[0][0]!r}; write them without, "
                "or give them a column of their own"
            )
        differs = self.many_values or len(self.values) > 0.95 * self.present
        if self.kind is Kind.BYTES and (self.many_values or len(self.values) > self.present / 2):
            return "as good as every row has a text of its own"
        named_id = re.search(r"(^|[\W_])(id|nr|no|number|index|key)\W*$", self.name, re.IGNORECASE)
        camel_id = self.name.endswith(("Id", "ID", "Number", "Index"))
        if self.kind is Kind.INT and differs and (named_id or camel_id):
            return "a number that names the row"
        return None


@dataclass(frozen=True)
class Table:
    """A CSV file: how it is written, and its columns."""

    path: Path
    delimiter: str
    encoding: str
    rows: int
    columns: tuple[Column, ...]
    null_values: tuple[str, ...] = ()
    shown: Path = Path()

    def column(self, name: str) -> Column:
        """Return a column; raise ParameterError with the nearest name where there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        names = [column.name for column in self.columns]
        raise ParameterError(
            f"{self.shown} has no column {name!r}", hint=suggestion(name, names, noun="column")
        )


def read_table(path: Path, shown: Path | None = None) -> Table:
    """Read a CSV file with a header from beginning to end; `shown` is what errors call it.

    Raises:
      DataError: it is missing or empty, or a row is ragged; the error names file and line.
    """
    shown = shown or path
    delimiter, encoding = written_as(path, shown)
    rows = read_rows(path, delimiter, encoding, shown=shown)
    header = next(rows)[1]
    _check_header(shown, header, delimiter)
    columns = [_Cells(name) for name in header]
    count = 0
    for _, row in rows:
        for cells, cell in zip(columns, row, strict=True):
            cells.add(cell)
        count += 1
    if not count:
        raise DataError("there is a header and no row", path=str(shown))
    # A cell that means nothing in one column does so in all: ExampleGens know one list.
    nulls = tuple(sorted(set().union(*(cells.nulls_among_numbers() for cells in columns))))
    kinds = _kinds(path, delimiter, encoding, nulls)
    described = tuple(
        cells.column(kind, count, nulls, delimiter)
        for cells, kind in zip(columns, kinds, strict=True)
    )
    return Table(path, delimiter, encoding, count, described, nulls, shown)


def written_as(path: Path, shown: Path) -> tuple[str, str]:
    """Return the delimiter and the encoding of a CSV file.

    Raises:
      DataError: it is missing, empty or no text.
    """
    encoding = _encoding(path, shown)
    return _delimiter(path, encoding), encoding


def _kinds(path: Path, delimiter: str, encoding: str, nulls: tuple[str, ...]) -> list[Kind]:
    """Return the types that CsvExampleGen will give the columns."""
    from penstock.data.csv import infer_columns
    from penstock.data.csv_options import CsvOptions

    options = CsvOptions(delimiter, null_values=nulls, encoding=encoding)
    types = infer_columns([str(path)], options).types
    return [Kind[kind.name] if kind.name in Kind.__members__ else Kind.BYTES for kind in types]


def read_rows(
    path: Path, delimiter: str, encoding: str, shown: Path | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Yield the header and the rows with the lines that they end on; blank lines are none."""
    shown = shown or path
    with path.open(newline="", encoding=encoding) as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        width = None
        try:
            for row in reader:
                if not row:
                    continue
                width = width or len(row)
                if len(row) != width:
                    raise DataError(
                        f"expected {width} cells, as in the header, and the row has {len(row)}",
                        path=str(shown),
                        line=reader.line_num,
                        hint=f"Cells are cut at {delimiter!r}; one that has it in it needs quotes.",
                    )
                yield reader.line_num, row
        except csv.Error as error:
            raise DataError(
                f"this is not CSV: {error}", path=str(shown), line=reader.line_num
            ) from error


def find_task(label: Column, choice: str | None) -> Task:
    """Return what there is to learn: what was asked for, or what the label's values look like.

    Raises:
      DataError: the label has no two different values, or is text where numbers are needed.
    """
    where = f"column {label.name!r}"
    if len(label.values) < 2 and not label.many_values:
        raise DataError(
            f"there is nothing to learn: {where}, the label, has fewer than two different values",
            hint="Name another column with --label.",
        )
    is_text = label.kind is Kind.BYTES
    few = not label.many_values and len(label.values) <= _MOST_CLASSES
    if choice == "regression" or (
        choice is None and not is_text and not (few and _is_class(label))
    ):
        if is_text:
            raise DataError(
                f"a regression needs numbers, and {where}, the label, has texts such as "
                f"{_first_text(label)!r}",
                hint="Use --task classification, or correct these cells.",
            )
        return Task.REGRESSION
    if not few:
        number = f"more than {_MOST_VALUES}" if label.many_values else str(len(label.values))
        raise DataError(
            f"expected at most {_MOST_CLASSES} classes, and {where}, the label, has {number} "
            "different values",
            hint="Name another column with --label"
            + ("." if is_text else ", or use --task regression."),
        )
    return Task.BINARY if len(label.values) == 2 else Task.CLASSES


def _is_class(label: Column) -> bool:
    return len(label.values) == 2 or (label.kind is Kind.INT and len(label.values) <= 10)


def _first_text(label: Column) -> str:
    return next(value for value, _ in label.values if written.number(value) is None)


@dataclass
class _Cells:
    """What has been seen of a column."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    many: bool = False
    present: int = 0
    numbers: int = 0
    dates: int = 0
    mean: float = 0.0
    squares: float = 0.0
    least: float = math.inf
    greatest: float = -math.inf
    # Of integers: how many, their sum and that of their squares, which Python has exactly.
    integers: int = 0
    integer_sum: int = 0
    integer_squares: int = 0
    with_commas: int = 0
    of_thousands: int = 0
    decimal_points: int = 0
    decorated: int = 0

    def add(self, cell: str) -> None:
        if not cell:
            return
        self.present += 1
        if cell in self.counts or len(self.counts) < _MOST_VALUES:
            self.counts[cell] += 1
        else:
            self.many = True
        number = written.number(cell)
        if number is None:
            self.dates += written.is_date(cell)
            self.with_commas += written.is_with_comma(cell)
            self.of_thousands += written.is_of_thousands(cell)
            self.decorated += written.is_decorated(cell)
            return
        self.numbers += 1
        self.least, self.greatest = min(self.least, number), max(self.greatest, number)
        self.decimal_points += written.has_decimal_point(cell)
        whole = written.integer(cell)
        if whole is not None:
            self.integers += 1
            self.integer_sum += whole
            self.integer_squares += whole * whole
        # Welford's update: one pass, and no loss where the mean is far from zero.
        step = number - self.mean
        self.mean += step / self.numbers
        self.squares += step * (number - self.mean)

    def nulls_among_numbers(self) -> set[str]:
        nulls = {cell: self.counts[cell] for cell in _NULLS & self.counts.keys()}
        numbers = self.numbers + self.with_commas
        has_only_numbers_else = numbers and numbers + sum(nulls.values()) == self.present
        return set(nulls) if has_only_numbers_else else set()

    def number_form(self, present: int, delimiter: str) -> NumberForm | None:
        """Return how the numbers are written, where that is another way than Python's."""
        if not self.with_commas or self.numbers + self.with_commas != present:
            return None
        if self.of_thousands == self.with_commas and delimiter == ",":
            return NumberForm.THOUSANDS
        # With decimal points beside them, nobody knows what the commas are.
        return None if self.decimal_points else NumberForm.DECIMAL_COMMAS

    def numbers_rows(self, rows: int) -> bool:
        """Return whether the cells are consecutive integers, each once, in whatever order."""
        if self.integers != rows or rows < _LEAST_NUMBERED:
            return False
        first, last = int(self.least), int(self.greatest)
        if last - first + 1 != rows or (not self.many and len(self.counts) != rows):
            return False

        def squares(to: int) -> int:
            return to * (to + 1) * (2 * to + 1) // 6

        # Where values are too many to be told apart, two sums are those of the integers between.
        return self.integer_sum == (first + last) * rows // 2 and (
            self.integer_squares == squares(last) - squares(first - 1)
        )

    def column(self, kind: Kind, rows: int, nulls: Sequence[str], delimiter: str) -> Column:
        present = self.present - sum(self.counts[cell] for cell in nulls)
        values = tuple((v, n) for v, n in self.counts.most_common() if v not in nulls)
        return Column(
            name=self.name,
            kind=kind,
            present=present,
            rows=rows,
            values=values,
            many_values=self.many,
            is_date=bool(present) and self.dates == present,
            mean=self.mean,
            spread=math.sqrt(self.squares / self.numbers) if self.numbers else 0.0,
            least=self.least if self.numbers else 0.0,
            greatest=self.greatest if self.numbers else 0.0,
            numbers_rows=self.numbers_rows(rows),
            number_form=self.number_form(present, delimiter),
            is_decorated=bool(present) and self.decorated == present,
        )


def _encoding(path: Path, shown: Path) -> str:
    with path.open("rb") as file:
        start = file.read(_SNIFFED_BYTES)
        if b"\0" not in start and not start.strip() and not file.read().strip():
            raise DataError("the file is empty", path=str(shown))
    if b"\0" in start:
        raise DataError(
            "this is no text, but CSV is", path=str(shown), hint="Save the table as CSV, in UTF-8."
        )
    content = path.read_bytes()
    for encoding in _ENCODINGS:
        try:
            content.decode(encoding)
        except UnicodeDecodeError:
            continue
        is_plain = encoding == "utf-8-sig" and not content.startswith(b"\xef\xbb\xbf")
        return "utf-8" if is_plain else encoding
    raise AssertionError("every file is latin-1")


def _delimiter(path: Path, encoding: str) -> str:
    """Return the delimiter that cuts the first rows into the same number of cells, and most."""
    with path.open(newline="", encoding=encoding) as file:
        lines = file.read(_SNIFFED_BYTES).splitlines()[:50]

    def cells(delimiter: str) -> int:
        widths = {
            len(row) for row in csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter)
        }
        widths.discard(0)
        return widths.pop() if len(widths) == 1 else 0

    best = max(_DELIMITERS, key=cells)
    return best if cells(best) > 1 else max(_DELIMITERS, key=lambda d: lines[0].count(d))


def _check_header(path: Path, header: list[str], delimiter: str) -> None:
    if len(header) < 2:
        raise DataError(
            "expected a label and at least one other column, and the header has only "
            f"{header[0]!r}",
            path=str(path),
            line=1,
        )
    twice = [name for name, count in Counter(header).items() if count > 1 and name.strip()]
    if twice:
        raise DataError(
            "expected a header with a name of its own for every column, and "
            f"{twice[0]!r} is there twice",
            path=str(path),
            line=1,
            hint="Give it a name of its own in the first line of the file.",
        )
    if all(written.number(name) is not None for name in header):
        raise DataError(
            f"the first line should have the names of the columns, and has the numbers "
            f"{delimiter.join(header[:4])!r}",
            path=str(path),
            line=1,
            hint="Put a line with the columns' names before it.",
        )
