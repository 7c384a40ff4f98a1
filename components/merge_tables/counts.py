"""Where every row went, and the proof that none is lost or made up."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from penstock.errors import DataError


@dataclass(frozen=True)
class TableCounts:
    """Rows of one table: read, duplicate, dropped by rule, and kept."""

    read: int
    duplicates: int
    dropped: dict[str, int]
    kept: int

    def __add__(self, other: TableCounts) -> TableCounts:
        """Return the counts of two parts of the table."""
        dropped = {rule: n + other.dropped[rule] for rule, n in self.dropped.items()}
        return TableCounts(
            self.read + other.read,
            self.duplicates + other.duplicates,
            dropped,
            self.kept + other.kept,
        )


@dataclass(frozen=True)
class JoinCounts:
    """Rows of one join: what came in, with and without a match, and what went out."""

    table: str
    kind: str
    rows_in: int
    matched: int
    unmatched: int
    rows_out: int

    def __add__(self, other: JoinCounts) -> JoinCounts:
        """Return the counts of two parts of the rows."""
        return JoinCounts(
            self.table,
            self.kind,
            self.rows_in + other.rows_in,
            self.matched + other.matched,
            self.unmatched + other.unmatched,
            self.rows_out + other.rows_out,
        )


@dataclass(frozen=True)
class MergeCounts:
    """Rows of a whole merge; `beyond_last_span` were left out, `written` counts by span."""

    tables: dict[str, TableCounts]
    joins: list[JoinCounts]
    beyond_last_span: int
    written: dict[str, int]
    base: str = field(default="")

    @property
    def rows_read(self) -> int:
        """Rows read of the base table."""
        return self.tables[self.base].read

    @property
    def rows_written(self) -> int:
        """Rows of all spans."""
        return sum(self.written.values())

    def to_json(self) -> dict[str, Any]:
        """Return the counts in JSON's own types."""
        return asdict(self)


def check_sums(counts: MergeCounts) -> None:
    """Raise DataError where rows went missing or came from nowhere."""
    for name, table in counts.tables.items():
        left = table.read - table.duplicates - sum(table.dropped.values())
        _equal(f"table {name}: rows read less duplicates and dropped", left, "kept", table.kept)
    rows = counts.tables[counts.base].kept
    for join in counts.joins:
        step = f"join with {join.table}"
        _equal(f"{step}: rows of the step before", rows, "rows in", join.rows_in)
        _equal(f"{step}: matched and unmatched", join.matched + join.unmatched, "in", join.rows_in)
        expected = join.rows_in if join.kind == "left" else join.matched
        _equal(f"{step}: {join.kind} join", expected, "rows out", join.rows_out)
        rows = join.rows_out
    left = rows - counts.beyond_last_span
    _equal("rows less those beyond the last span", left, "rows written", counts.rows_written)


def _equal(what: str, expected: int, name: str, actual: int) -> None:
    if expected != actual:
        raise DataError(
            f"the rows do not add up: {what} are {expected}, but {name} are {actual}",
            hint="This is a mistake in MergeTables, not in the data; do not use its output.",
        )
