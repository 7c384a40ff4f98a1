"""Predictions in files as people want them: CSV, Parquet, or JSON a line, with named classes.

A classifier's probabilities are a column a class, `probability_CLASS`; in JSON they are an object.
"""

from __future__ import annotations

import csv
import io
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from penstock.data.coding.columns import is_list
from penstock.errors import DataError
from penstock.models.json_rows import rows_as_json
from penstock.models.predictions import (
    PREDICTION,
    PROBABILITIES,
    array_of,
    classes_of,
    classification,
)
from penstock.models.row_files import CSV, JSONL, PARQUET
from penstock.models.signature import Signature, whole_column

PROBABILITY = "probability_"


class Writer(Protocol):
    """Writes tables of the same columns, one after the other."""

    def write(self, table: pa.Table) -> None:
        """Write some rows.

        Raises:
          DataError: a column has values of another type than in the first.
        """

    def close(self) -> None:
        """Write what is left; the file itself stays open."""


def named(
    predictions: pa.Table, signature: Signature | None, kind: str, rows: pa.Table | None = None
) -> pa.Table:
    """Return predictions as a file of a kind has them, after the columns of `rows`, if given.

    Raises:
      DataError: a column of the rows is called as one of the predictions.
    """
    classes = classes_of(predictions)
    if classes is None and signature is not None:
        output = signature.output(PROBABILITIES)
        classes = output.classes if output is not None else None
        if output is None:
            predictions, classes = _with_named_outputs(predictions, signature)
    columns = dict(zip(rows.schema.names, rows.columns, strict=True)) if rows is not None else {}
    for name, array in _named(predictions, classes, kind):
        if name in columns:
            raise DataError(
                f"the rows have a column {name!r}, as the predictions have",
                column=name,
                hint="Name it otherwise, or write the predictions alone.",
            )
        columns[name] = array
    return pa.table(columns)


def _with_named_outputs(
    predictions: pa.Table, signature: Signature
) -> tuple[pa.Table, tuple[Any, ...] | None]:
    """Return the predictions of a SavedModel as a classifier's, where its output has classes."""
    named = [c for c in signature.outputs if c.classes and c.name in predictions.schema.names]
    others = {PREDICTION, PROBABILITIES} & set(predictions.schema.names)
    if len(named) != 1 or others:
        return predictions, None
    [output] = named
    classified = classification(array_of(predictions, output.name), output.classes or ())
    rest = predictions.drop([output.name])
    for name, column in zip(rest.schema.names, rest.columns, strict=True):
        classified = classified.append_column(name, column)
    return classified, output.classes


def _named(
    predictions: pa.Table, classes: Sequence[Any] | None, kind: str
) -> Iterator[tuple[str, Any]]:
    for name, array in zip(predictions.schema.names, predictions.columns, strict=True):
        if name == PROBABILITIES and classes is not None:
            labels = [str(label) for label in classes]
            values = [pc.list_element(array, place) for place in range(len(labels))]
            if kind == JSONL:
                yield name, pa.StructArray.from_arrays(list(map(whole_column, values)), labels)
            else:
                yield from (
                    (PROBABILITY + label, v) for label, v in zip(labels, values, strict=True)
                )
        elif (
            kind == CSV
            and pa.types.is_fixed_size_list(array.type)
            and not is_list(array.type.value_type)
        ):
            for place in range(array.type.list_size):
                yield f"{name}_{place}", pc.list_element(array, place)
        else:
            yield name, array


def open_writer(file: IO[bytes], kind: str, schema: pa.Schema) -> Writer:
    """Return a writer of tables of a schema."""
    if kind == PARQUET:
        from pyarrow import parquet

        return _Parquet(parquet.ParquetWriter(file, schema), schema)
    return _Csv(file, schema) if kind == CSV else _Lines(file)


@contextmanager
def appearing(path: str) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears at its path when all is written, or not at all."""
    folder, name = os.path.split(os.path.abspath(path))
    part = os.path.join(folder, f".{name}.{secrets.token_hex(4)}")
    try:
        with open(part, "wb") as file:
            yield file
        os.replace(part, path)
    finally:
        with suppress(FileNotFoundError):
            os.remove(part)


class _Parquet:
    def __init__(self, writer: Any, schema: pa.Schema) -> None:
        self._writer = writer
        self._schema = schema

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(_as_first(table, self._schema))

    def close(self) -> None:
        self._writer.close()


class _Csv:
    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        self._text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
        self._names = schema.names
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._writer.writerow(self._names)

    def write(self, table: pa.Table) -> None:
        if table.schema.names != self._names:
            table = _as_first(table, pa.schema([(name, pa.string()) for name in self._names]))
        self._writer.writerows(zip(*map(_cells, table.columns), strict=True))

    def close(self) -> None:
        self._text.detach()


class _Lines:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, table: pa.Table) -> None:
        for row in rows_as_json(table):
            self._file.write(json.dumps(row, ensure_ascii=False, default=str).encode() + b"\n")

    def close(self) -> None:
        pass


def _as_first(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with the columns and the types of the one that was written first."""
    if table.schema.equals(schema):
        return table
    arrays = []
    for field in schema:
        try:
            place = table.schema.get_field_index(field.name)
            column = table.column(place) if place >= 0 else pa.nulls(table.num_rows)
            arrays.append(column.cast(field.type))
        except pa.ArrowException as error:
            raise DataError(
                f"expected {field.type} as in the rows before, got {column.type}",
                column=field.name,
                hint="Write the predictions alone, or JSON a line.",
            ) from error
    return pa.table(arrays, schema=schema)


def _cells(column: Any) -> list[str | None]:
    """Return a column as CSV has it: lists are JSON, and bytes are texts where they are such."""
    types, kind = pa.types, column.type
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        # Arrow writes a float32 as short as it is.
        texts: list[str | None] = pc.cast(column, pa.string()).to_pylist()
        return texts
    return [_cell(value) for value in column.to_pylist()]


def _cell(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return json.dumps(value, ensure_ascii=False, default=str)
