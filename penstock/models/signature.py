"""The signature of a model: typed columns in and out, and making rows fit them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.data.coding.columns import is_list
from penstock.errors import DataError, RowError, suggestion

# The types that a column's values may have, by the names that Arrow gives them.
TYPES: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "string": pa.string(),
    "binary": pa.binary(),
}

_IN_WORDS = {
    "bool": "true or false",
    "int64": "a whole number",
    "float32": "a number",
    "float64": "a number",
    "string": "a text",
    "binary": "bytes",
}


@dataclass(frozen=True)
class Column:
    """A column of a model's input or output.

    `type` is one of `TYPES`. `shape` is that of a row's value: () for one value, (3,) for three,
    (None,) for any number. An `optional` column may have nulls, or be missing. `classes` are the
    labels that the values of an output stand for, in their order.
    """

    name: str
    type: str
    shape: tuple[int | None, ...] = ()
    optional: bool = False
    classes: tuple[Any, ...] | None = None

    def __post_init__(self) -> None:
        if self.type not in TYPES:
            raise DataError(
                f"a column of a signature should have one of the types {', '.join(TYPES)}, and "
                f"has {self.type!r}",
                column=self.name,
                hint=suggestion(self.type, TYPES, noun="type"),
            )

    @property
    def arrow_type(self) -> pa.DataType:
        """The Arrow type of the column: lists, of fixed size where that is known, for shapes."""
        kind = TYPES[self.type]
        for size in reversed(self.shape):
            kind = pa.list_(kind) if size is None else pa.list_(kind, size)
        return kind

    def to_json(self) -> dict[str, Any]:
        """Return the column as JSON values, without what is as usual."""
        entry: dict[str, Any] = {"name": self.name, "type": self.type}
        if self.shape:
            entry["shape"] = list(self.shape)
        if self.optional:
            entry["optional"] = True
        if self.classes is not None:
            entry["classes"] = list(self.classes)
        return entry

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Column:
        """Return the column that `to_json` wrote."""
        classes = entry.get("classes")
        return cls(
            name=entry["name"],
            type=entry["type"],
            shape=tuple(entry.get("shape", ())),
            optional=bool(entry.get("optional", False)),
            classes=None if classes is None else tuple(classes),
        )


@dataclass(frozen=True)
class Signature:
    """The columns that a model takes and those that it gives.

    A classifier gives `prediction`, the likeliest class in the labels' own type, and
    `probabilities`, one a class; a regression gives `prediction`.
    """

    inputs: tuple[Column, ...] = field(default_factory=tuple)
    outputs: tuple[Column, ...] = field(default_factory=tuple)

    def output(self, name: str) -> Column | None:
        """Return an output by its name; None if there is none of that name."""
        return next((column for column in self.outputs if column.name == name), None)

    def cast(self, table: pa.Table) -> pa.Table:
        """Return the input columns of a table, in their order and of their types.

        Lists of at most one value, as examples have them, become values; other columns are left
        out. Numbers are cast where nothing is lost.

        Raises:
          DataError: a column is missing or has a value of another kind; the error names row and
            column.
        """
        return pa.Table.from_arrays(
            [_fitting(table, column) for column in self.inputs],
            schema=pa.schema([pa.field(c.name, c.arrow_type) for c in self.inputs]),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the signature as JSON values."""
        return {
            "inputs": [column.to_json() for column in self.inputs],
            "outputs": [column.to_json() for column in self.outputs],
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Signature:
        """Return the signature that `to_json` wrote."""
        return cls(
            inputs=tuple(map(Column.from_json, entry["inputs"])),
            outputs=tuple(map(Column.from_json, entry["outputs"])),
        )


def columns_of(
    schema: pa.Schema,
    *,
    optional: Iterable[str] = (),
    classes: Mapping[str, Sequence[Any]] | None = None,
) -> tuple[Column, ...]:
    """Return the columns of a signature for tables of a schema.

    Raises:
      DataError: a column has a type that no signature has.
    """
    may_be_null = set(optional)
    columns = []
    for entry in schema:
        kind, shape = _type_and_shape(entry)
        labels = (classes or {}).get(entry.name)
        columns.append(
            Column(
                entry.name,
                kind,
                shape,
                optional=entry.name in may_be_null,
                classes=None if labels is None else tuple(labels),
            )
        )
    return tuple(columns)


def _type_and_shape(entry: pa.Field) -> tuple[str, tuple[int | None, ...]]:
    kind, shape = entry.type, []
    while is_list(kind):
        shape.append(kind.list_size if pa.types.is_fixed_size_list(kind) else None)
        kind = kind.value_type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    name = _type_name(kind)
    if name is None:
        raise DataError(
            f"a model takes and gives {', '.join(TYPES)}, and lists of these, and this column is "
            f"{entry.type}",
            column=entry.name,
            hint="Cast it to one of these, or leave it out.",
        )
    return name, tuple(shape)


def _type_name(kind: pa.DataType) -> str | None:
    types = pa.types
    if types.is_boolean(kind):
        return "bool"
    if types.is_integer(kind):
        return "int64"
    if types.is_floating(kind):
        return "float64" if kind == pa.float64() else "float32"
    if types.is_string(kind) or types.is_large_string(kind):
        return "string"
    if types.is_binary(kind) or types.is_large_binary(kind):
        return "binary"
    return None


def _fitting(table: pa.Table, column: Column) -> pa.Array:
    index = table.schema.get_field_index(column.name)
    if index < 0:
        if column.optional:
            return pa.nulls(table.num_rows, column.arrow_type)
        raise DataError(
            f"the model needs a column {column.name!r}, of type {column.type}, and the rows have "
            "none",
            column=column.name,
            hint=suggestion(column.name, table.schema.names, noun="column"),
        )
    array = whole_column(table.column(index))
    if not column.shape:
        array = _values(array, column)
    fitting = _list_cast(array, column) if column.shape else _cast(array, column)
    if fitting.null_count and not column.optional:
        raise _wrong(column, _first(fitting.is_null()), None)
    return fitting


def whole_column(column: Any) -> pa.Array:
    """Return a column of a table as one array, without dictionaries."""
    array = column
    if isinstance(array, pa.ChunkedArray) and array.num_chunks != 1:
        array = array.combine_chunks()
    # Newer versions of Arrow combine into an array, older ones into one chunk or none.
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], array.type)
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _values(array: pa.Array, column: Column) -> pa.Array:
    """Return the values of a column that may have them in lists of one."""
    if not is_list(array.type):
        return array
    lengths = pc.list_value_length(array)
    several = pc.fill_null(pc.greater(lengths, 1), False)
    if pc.any(several).as_py():
        row = _first(several)
        raise RowError(
            f"expected one value, got {lengths[row].as_py()}", row=row, column=column.name
        )
    positions = pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False).cumsum() - 1
    empty = pc.fill_null(pc.equal(lengths, 0), True)
    indices = pa.array(positions, pa.int64(), mask=empty.to_numpy(zero_copy_only=False))
    return array.flatten().take(indices)


def _cast(array: pa.Array, column: Column) -> pa.Array:
    kind, target = array.type, TYPES[column.type]
    if kind == target:
        return array
    if pa.types.is_null(kind):
        return pa.nulls(len(array), target)
    if _is_number(kind) != _is_number(target) or (
        pa.types.is_boolean(target) and not pa.types.is_boolean(kind)
    ):
        # Whole numbers may say 0 and 1 for false and true, as tf.Examples do.
        if not (pa.types.is_boolean(target) and pa.types.is_integer(kind)):
            raise _wrong(column, _first(array.is_valid()), array)
        if (row := _first(pc.invert(pc.is_in(array, pa.array([0, 1, None], kind))))) >= 0:
            raise _wrong(column, row, array)
    if pa.types.is_floating(kind) and target == pa.int64():
        # What is not a number is a missing one to data frames.
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, kind), array)
    safe = not pa.types.is_floating(target)
    try:
        return array.cast(target, safe=safe)
    except pa.ArrowInvalid:
        raise _wrong(column, _first_that_does_not_fit(array, target), array) from None
    except pa.ArrowNotImplementedError:
        raise _wrong(column, _first(array.is_valid()), array) from None


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _list_cast(array: pa.Array, column: Column) -> pa.Array:
    if array.type == column.arrow_type:
        return array
    if not is_list(array.type):
        if pa.types.is_null(array.type):
            return pa.nulls(len(array), column.arrow_type)
        if column.shape != (None,):
            raise _wrong(column, _first(array.is_valid()), array)
        return _lists_of_one(_cast(array, column), column)
    size = column.shape[0]
    if size is not None:
        other = pc.fill_null(pc.not_equal(pc.list_value_length(array), size), False)
        if (row := _first(other)) >= 0:
            raise _wrong(column, row, array)
    try:
        return pa.array(array.to_pylist(), column.arrow_type)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        raise _wrong(column, _first_list_that_does_not_fit(array, column), array) from None


def _lists_of_one(values: pa.Array, column: Column) -> pa.Array:
    present = values.is_valid().to_numpy(zero_copy_only=False)
    ends = present.cumsum()
    # A start that is null makes a list that is null.
    starts = pa.array(ends - present, pa.int32(), mask=~present)
    offsets = pa.concat_arrays([starts, pa.array(ends[-1:] if len(ends) else [0], pa.int32())])
    return pa.ListArray.from_arrays(offsets, pc.drop_null(values)).cast(column.arrow_type)


def _first(mask: Any) -> int:
    """Return the position of the first true value; -1 if there is none."""
    return int(pc.index(mask, True).as_py())


def _first_that_does_not_fit(array: pa.Array, target: pa.DataType) -> int:
    low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            array.slice(low, middle - low).cast(target)
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low


def _first_list_that_does_not_fit(array: pa.Array, column: Column) -> int:
    for row, value in enumerate(array):
        try:
            pa.array([value.as_py()], column.arrow_type)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            return row
    return 0


def _wrong(column: Column, row: int, array: pa.Array | None) -> RowError:
    expected = _IN_WORDS[column.type]
    if column.shape:
        size = "a list" if column.shape[0] is None else f"a list of {column.shape[0]}"
        expected = f"{size} of values, each {expected}"
    value = None if array is None else array[max(row, 0)].as_py()
    given = "nothing" if value is None else f"{_short(value)} ({type(value).__name__})"
    return RowError(
        f"expected {expected}, got {given}",
        row=max(row, 0),
        column=column.name,
        hint=None
        if value is not None
        else "The model was made with no missing values in this column.",
    )


def _short(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
