"""A source table as Arrow has it, read from Parquet or CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from penstock.components.merge_tables.fingerprint import SUFFIXES, table_files
from penstock.components.merge_tables.tables import SourceTable
from penstock.errors import DataError, suggestion

# Whole numbers become fractions where all of them can.
_COMMON_TYPES = (
    ((pa.types.is_integer,), pa.int64()),
    ((pa.types.is_floating, pa.types.is_integer), pa.float64()),
    ((pa.types.is_string, pa.types.is_large_string), pa.large_string()),
    ((pa.types.is_binary, pa.types.is_large_binary), pa.large_binary()),
)


def read_table(folder: str, table: SourceTable) -> pa.Table:
    """Read a table's columns, under their new names, in the order of files and rows."""
    parts = [(path, _read_file(path, table)) for path in _files(folder, table.name)]
    first_path, first = parts[0]
    for path, part in parts[1:]:
        if set(part.schema.names) != set(first.schema.names):
            raise DataError(
                f"expected the columns of {first_path.name} "
                f"({_described(first.schema)}), found {_described(part.schema)}",
                path=str(path),
            )
    types = [(name, _common_type(name, parts)) for name in first.schema.names]
    alike = [_of_types(path, part, types) for path, part in parts]
    return _renamed(pa.concat_tables(alike), table)


def _common_type(name: str, parts: Sequence[tuple[Path, pa.Table]]) -> pa.DataType:
    """Return the type that holds a column of all files, as of one that has no values in some.

    Raises:
      DataError: there is none.
    """
    found: dict[pa.DataType, Path] = {}
    for path, part in parts:
        found.setdefault(part.schema.field(name).type, path)
    kinds = [kind for kind in found if not pa.types.is_null(kind)]
    if len(kinds) < 2:
        return kinds[0] if kinds else pa.null()
    for belong, common in _COMMON_TYPES:
        if all(any(is_one(kind) for is_one in belong) for kind in kinds):
            return common
    first, other = kinds[:2]
    raise DataError(
        f"the column is {other} here and {first} in {found[first].name}",
        path=str(found[other]),
        column=name,
        hint="Write all files of the table with one type.",
    )


def _of_types(path: Path, part: pa.Table, types: Sequence[tuple[str, pa.DataType]]) -> pa.Table:
    try:
        return part.select([name for name, _ in types]).cast(pa.schema(types))
    except pa.ArrowInvalid as error:
        raise DataError(
            f"the numbers do not fit into the type that other files need: {error}",
            path=str(path),
            hint="Write all files of the table with one type.",
        ) from error


def _described(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema)


def _files(folder: str, name: str) -> list[Path]:
    for suffix in SUFFIXES:
        path = Path(folder, f"{name}{suffix}")
        if path.is_file():
            return [path]
    if Path(folder, name).is_dir():
        return table_files(str(Path(folder, name)))
    entries = {str(path.relative_to(folder).parts[0]) for path in table_files(folder)}
    raise DataError(
        f"expected a table {name!r} ({name}.parquet, {name}.csv or a folder {name})",
        path=folder,
        hint=suggestion(name, {Path(entry).stem for entry in entries}, noun="table"),
    )


def _read_file(path: Path, table: SourceTable) -> pa.Table:
    names = _column_names(path)
    for column in table.columns:
        if column not in names:
            raise DataError(
                f"expected a column {column!r} of table {table.name}",
                path=str(path),
                hint=suggestion(column, names, noun="column"),
            )
    columns = list(table.columns or names)
    try:
        if path.suffix == ".parquet":
            read = pyarrow.parquet.read_table(path, columns=columns)
        else:
            convert = pyarrow.csv.ConvertOptions(
                include_columns=columns,
                null_values=list(table.null_values),
                strings_can_be_null=True,
            )
            read = pyarrow.csv.read_csv(path, convert_options=convert)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"table {table.name} cannot be read: {error}", path=str(path)) from error
    return _plain(read.select(columns))


def _column_names(path: Path) -> list[str]:
    try:
        if path.suffix == ".parquet":
            return pyarrow.parquet.read_schema(path).names
        with pyarrow.csv.open_csv(path) as reader:
            return reader.schema.names
    except pa.ArrowInvalid as error:
        raise DataError(f"the file cannot be read as a table: {error}", path=str(path)) from error


def _plain(table: pa.Table) -> pa.Table:
    """Return the table without metadata of its writer and without dictionaries."""
    fields = [
        pa.field(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type)
        for f in table.schema
    ]
    return table.cast(pa.schema(fields))


def _renamed(read: pa.Table, table: SourceTable) -> pa.Table:
    for column in table.rename:
        if column not in read.column_names:
            raise DataError(
                f"table {table.name} has no column {column!r} to rename",
                hint=suggestion(column, read.column_names, noun="column"),
            )
    names = [table.rename.get(name, name) for name in read.column_names]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise DataError(f"table {table.name} has two columns {twice[0]!r}")
    return read.rename_columns(names)
