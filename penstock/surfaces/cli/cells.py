"""How people write numbers and dates in the cells of a table."""

from __future__ import annotations

import math
import re
from enum import StrEnum

_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATE = re.compile(
    r"(\d{4}([-/.])\d{1,2}\2\d{1,2}"  # 2012-01-31, 2012/1/31
    r"|\d{1,2}([-/.])\d{1,2}\3(\d{4}|\d{2})"  # 31.01.2012, 1/31/12
    rf"|\d{{1,2}}[- ]{_MONTH}[- ,]+\d{{2,4}}"  # 31 Jan 2012, 31-Jan-12
    rf"|{_MONTH} \d{{1,2}},? \d{{2,4}})"  # Jan 31 2012
    r"([ T,].*)?",
    re.IGNORECASE,
)
_INTEGER = re.compile(r"-?\d{1,18}")
_DECIMAL_COMMA = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+)?,\d+([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
_THOUSANDS_BY_POINTS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")
# Marks that stand beside a number, and what of the cell is the number then.
_DECORATED = re.compile(r"[$€£¥]\s*(?P<after>[-+]?[\d.,]*\d)|(?P<before>[-+]?\d[\d.,]*)\s*[$€£¥%]")


class NumberForm(StrEnum):
    """How the numbers of a column are written, where ExampleGens would take them for texts."""

    DECIMAL_COMMAS = "decimal commas"
    THOUSANDS = "commas between thousands"

    def plain(self, cell: str) -> str:
        """Return a cell with a number as Python writes numbers; other cells as they are."""
        if self is NumberForm.THOUSANDS:
            return cell.replace(",", "") if _THOUSANDS.fullmatch(cell) else cell
        if _DECIMAL_COMMA.fullmatch(cell):
            return cell.replace(".", "").replace(",", ".")
        return cell.replace(".", "") if _THOUSANDS_BY_POINTS.fullmatch(cell) else cell


def number(cell: str) -> float | None:
    """Return a cell's number; None where Python would not read it, or where it is not finite."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def integer(cell: str) -> int | None:
    """Return a cell's integer, as rows are numbered with."""
    return int(cell) if _INTEGER.fullmatch(cell) else None


def is_date(cell: str) -> bool:
    """Return whether a cell is written as a date, perhaps with a time."""
    return _DATE.fullmatch(cell) is not None


def is_with_comma(cell: str) -> bool:
    """Return whether a cell is a number with a comma in it."""
    return "," in cell and bool(_DECIMAL_COMMA.fullmatch(cell) or _THOUSANDS.fullmatch(cell))


def is_of_thousands(cell: str) -> bool:
    """Return whether the commas of a cell may stand between thousands."""
    return _THOUSANDS.fullmatch(cell) is not None


def has_decimal_point(cell: str) -> bool:
    """Return whether the point of a number cannot stand between thousands."""
    return "." in cell and not _THOUSANDS_BY_POINTS.fullmatch(cell)


def is_decorated(cell: str) -> bool:
    """Return whether a cell is a number with a currency's sign or a percent sign."""
    return _DECORATED.fullmatch(cell) is not None
