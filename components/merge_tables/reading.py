"""A source table as Arrow has it, read from Parquet or CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from penstock.components.merge_tables.fingerprint import SUFFIXES, table_files
from penstock.components.merge_tables.tables import SourceTable
from penstock.errors import DataError, suggestion

# Columns by name, in their order.
Types = Sequence[tuple[str, pa.DataType]]

# Whole numbers become fractions where all of them can.
_COMMON_TYPES = (
    ((pa.types.is_integer,), pa.int64()),
    ((pa.types.is_floating, pa.types.is_integer), pa.float64()),
    ((pa.types.is_string, pa.types.is_large_string), pa.large_string()),
    ((pa.types.is_binary, pa.types.is_large_binary), pa.large_binary()),
)


@dataclass(frozen=True)
class Piece:
    """A file of a table, or some row groups of one in Parquet."""

    path: Path
    row_groups: tuple[int, ...] | None = None


def read_table(folder: str, table: SourceTable) -> pa.Table:
    """Read a table's columns, under their new names, in the order of files and rows."""
    paths = files_of(folder, table.name)
    parts = [(path, _read(Piece(path), table)) for path in paths]
    types = common_types([(path, part.schema) for path, part in parts])
    alike = [_of_types(path, part, types) for path, part in parts]
    return _renamed(pa.concat_tables(alike), table)


def read_piece(piece: Piece, table: SourceTable, types: Types) -> pa.Table:
    """Read a piece of a table as `read_table` has its rows; `types` are those of `common_types`."""
    return _renamed(_of_types(piece.path, _read(piece, table), types), table)


def schema_of(path: Path, table: SourceTable) -> pa.Schema:
    """Return the columns of a file that are read, of a CSV file by reading all of it."""
    if path.suffix != ".parquet":
        return _read(Piece(path), table).schema
    columns = _columns(path, table)
    return _plain(pyarrow.parquet.read_schema(path).empty_table().select(columns)).schema


def pieces_of(path: Path, piece_bytes: int) -> list[Piece]:
    """Return the pieces of a file: of Parquet, row groups of together about so many bytes."""
    if path.suffix != ".parquet":
        return [Piece(path)]
    metadata = pyarrow.parquet.read_metadata(path)
    groups: list[list[int]] = [[]]
    size = 0
    for number in range(metadata.num_row_groups):
        if size >= piece_bytes:
            groups.append([])
            size = 0
        groups[-1].append(number)
        size += metadata.row_group(number).total_byte_size
    return [Piece(path, tuple(group)) for group in groups]


def common_types(schemas: Sequence[tuple[Path, pa.Schema]]) -> Types:
    """Return the names and the types that the columns of all files have in common.

    Raises:
      DataError: files have different columns, or types that no type holds.
    """
    first_path, first = schemas[0]
    for path, schema in schemas[1:]:
        if set(schema.names) != set(first.names):
            raise DataError(
                f"expected the columns of {first_path.name} "
                f"({_described(first)}), found {_described(schema)}",
                path=str(path),
            )
    return [(name, _common_type(name, schemas)) for name in first.names]


def _common_type(name: str, schemas: Sequence[tuple[Path, pa.Schema]]) -> pa.DataType:
    """Return the type that holds a column of all files, as of one that has no values in some.

    Raises:
      DataError: there is none.
    """
    found: dict[pa.DataType, Path] = {}
    for path, schema in schemas:
        found.setdefault(schema.field(name).type, path)
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


def _of_types(path: Path, part: pa.Table, types: Types) -> pa.Table:
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


def files_of(folder: str, name: str) -> list[Path]:
    """Return the files of a table, in the order of their rows.

    Raises:
      DataError: there is no such table.
    """
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


def _columns(path: Path, table: SourceTable) -> list[str]:
    names = _column_names(path)
    for column in table.columns:
        if column not in names:
            raise DataError(
                f"expected a column {column!r} of table {table.name}",
                path=str(path),
                hint=suggestion(column, names, noun="column"),
            )
    return list(table.columns or names)


def _read(piece: Piece, table: SourceTable) -> pa.Table:
    path = piece.path
    columns = _columns(path, table)
    try:
        if piece.row_groups is not None:
            file = pyarrow.parquet.ParquetFile(path)
            read = file.read_row_groups(list(piece.row_groups), columns=columns)
        elif path.suffix == ".parquet":
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
