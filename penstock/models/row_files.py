"""Rows in files as people have them, CSV, Parquet or JSON a line, typed by a model's signature."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.data import csv, parquet
from penstock.data.csv_options import CsvOptions
from penstock.errors import DataError, RowError
from penstock.models.json_rows import rows_of_lines
from penstock.models.loading import Model
from penstock.models.rows import as_table
from penstock.models.signature import Column, Signature
from penstock.safety import bounded

CSV, PARQUET, JSONL = "csv", "parquet", "jsonl"
KINDS = (CSV, PARQUET, JSONL)

_SUFFIXES = {
    ".csv": CSV,
    ".tsv": CSV,
    ".gz": CSV,
    ".zip": CSV,
    ".parquet": PARQUET,
    ".jsonl": JSONL,
    ".ndjson": JSONL,
}
_BATCH_ROWS = 10_000
_PARQUET_MAGIC = b"PAR1"
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Batch:
    """Some rows of a file: `first` came before, and `line` tells the line of one of these."""

    table: pa.Table
    first: int
    line: Callable[[int], int | None]


def kind_of_file(path: str) -> str | None:
    """Return what a file is by its name: `csv`, `parquet` or `jsonl`; None if it does not say."""
    return _SUFFIXES.get(os.path.splitext(path)[1].lower())


def kind_of_content(path: str) -> str:
    """Return what a file is by its first bytes; CSV is what is nothing else."""
    with open(path, "rb") as file:
        start = file.read(1 << 12)
    if start.startswith(_PARQUET_MAGIC):
        return PARQUET
    return JSONL if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else CSV


def predictions_of_file(
    model: Model, path: str, *, kind: str | None = None, options: CsvOptions = CsvOptions()
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Yield the rows of a file, some at a time, each time with the model's predictions for them.

    `kind` is by default told by the file's name, or else by its content; `options` are those of CSV
    files. Columns that the model does not know are as the file has them, in CSV files texts.

    Raises:
      DataError: a row is not what the model takes; the error names file, line or row, and column.
    """
    read = {CSV: _in_csv, PARQUET: _in_parquet, JSONL: _in_lines}[
        kind or kind_of_file(path) or kind_of_content(path)
    ]
    is_empty = True
    for batch in read(path, model.signature, options):
        is_empty = False
        try:
            predictions = model.predict(batch.table)
        except RowError as error:
            raise error.within(path, batch.first, batch.line(error.row)) from None
        except DataError as error:
            if error.path is not None:
                raise
            raise DataError(
                error.message, path=path, column=error.column, hint=error.hint
            ) from error
        if predictions.num_rows != batch.table.num_rows:
            raise DataError(
                f"the model gave {predictions.num_rows} predictions for {batch.table.num_rows} "
                "rows",
                path=model.directory,
            )
        yield batch.table, predictions
    if is_empty and model.example is not None:
        yield model.example.slice(0, 0), model.predict(model.example).slice(0, 0)


def _in_csv(path: str, signature: Signature | None, options: CsvOptions) -> Iterator[Batch]:
    if signature is None:
        first = 0
        for batch in csv.read_csv([path], options):
            yield Batch(pa.Table.from_batches([batch]), first, _no_line)
            first += batch.num_rows
        return
    known = {column.name: column for column in signature.inputs}
    first = 0
    for batch, line in csv.read_texts(path, options):
        arrays = []
        for name, cells in zip(batch.schema.names, batch.columns, strict=True):
            try:
                arrays.append(typed_cells(cells, known[name]) if name in known else cells)
            except RowError as error:
                raise error.within(path, first, line(error.row)) from None
        yield Batch(pa.table(arrays, names=batch.schema.names), first, line)
        first += batch.num_rows


def _in_parquet(path: str, signature: Signature | None, options: CsvOptions) -> Iterator[Batch]:
    del signature, options
    first = 0
    for batch in parquet.read_file(path, _BATCH_ROWS):
        yield Batch(pa.Table.from_batches([batch]), first, _no_line)
        first += batch.num_rows


def _in_lines(path: str, signature: Signature | None, options: CsvOptions) -> Iterator[Batch]:
    del options
    names = [column.name for column in signature.inputs] if signature is not None else []
    first = 0
    with open(path, "rb") as file:
        rows = rows_of_lines(bounded.lines_of(file, path), path, names or None)
        while some := list(islice(rows, _BATCH_ROWS)):
            lines = [line for line, _ in some]
            # What no row of a batch has is missing in all of them, as it would be in some.
            absent = dict.fromkeys(names) if first else {}
            try:
                table = as_table(_columns([{**absent, **row} for _, row in some], names))
            except RowError as error:
                raise error.within(path, first, lines[error.row]) from None
            yield Batch(table, first, lines.__getitem__)
            first += len(some)


def _columns(rows: list[dict[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Return rows as columns; those that a model does not know are texts if nothing else."""
    found = dict.fromkeys(name for row in rows for name in row)
    columns: dict[str, Any] = {name: [row.get(name) for row in rows] for name in found}
    for name in [name for name in found if names and name not in names]:
        try:
            array = pa.array(columns[name])
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            array = None
        if array is None or "struct" in str(array.type):
            texts = [None if value is None else json.dumps(value) for value in columns[name]]
            array = pa.array(texts, pa.string())
        columns[name] = array
    return columns


def _no_line(row: int) -> int | None:
    del row
    return None


def typed_cells(cells: pa.Array, column: Column) -> pa.Array:
    """Return cells of text as values of a column's type, or near it.

    Raises:
      RowError: a cell is no such value.
    """
    if column.shape and pc.any(pc.starts_with(cells, pattern="[")).as_py():
        return _lists(_read(cells, column, _list, "a list, as [1, 2]"), column)
    if column.type == "string":
        return cells
    if column.type == "binary":
        return pc.cast(cells, pa.binary())
    if column.type == "bool":
        truths = _read(cells, column, lambda text: _TRUTHS[text.lower()], "true or false")
        return pa.array(truths, pa.bool_())
    numbers = csv.numbers_of(cells)
    if numbers is None:
        return pa.array(_read(cells, column, _number, "a number"), pa.float64())
    return numbers


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number) and "inf" not in text.lower():
        raise ValueError(text)
    return number


def _list(text: str) -> list[Any]:
    content = json.loads(text)
    if not isinstance(content, list):
        raise ValueError(text)
    return content


def _read(cells: pa.Array, column: Column, read: Callable[[str], Any], expected: str) -> list[Any]:
    values = []
    for row, text in enumerate(cells.to_pylist()):
        try:
            values.append(None if text is None else read(text))
        except (ValueError, KeyError, RecursionError):
            raise _wrong(row, column, expected, text) from None
    return values


def _lists(values: Sequence[Any], column: Column) -> pa.Array:
    kind = column.arrow_type
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, TypeError):
        pass
    for row, value in enumerate(values):
        try:
            pa.array([value], kind)
        except (pa.ArrowException, TypeError):
            raise _wrong(row, column, f"a list of {column.type}", json.dumps(value)) from None
    return pa.array(values, kind)


def _wrong(row: int, column: Column, expected: str, text: Any) -> RowError:
    shown = repr(text) if len(str(text)) <= 60 else f"{str(text)[:57]!r}..."
    return RowError(f"expected {expected}, got {shown}", row=row, column=column.name)
