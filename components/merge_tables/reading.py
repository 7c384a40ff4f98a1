"""A source table as Arrow has it, read from Parquet or CSV."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from penstock.components.merge_tables.fingerprint import SUFFIXES, table_files
from penstock.components.merge_tables.tables import SourceTable
from penstock.errors import DataError, suggestion


def read_table(folder: str, table: SourceTable) -> pa.Table:
    """Read a table's columns, under their new names, in the order of files and rows."""
    parts = [(path, _read_file(path, table)) for path in _files(folder, table.name)]
    first_path, first = parts[0]
    for path, part in parts[1:]:
        if part.schema != first.schema:
            raise DataError(
                f"expected the columns of {first_path.name} "
                f"({_described(first.schema)}), found {_described(part.schema)}",
                path=str(path),
            )
    return _renamed(pa.concat_tables([part for _, part in parts]), table)


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
