"""Columns of several files of data: which types they have in all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc

from penstock.data.coding import examples
from penstock.data.coding.columns import is_list
from penstock.errors import DataError, suggestion


def common_types(
    files_of_splits: Sequence[Sequence[str]],
    schema_of: Callable[[str], pa.Schema],
    columns: Sequence[str] | None = None,
    notice: Callable[[str], None] = lambda _: None,
    *,
    form: str = "Parquet",
) -> dict[str, pa.DataType]:
    """Return the type that each column has in all files of all splits.

    Files may differ in types that make the same features, such as string and large_string. A
    column that has integers in one file and fractions in another is of fractions everywhere. The
    files of a split need the same columns; those that are not among `columns` are not looked at.

    Raises:
      DataError: a file is none of that form, has other columns than the first of its split, or has
        a column of a type that has no place in a tf.Example, or that makes another feature than
        in another file.
    """
    if not any(files_of_splits):
        raise DataError(f"there are no {form} files to read")
    of_columns: dict[str, dict[pa.DataType, str]] = {}
    for paths in files_of_splits:
        expected: list[str] | None = None
        for path in paths:
            notice(f"Reading the schema of {path}")
            schema = schema_of(path)
            check_columns(schema, columns, path, form)
            names = [name for name in schema.names if columns is None or name in columns]
            _check_names(names, path, form)
            if expected is None:
                expected = names
            elif set(names) != set(expected):
                raise DataError(
                    f"all {form} files of a split need the same columns; "
                    f"{_difference(expected, names)}, compared with {paths[0]}",
                    path=path,
                    hint="Write the files anew with the same columns, read them as different "
                    "splits, or name the columns that all have in `columns`.",
                )
            for name in names:
                kind = schema.field(name).type
                files = of_columns.setdefault(name, {})
                if kind not in files:
                    _check_type(kind, name, path)
                    _check_same_feature(kind, files, name, path)
                    files[kind] = path
    return {name: _common_type(name, files, notice) for name, files in of_columns.items()}


@contextmanager
def located(path: str) -> Iterator[None]:
    """Say which file an error about its values is in."""
    try:
        yield
    except DataError as error:
        error.path = error.path or path
        raise


def _check_type(kind: pa.DataType, name: str, path: str) -> None:
    """Raise DataError if a type has no place in a tf.Example."""
    with located(path):
        examples.to_feature_lists(pa.RecordBatch.from_arrays([pa.array([], kind)], [name]))


def _check_same_feature(
    kind: pa.DataType, files: Mapping[pa.DataType, str], name: str, path: str
) -> None:
    """Raise DataError if a column makes another feature than in the files that came before."""
    for other, other_path in files.items():
        kinds = {_content(kind), _content(other)} - {"nothing"}
        if len(kinds) > 1 and kinds not in ({"booleans", "integers"}, {"integers", "fractions"}):
            raise DataError(
                f"the column is {kind} here and {other} in {other_path}, which make different "
                f"features: {_content(kind)} and {_content(other)}",
                path=path,
                column=name,
                hint="Write the column with one type in all files of all splits, or leave it out "
                "with `columns`.",
            )


def _content(kind: pa.DataType) -> str:
    """Return what the values of a column are: columns of one content make the same feature."""
    types = pa.types
    if is_list(kind) or types.is_dictionary(kind):
        return _content(kind.value_type)
    if types.is_null(kind):
        return "nothing"
    if types.is_boolean(kind):
        return "booleans"
    if types.is_duration(kind):
        return f"durations in {kind.unit}"
    if types.is_integer(kind) or (types.is_decimal(kind) and kind.scale <= 0):
        return "integers"
    return "fractions" if types.is_floating(kind) or types.is_decimal(kind) else "bytes"


def _common_type(
    name: str, files: Mapping[pa.DataType, str], notice: Callable[[str], None]
) -> pa.DataType:
    """Return a type that holds all types of a column, each found in a file."""
    types = pa.types
    if len(files) == 1:
        return next(iter(files))
    plain = {kind.value_type if types.is_dictionary(kind) else kind for kind in files}
    plain.discard(pa.null())
    contents = {_content(kind): path for kind, path in files.items()}
    if contents.keys() >= {"integers", "fractions"}:
        notice(
            f"Column {name!r} has integers in {contents['integers']} and fractions in "
            f"{contents['fractions']}: it is read as fractions everywhere."
        )
    if len(plain) <= 1:
        return next(iter(plain), pa.null())
    for belongs, common in (
        (types.is_signed_integer, pa.int64()),
        (types.is_floating, pa.float64()),
        (lambda kind: types.is_string(kind) or types.is_large_string(kind), pa.large_string()),
    ):
        if all(map(belongs, plain)):
            return common
    values = {"fractions": pa.float32(), "bytes": pa.large_binary()}
    found = next((values[content] for content in values if content in contents), pa.int64())
    return pa.large_list(found)


def of_types(
    batch: pa.RecordBatch, types: Mapping[str, pa.DataType], names: Sequence[str], path: str
) -> pa.RecordBatch:
    """Return a batch of a file with these columns of it, in their common types."""
    with located(path):
        arrays = [
            _of_type(batch.column(batch.schema.get_field_index(name)), types[name], name)
            for name in names
        ]
    return pa.RecordBatch.from_arrays(arrays, names=list(names))


def _of_type(array: pa.Array, kind: pa.DataType, name: str) -> pa.Array:
    if array.type == kind:
        return array
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), kind)
    if pa.types.is_dictionary(array.type):
        return _of_type(array.dictionary_decode(), kind, name)
    if not is_list(kind):
        return pc.cast(array, kind)
    lists = examples.to_feature_lists(pa.RecordBatch.from_arrays([array], [name])).column(0)
    try:
        return pc.cast(lists, kind)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"the column is {array.type} here and has fractions in another file, so that it "
            f"becomes a feature of 32-bit floats, which cannot hold all of its integers: {error}",
            column=name,
            hint="Write the column with one type in all files of all splits: as double, where the "
            "nearest float will do.",
        ) from error


def check_columns(schema: pa.Schema, columns: Sequence[str] | None, path: str, form: str) -> None:
    """Raise DataError where a file lacks one of the columns that are asked for."""
    for column in columns or ():
        if column not in schema.names:
            raise DataError(
                f"the {form} file has no column {column!r}",
                path=path,
                hint=suggestion(column, schema.names, noun="column"),
            )


def _check_names(names: Sequence[str], path: str, form: str) -> None:
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise DataError(
            f"the {form} file has two columns {twice!r}",
            path=path,
            hint="Every column needs a name of its own.",
        )


def _difference(expected: Sequence[str], names: Sequence[str]) -> str:
    missing = next((name for name in expected if name not in names), None)
    if missing is not None:
        return f"this one has no column {missing!r}"
    extra = next(name for name in names if name not in expected)
    return f"this one has the column {extra!r} more"
