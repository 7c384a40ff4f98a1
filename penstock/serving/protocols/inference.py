"""The Open Inference Protocol, version 2: named tensors in and out, as JSON or binary.

https://github.com/kserve/open-inference-protocol, with Triton's extension for binary tensors. Each
column is a tensor whose first dimension is that of the rows. A model of several columns may also
be asked by one tensor of the shape (rows, columns), in the order of its signature.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from penstock.errors import DataError
from penstock.models.signature import Column
from penstock.serving.protocols.form import (
    Asked,
    Form,
    Predicted,
    Served,
    of_model,
    parsed,
    short,
    written,
)

KINDS = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
BYTES = "BYTES"
_DATATYPES = {
    "bool": "BOOL",
    "int64": "INT64",
    "float32": "FP32",
    "float64": "FP64",
    "string": BYTES,
    "binary": BYTES,
}
# Where JSON keeps the size of a tensor that follows it, and the wish for one.
SIZE = "binary_data_size"
_BINARY = "binary_data"
ALL_BINARY = "binary_data_output"
_LENGTH = struct.Struct("<I")


def tensor_of(column: Column) -> dict[str, Any]:
    """Return a column of a signature as the protocol's metadata has it."""
    shape = [-1, *(-1 if size is None else size for size in column.shape)]
    return {"name": column.name, "datatype": _DATATYPES[column.type], "shape": shape}


def _read(body: bytes, head: int, served: Served) -> Asked:
    content = parsed(body[:head] if head else body)
    inputs = content.get("inputs") if isinstance(content, dict) else None
    if not isinstance(inputs, list) or not inputs:
        raise DataError(f"expected an object with a list 'inputs', got {short(content)}")
    place = head or len(body)
    tensors = []
    for entry in inputs:
        array, place = _tensor(entry, body, place)
        tensors.append((entry["name"], array))
    if place != len(body):
        raise DataError(f"{len(body) - place} bytes follow the last tensor")
    columns = _columns(tensors, served)
    sizes = {name: len(values) for name, values in columns.items()}
    if len(set(sizes.values())) != 1:
        said = ", ".join(f"{name!r} has {size}" for name, size in sizes.items())
        raise DataError(f"tensors should be of one number of rows: {said:.200}")
    return Asked(columns, next(iter(sizes.values())), _manner(content))


def _manner(content: dict[str, Any]) -> dict[str, Any]:
    wanted = content.get("outputs")
    if wanted is not None and not (
        isinstance(wanted, list)
        and all(isinstance(o, dict) and isinstance(o.get("name"), str) for o in wanted)
    ):
        raise DataError(f"outputs: expected a list of objects with a name, got {short(wanted)}")
    binary = bool(_parameters(content).get(ALL_BINARY))
    return {
        "id": content.get("id"),
        "outputs": None
        if wanted is None
        else {o["name"]: bool(_parameters(o).get(_BINARY, binary)) for o in wanted},
        "binary": binary,
    }


def _parameters(entry: dict[str, Any]) -> dict[str, Any]:
    parameters = entry.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise DataError(f"parameters: expected an object, got {short(parameters)}")
    return parameters or {}


def _tensor(entry: Any, body: bytes, place: int) -> tuple[Any, int]:
    """Return an input as an array, and where the next one's bytes begin."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise DataError(f"inputs: expected objects with a name, got {short(entry)}")
    name, datatype, shape = entry["name"], entry.get("datatype"), entry.get("shape")
    if not isinstance(datatype, str) or (datatype != BYTES and datatype not in KINDS):
        raise DataError(
            f"expected a datatype of {', '.join(KINDS)} and {BYTES}, got {datatype!r}",
            column=name,
        )
    if not isinstance(shape, list) or not shape or not all(_is_size(size) for size in shape):
        raise DataError(f"expected a shape, rows first, got {short(shape)}", column=name)
    size = _parameters(entry).get(SIZE)
    if size is None:
        values = _of_json(entry.get("data"), datatype, name)
    else:
        if not _is_size(size) or place + size > len(body):
            raise DataError(
                f"expected {size} bytes of a tensor, got {len(body) - place}", column=name
            )
        values = array_of(body[place : place + size], datatype, name)
        place += size
    count = math.prod(shape)
    if len(values) != count:
        raise DataError(
            f"the shape {shape} has {count} values, and the data {len(values)}", column=name
        )
    try:
        return values.reshape(shape), place
    except ValueError as error:  # more dimensions, or larger ones beside a 0, than arrays have
        raise DataError(f"the shape {short(shape)} cannot be used: {error}", column=name) from None


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40


def _of_json(data: Any, datatype: str, name: str) -> Any:
    if not isinstance(data, list):
        raise DataError(f"expected a list 'data', got {short(data)}", column=name)
    flat = list(_flattened(data))
    if datatype == BYTES:
        wrong = next(
            (value for value in flat if value is not None and type(value) is not str), None
        )
        if wrong is not None:
            raise DataError(f"expected texts, got {short(wrong)}", column=name)
        return _objects(flat)
    kind = np.dtype(KINDS[datatype])
    for value in flat:
        fits = isinstance(value, bool) if kind.kind == "b" else _is_number(value, kind.kind)
        if not fits:
            raise DataError(f"expected values of {datatype}, got {short(value)}", column=name)
    try:
        return np.array(flat, kind)
    except (OverflowError, ValueError) as error:
        raise DataError(f"a value is none of {datatype}: {error}", column=name) from None


def _is_number(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, (int, float) if kind == "f" else int)


def _flattened(values: Sequence[Any]) -> Any:
    for value in values:
        if isinstance(value, list):
            yield from _flattened(value)
        else:
            yield value


def array_of(data: bytes, datatype: str, name: str) -> Any:
    """Return a tensor's bytes as a flat array; texts have their length before them.

    Raises:
      DataError: they are no such values.
    """
    if datatype != BYTES:
        kind = np.dtype(KINDS[datatype])
        if len(data) % kind.itemsize:
            raise DataError(f"{len(data)} bytes are no values of {datatype}", column=name)
        return np.frombuffer(data, kind)
    values, place = [], 0
    while place < len(data):
        size = _LENGTH.unpack_from(data, place)[0] if place + 4 <= len(data) else len(data)
        place += 4
        if place + size > len(data):
            raise DataError("a text is longer than its tensor", column=name)
        values.append(data[place : place + size])
        place += size
    return _objects(values)


def _objects(values: Sequence[Any]) -> Any:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _columns(tensors: list[tuple[str, Any]], served: Served) -> dict[str, Sequence[Any]]:
    inputs = {column.name: column for column in served.inputs}
    [(first, matrix), *others] = tensors
    if not others and first not in inputs and matrix.ndim == 2 and matrix.shape[1] == len(inputs):
        return {name: _values(matrix[:, place], 1) for place, name in enumerate(inputs)}
    if not others and first not in inputs and len(inputs) == 1:
        [column] = inputs.values()
        return {column.name: _values(matrix, len(column.shape) + 1)}
    return {
        name: _values(array, len(inputs[name].shape) + 1 if name in inputs else array.ndim)
        for name, array in of_model(dict(tensors), served).items()
    }


def _values(array: Any, dimensions: int) -> Sequence[Any]:
    """Return a tensor as a column; (rows, 1) are values too, where the column has values."""
    if dimensions == 1 and array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    return array.tolist()


def _write(predictions: Predicted, asked: Asked, served: Served) -> tuple[bytes, int]:
    wanted = asked.manner["outputs"]
    if wanted is None:
        wanted = dict.fromkeys(predictions.columns, asked.manner["binary"])
    outputs, tensors = [], []
    for name, binary in wanted.items():
        if name not in predictions.columns:
            known = ", ".join(predictions.columns)
            raise DataError(f"expected outputs of {known}, was asked for {name!r}")
        entry, values = _output(name, predictions)
        if binary:
            data = packed(values, entry["datatype"])
            entry["parameters"] = {SIZE: len(data)}
            tensors.append(data)
        else:
            entry["data"] = list(_flattened(values)) if len(entry["shape"]) > 1 else values
        outputs.append(entry)
    content = {
        "model_name": served.name,
        "model_version": str(served.version),
        **({"id": asked.manner["id"]} if asked.manner["id"] is not None else {}),
        "outputs": outputs,
    }
    text = written(content)
    return b"".join((text, *tensors)), len(text) if tensors else 0


def _output(name: str, predictions: Predicted) -> tuple[dict[str, Any], list[Any]]:
    kind, shape = predictions.table.schema.field(name).type, [predictions.table.num_rows]
    values = predictions.columns[name]
    while pa.types.is_fixed_size_list(kind):
        shape.append(kind.list_size)
        kind = kind.value_type
    if pa.types.is_boolean(kind):
        datatype = "BOOL"
    elif pa.types.is_integer(kind):
        datatype = "INT64"
    elif pa.types.is_floating(kind):
        datatype = "FP64" if kind == pa.float64() else "FP32"
    else:
        datatype = BYTES
        if not (pa.types.is_string(kind) or pa.types.is_binary(kind)):
            # What is no tensor, as lists of several sizes, is answered as texts of JSON.
            values = [written(value).decode() for value in values]
    return {"name": name, "datatype": datatype, "shape": shape}, values


def packed(values: Sequence[Any], datatype: str) -> bytes:
    """Return values as a tensor's bytes."""
    if datatype != BYTES:
        return np.array(values, KINDS[datatype]).tobytes()
    encoded = [v if isinstance(v, bytes) else str(v or "").encode() for v in _flattened(values)]
    return b"".join(_LENGTH.pack(len(value)) + value for value in encoded)


INFER = Form(_read, _write)
