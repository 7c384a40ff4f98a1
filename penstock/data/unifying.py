"""Tables of several files as one, where columns came, went, or changed their types meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.data.coding.columns import is_list


def common_schema(
    schemas: Iterable[pa.Schema], notice: Callable[[str], None] = lambda _: None
) -> pa.Schema:
    """Return a schema that has the columns of all, in the order in which they first come.

    Whole numbers and fractions are fractions together, a value and a list are lists, and what else
    does not agree is text. `notice` is told of columns that change their type so.
    """
    found: dict[str, list[pa.DataType]] = {}
    for schema in schemas:
        for field in schema:
            kinds = found.setdefault(field.name, [])
            if field.type not in kinds:
                kinds.append(field.type)
    common = {name: reduce(common_type, kinds) for name, kinds in found.items()}
    for name, kinds in found.items():
        named = [str(kind) for kind in kinds if not pa.types.is_null(kind)]
        if len(named) > 1:
            notice(f"Column {name!r} is {' and '.join(named)}: it is read as {common[name]}.")
    return pa.schema(list(common.items()))


def common_type(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Return a type that holds the values of both; text holds whatever no other type does."""
    types = pa.types
    if one == other or types.is_null(other):
        return one
    if types.is_null(one):
        return other
    if is_list(one) or is_list(other):
        return pa.list_(common_type(_of_values(one), _of_values(other)))
    kinds = (one, other)
    if all(types.is_integer(kind) or types.is_boolean(kind) for kind in kinds):
        return pa.int64()
    if all(_is_number(kind) for kind in kinds):
        return pa.float64()
    if all(types.is_timestamp(kind) for kind in kinds):
        return pa.timestamp("us", tz="UTC")
    is_binary = [types.is_binary(kind) or types.is_large_binary(kind) for kind in kinds]
    is_text = [types.is_string(kind) or types.is_large_string(kind) for kind in kinds]
    if any(is_binary) and all(map(max, is_binary, is_text)):
        return pa.binary()
    return pa.string()


def unified(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with the columns of a common schema; those that it has not are null."""
    columns = []
    for field in schema:
        place = table.schema.get_field_index(field.name)
        if place < 0:
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        chunks = [_cast(chunk, field.type) for chunk in table.column(place).chunks]
        columns.append(pa.chunked_array(chunks, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def as_one(tables: Iterable[pa.Table]) -> pa.Table:
    """Return the rows of several tables; without tables there are no columns."""
    several = list(tables)
    schema = common_schema(table.schema for table in several)
    if not several:
        return pa.table({})
    return pa.concat_tables([unified(table, schema) for table in several])


def _of_values(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if is_list(kind) else kind


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _cast(array: Any, kind: pa.DataType) -> Any:
    if array.type == kind:
        return array
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), kind)
    if not is_list(kind):
        if is_list(array.type):
            shown = [None if value is None else str(value) for value in array.to_pylist()]
            return pa.array(shown, kind)
        return pc.cast(array, kind, safe=False)
    if is_list(array.type):
        sizes = pc.fill_null(_sizes(array), 0)
        values = array.flatten()
    else:
        sizes, values = pc.cast(pc.is_valid(array), pa.int32()), array.drop_null()
    ends = pc.cumulative_sum(pc.cast(sizes, pa.int32()))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    lists = pa.ListArray.from_arrays(offsets, _cast(values, kind.value_type))
    return pc.if_else(array.is_valid(), lists, pa.scalar(None, kind)) if array.null_count else lists


def _sizes(array: Any) -> Any:
    if pa.types.is_fixed_size_list(array.type):
        size = pa.scalar(array.type.list_size, pa.int32())
        return pc.if_else(array.is_valid(), size, pa.scalar(0, pa.int32()))
    return pc.list_value_length(array)
