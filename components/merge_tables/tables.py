"""What MergeTables is told: tables, the rules that drop rows, joins and derived columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Condition(Enum):
    """When a drop rule applies to a value.

    A missing value meets no condition but MISSING.
    """

    MISSING = "missing"
    BELOW = "below"
    ABOVE = "above"
    EQUAL = "equal"
    NOT_EQUAL = "not_equal"


@dataclass(frozen=True)
class DropRule:
    """Rows that do not belong: those whose `column` meets the condition.

    `name` is what the rule's count is reported under, as `canceled` or `before_1990`. Rules apply
    in order, and a row is counted by the first that drops it.
    """

    name: str
    column: str
    condition: Condition
    value: int | float | str | None = None


@dataclass(frozen=True)
class SourceTable:
    """A table: the file `{name}.parquet` or `{name}.csv`, or a folder `{name}` of such files.

    `columns` are those to read (all, where none is named) and `rename` gives them other names;
    everything else speaks of the new names. Of rows that are equal in all columns that are read,
    one is kept. `null_values` are the texts that mean "missing" in a CSV file.
    """

    name: str
    columns: tuple[str, ...] = ()
    rename: dict[str, str] = field(default_factory=dict)
    drop: tuple[DropRule, ...] = ()
    null_values: tuple[str, ...] = ("", "NA")


class JoinKind(Enum):
    """What becomes of rows without a match: LEFT keeps them, INNER drops and counts them."""

    LEFT = "left"
    INNER = "inner"


@dataclass(frozen=True)
class Join:
    """Columns of `table` are added to each row where all columns `on` are equal.

    A missing key matches nothing. Keys of `table` must be unique, so that a join never multiplies
    rows.
    """

    table: SourceTable
    on: tuple[str, ...]
    kind: JoinKind = JoinKind.LEFT


class Operation(Enum):
    """How a derived column comes about.

    AT_LEAST is 1 where the column is `value` or more, else 0. WEEKDAY is 1 (Monday) to 7 (Sunday)
    of the columns year, month and day.
    """

    AT_LEAST = "at_least"
    WEEKDAY = "weekday"


@dataclass(frozen=True)
class DerivedColumn:
    """A new column `name`, an integer, missing where one of its `columns` is."""

    name: str
    operation: Operation
    columns: tuple[str, ...]
    value: int | float | None = None
