"""How CSV files are written, and the types of their columns."""

from __future__ import annotations

import codecs
import enum
from dataclasses import dataclass, field
from typing import Literal

from penstock.errors import ParameterError, suggestion


class ColumnType(enum.IntEnum):
    """The type of a column; a column of cells of several types has the greatest of them."""

    EMPTY = 0
    INT = 1
    FLOAT = 2
    BYTES = 3


TYPE_NAMES = {
    "int": ColumnType.INT,
    "float": ColumnType.FLOAT,
    "bytes": ColumnType.BYTES,
    "string": ColumnType.BYTES,
}


@dataclass(frozen=True)
class CsvOptions:
    """How CSV files are written.

    `null_values` are the cells that mean no value; the empty cell always does. `column_types`
    fixes the types of columns, as int, float, bytes or string; the others are inferred.
    `missing_cells` says what a cell without a value becomes: "empty", as in TFX, is a feature with
    an empty list; "absent" is a feature without a value, which statistics count as missing. A
    header of more than `max_columns`, each of which takes memory and time, is an error.
    """

    delimiter: str = ","
    quote_char: str = '"'
    null_values: tuple[str, ...] = ()
    column_types: dict[str, str] = field(default_factory=dict)
    encoding: str = "utf-8"
    missing_cells: Literal["empty", "absent"] = "empty"
    block_size: int = 1 << 20
    max_columns: int = 20_000

    def __post_init__(self) -> None:
        if len(self.delimiter) != 1 or len(self.quote_char) != 1:
            raise ParameterError(
                "CsvOptions: delimiter and quote_char are single characters, got "
                f"{self.delimiter!r} and {self.quote_char!r}"
            )
        characters = self.delimiter + self.quote_char
        if (
            self.delimiter == self.quote_char
            or not characters.isascii()
            or set(characters) & set("\r\n\0")
        ):
            raise ParameterError(
                "CsvOptions: delimiter and quote_char are two different ASCII characters, and no "
                f"line breaks, got {self.delimiter!r} and {self.quote_char!r}"
            )
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise ParameterError(
                f"CsvOptions.encoding: Python knows no encoding {self.encoding!r}",
                hint="utf-8, latin-1, cp1252 and utf-16 are usual ones.",
            ) from None
        for column, name in self.column_types.items():
            if name not in TYPE_NAMES:
                raise ParameterError(
                    f"CsvOptions.column_types: the type of {column!r} cannot be {name!r}",
                    hint=suggestion(name, TYPE_NAMES, noun="type"),
                )
