"""What a new project's copy of the data has otherwise than the file: each change is told.

Names for columns without one, numbers in Python's way, one spelling for each class; columns
without a name that only number the rows are gone.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from penstock.surfaces.cli.columns import Column, Kind, Table, read_rows, read_table, written_as
from penstock.surfaces.cli.sources import Source

Change = Callable[[str], str]


@dataclass
class _Changes:
    """What becomes of the cells of columns, and which columns are taken out."""

    cells: dict[str, Change] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def tidy_table(source: Source, label: str | None, folder: Path) -> tuple[Table, list[str]]:
    """Return a file's table as a project is to have it, and what was changed for that.

    Where something is, the table is that of a file in `folder`, written in the same way.

    Raises:
      DataError: as `read_table`.
    """
    source, unnamed = _named(source, folder)
    table = read_table(source.path, source.shown)
    changes = _Changes()
    for column in table.columns:
        if column.name in unnamed and column.name != label:
            _of_unnamed(column, unnamed[column.name], changes)
        if column.number_form is not None:
            _of_numbers(column, changes)
        if column.name == label:
            _of_spellings(column, changes)
    if not (changes.cells or changes.dropped):
        return table, changes.remarks
    path = _written(table, changes, folder)
    return read_table(path, source.shown), changes.remarks


def _named(source: Source, folder: Path) -> tuple[Source, dict[str, int]]:
    """Return a file in which every column has a name, and the places of those that had none."""
    delimiter, encoding = written_as(source.path, source.shown)
    rows = read_rows(source.path, delimiter, encoding, shown=source.shown)
    header = next(rows)[1]
    blank = [place for place, name in enumerate(header, 1) if not name.strip()]
    if not blank or len(blank) == len(header):
        return source, {}
    taken = set(header)
    names = {}
    for place in blank:
        name = "row_name" if place == 1 else f"column_{place}"
        while name in taken:
            name += "_"
        taken.add(name)
        names[name] = place
        header[place - 1] = name
    path = folder / f"named-{source.path.name}"
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(row for _, row in rows)
    return replace(source, path=path), names


def _of_unnamed(column: Column, place: int, changes: _Changes) -> None:
    if column.numbers_rows:
        changes.dropped.append(column.name)
        changes.remarks.append(
            f"left out: column {place}, which has no name and numbers the rows; the copy in data/ "
            "is without it"
        )
    else:
        changes.remarks.append(
            f"named: column {place} has no name; the copy in data/ calls it {column.name!r}"
        )


def _of_numbers(column: Column, changes: _Changes) -> None:
    assert column.number_form is not None
    changes.cells[column.name] = column.number_form.plain
    example = next(value for value, _ in column.values if "," in value)
    changes.remarks.append(
        f"numbers: {column.name!r} has {column.number_form.value}; {example!r} is "
        f"{column.number_form.plain(example)} in the copy in data/, and has to be in further files"
    )


def _of_spellings(label: Column, changes: _Changes) -> None:
    """Give classes that differ in capitals and spaces alone the spelling that is most frequent."""
    if label.kind is not Kind.BYTES or label.many_values or label.name in changes.cells:
        return
    alike: dict[str, list[str]] = defaultdict(list)
    counts = dict(label.values)
    for value, _ in label.values:
        alike[" ".join(value.split()).casefold()].append(value)
    spelling = {}
    for values in alike.values():
        first, *others = values
        for other in others:
            spelling[other] = first
            rows = f"{counts[other]} row" + ("" if counts[other] == 1 else "s")
            changes.remarks.append(
                f"spelling: {other!r} ({rows}) is {first!r} in the copy in data/; {label.name!r}, "
                "the label, has both"
            )
    if spelling:
        changes.cells[label.name] = lambda cell: spelling.get(cell, cell)


def _written(table: Table, changes: _Changes, folder: Path) -> Path:
    path = folder / f"tidy-{table.path.name}"
    rows = (row for _, row in read_rows(table.path, table.delimiter, table.encoding))
    header = next(rows)
    kept = [n for n, name in enumerate(header) if name not in changes.dropped]
    change = [changes.cells.get(header[n]) for n in kept]
    with path.open("w", newline="", encoding=table.encoding) as file:
        writer = csv.writer(file, delimiter=table.delimiter, lineterminator="\n")
        writer.writerow([header[n] for n in kept])
        for row in rows:
            writer.writerow(
                [
                    to(row[n]) if to is not None else row[n]
                    for n, to in zip(kept, change, strict=True)
                ]
            )
    return path
