"""What is in a prediction log, span by span: rows, measures, and whether more has come."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.data import unifying
from penstock.data.files import remote
from penstock.errors import DataError
from penstock.serving.log.columns import REQUEST, ROW, TIME
from penstock.serving.log.measures import SCHEMA
from penstock.serving.log.policy import MEASURES, check_span, measures_folder, span_folder


@dataclass(frozen=True)
class LoggedSpan:
    """A span of which there is something; `fingerprint` changes with the names and the sizes."""

    number: int
    files: int
    bytes: int
    fingerprint: str


@dataclass(frozen=True)
class _File:
    name: str
    size: int
    path: str


def list_spans(
    folder: str, model: str, span: str = "day", *, measures: bool = False
) -> list[LoggedSpan]:
    """Return the spans of which a model has rows, or measures, in their order.

    `folder` is a local folder or a URL of an object store, as in all functions here. A span that
    has another fingerprint than before got rows that came late, or lost its oldest.

    Raises:
      ConfigError: `span` is neither hour nor day.
      StorageError: the object store cannot be reached or does not let us in.
    """
    check_span(span)
    top = _joined(folder, model, MEASURES) if measures else _joined(folder, model)
    named = re.compile(rf"{span}-(\d+)/part-[^/]*\.parquet")
    found: dict[int, list[_File]] = {}
    for file in _files_below(top):
        match = named.fullmatch(file.name)
        if match:
            found.setdefault(int(match.group(1)), []).append(file)
    return [
        LoggedSpan(number, len(files), sum(file.size for file in files), _fingerprint(files))
        for number, files in sorted(found.items())
    ]


def read_rows(folder: str, model: str, span: str, number: int) -> pa.Table:
    """Return all rows of a model in a span, repeated requests and all; there may be none.

    Versions may have had other features, or features of other types: the table has all columns,
    in types that hold them (`penstock.data.unifying.common_schema`).

    Raises:
      ConfigError: `span` is neither hour nor day.
      DataError: a file cannot be read.
      StorageError: the object store cannot be reached or does not let us in.
    """
    check_span(span)
    return _read(_joined(folder, model, span_folder(span, number)))


def read_measures(folder: str, model: str, span: str, number: int) -> pa.Table:
    """Return what servers measured of a model in a span, by time, in the columns of `SCHEMA`.

    Raises:
      ConfigError: `span` is neither hour nor day.
      DataError: a file cannot be read.
      StorageError: the object store cannot be reached or does not let us in.
    """
    check_span(span)
    table = _read(_joined(folder, model, measures_folder(span, number)))
    if not table.num_columns:
        return SCHEMA.empty_table()
    return unifying.unified(table, SCHEMA).sort_by("time")


def is_latest(rows: pa.Table) -> Any:
    """Return for each row whether it is the latest with its request and place.

    `rows` has the columns log/request_id, log/row and log/time. Of rows of one time the last is
    the latest.
    """
    place = pa.array(np.arange(rows.num_rows))
    keys = pa.table(
        {
            "request": rows.column(REQUEST).combine_chunks(),
            "row": rows.column(ROW).combine_chunks(),
            "time": rows.column(TIME).combine_chunks(),
            "place": place,
        }
    )
    order = pc.sort_indices(
        keys, sort_keys=[(name, "ascending") for name in ("request", "row", "time", "place")]
    )
    ordered = keys.take(order)
    if rows.num_rows < 2:
        return pa.array([True] * rows.num_rows, pa.bool_())
    differs = [
        pc.not_equal(ordered.column(name)[1:], ordered.column(name)[:-1])
        for name in ("request", "row")
    ]
    last = pa.concat_arrays([*pc.or_(*differs).chunks, pa.array([True])])
    kept = ordered.column("place").filter(last)
    return pc.is_in(place, value_set=kept.combine_chunks())


def _joined(*parts: str) -> str:
    return remote.join(*parts) if remote.is_remote(parts[0]) else os.path.join(*parts)


def _files_below(top: str) -> Iterator[_File]:
    if remote.is_remote(top):
        for file in remote.list_files(top):
            yield _File(file.name, file.size, file.url)
        return
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            try:
                size = os.path.getsize(path)
            except FileNotFoundError:  # the oldest are removed meanwhile
                continue
            yield _File(os.path.relpath(path, top).replace(os.sep, "/"), size, path)


def _fingerprint(files: list[_File]) -> str:
    described = json.dumps(sorted([file.name, file.size] for file in files))
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def _read(folder: str) -> pa.Table:
    files = sorted(_files_below(folder), key=lambda file: file.name)
    tables = [_table(file) for file in files if re.fullmatch(r"part-[^/]*\.parquet", file.name)]
    return unifying.as_one(table for table in tables if table is not None)


def _table(file: _File) -> pa.Table | None:
    import pyarrow.parquet as pq

    try:
        if remote.is_remote(file.path):
            with remote.open_file(file.path, "rb") as opened:
                return pq.ParquetFile(opened).read()
        return pq.ParquetFile(file.path).read()
    except FileNotFoundError:
        return None
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"cannot read a file of the log: {' '.join(str(error).split())}",
            path=file.path,
            hint="Remove it if it is damaged: the others can be read without it.",
        ) from error
