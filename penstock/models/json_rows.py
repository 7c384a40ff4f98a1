"""Rows as JSON, an object each: bytes are an object with their base64."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import pyarrow as pa

from penstock.errors import DataError

_BYTES = "$bytes"
# As TensorFlow Serving and `penstock serve` have it.
_BASE64 = "b64"


def rows_as_json(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows of a table as JSON values."""
    return [{key: _as_json(value) for key, value in row.items()} for row in table.to_pylist()]


def value_of_json(value: Any) -> Any:
    """Return a value that JSON has: bytes of `{"$bytes": BASE64}` or `{"b64": BASE64}`.

    Raises:
      DataError: it is another object, or no base64.
    """
    if isinstance(value, dict):
        if len(value) != 1 or not value.keys() <= {_BYTES, _BASE64}:
            names = ", ".join(map(repr, list(value)[:5])) or "nothing"
            raise DataError(f"expected a value, a list or bytes, got an object with {names}")
        try:
            return base64.b64decode(next(iter(value.values())), validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise DataError(f"expected base64: {error}") from None
    if isinstance(value, list):
        return [value_of_json(item) for item in value]
    return value


def rows_of_lines(
    lines: Iterable[bytes], path: str, names: Collection[str] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of lines of JSON, each with the number of its line; empty lines are left out.

    Columns beyond `names`, where these are given, may have anything, and have it as JSON does.

    Raises:
      DataError: a line is no object of JSON; the error names the line, and the column.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"expected JSON: {error}", path=path, line=number) from None
        if not isinstance(content, dict):
            raise DataError(
                f"expected an object with columns, got {type(content).__name__}",
                path=path,
                line=number,
                hint='Write a row a line: {"column": value, ...}.',
            )
        row = {}
        for name, value in content.items():
            if names is not None and name not in names:
                row[name] = value
                continue
            try:
                row[name] = value_of_json(value) if isinstance(value, (dict, list)) else value
            except DataError as error:
                raise DataError(error.message, path=path, line=number, column=name) from None
        yield number, row


def _as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    return value
