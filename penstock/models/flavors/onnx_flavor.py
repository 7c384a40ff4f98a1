"""ONNX: graphs of the Open Neural Network Exchange, run by onnxruntime."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.errors import DataError
from penstock.models.flavor import Loading, Predictor, Saving, comes_from
from penstock.models.predictions import (
    PROBABILITIES,
    array_of,
    classification,
    fixed_lists,
    matrix_of,
    regression,
)
from penstock.models.signature import Column, Signature

NAME = "onnx"
MODULES = ("onnxruntime",)
PACKAGES = ("onnxruntime", "numpy")

MODEL_FILE = "model.onnx"

_TYPES = {
    "tensor(bool)": ("bool", "bool"),
    "tensor(double)": ("float64", "float64"),
    "tensor(float)": ("float32", "float32"),
    "tensor(int32)": ("int64", "int32"),
    "tensor(int64)": ("int64", "int64"),
    "tensor(string)": ("string", "object"),
}
# As skl2onnx and onnxmltools call what a classifier gives.
_PROBABILITIES = (PROBABILITIES, "output_probability", "probability_tensor")


def recognizes(model: Any) -> bool:
    """Return whether a model is a message of ONNX, or the path of a file of one."""
    if isinstance(model, str | os.PathLike):
        return os.fspath(model).endswith(".onnx")
    return comes_from(model, "onnx")


def is_in(directory: str) -> bool:
    """Return whether there is an ONNX file."""
    return os.path.isfile(os.path.join(directory, MODEL_FILE))


def inputs_of(model: Any) -> Sequence[str] | None:
    """Return None: one input may be a matrix of many columns."""
    del model
    return None


def save(model: Any, saving: Saving) -> Mapping[str, Any]:
    """Write the graph; what `options` there are is refused."""
    path = os.path.join(saving.directory, MODEL_FILE)
    if isinstance(model, str | os.PathLike):
        shutil.copyfile(model, path)
    else:
        with open(path, "wb") as file:
            file.write(model.SerializeToString())
    return {"classes": None if saving.classes is None else list(saving.classes)}


def load(loading: Loading) -> Predictor:
    """Return the predictor of a graph.

    An input that is named as a column takes that column; the only input of a graph takes all
    columns as one matrix otherwise.
    """
    session = _session(loading.directory)
    inputs = session.get_inputs()
    outputs = [output.name for output in session.get_outputs()]
    classes = loading.details.get("classes")

    def predict(table: Any) -> Any:
        feeds = _feeds(inputs, table, list(loading.inputs or table.schema.names))
        values = dict(zip(outputs, session.run(None, feeds), strict=True))
        return _predictions(values, classes)

    return predict


def signature_in(directory: str) -> Signature | None:
    """Return the inputs of the graph as columns, with nothing said of outputs."""
    columns = []
    for given in _session(directory).get_inputs():
        if given.type not in _TYPES:
            return None
        sizes = [size if isinstance(size, int) else None for size in given.shape[1:]]
        shape = () if sizes in ([], [1]) else tuple(sizes)
        columns.append(Column(given.name, _TYPES[given.type][0], shape))
    return Signature(tuple(columns))


def _session(directory: str) -> Any:
    import onnxruntime

    path = os.path.join(directory, MODEL_FILE)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no class in common
        raise DataError(
            f"cannot read the model: {str(error).strip().splitlines()[0]}", path=path
        ) from error


def _feeds(inputs: Sequence[Any], table: Any, names: list[str]) -> dict[str, Any]:
    known = [given.name for given in inputs]
    if len(inputs) == 1 and known[0] not in names:
        kind = _dtype(inputs[0])
        return {known[0]: matrix_of(table, names, kind)}
    feeds = {}
    for given in inputs:
        array = array_of(table, given.name)
        shaped = array.reshape(len(array), -1) if len(given.shape) > 1 else array
        feeds[given.name] = shaped.astype(_dtype(given))
    return feeds


def _dtype(given: Any) -> str:
    if given.type not in _TYPES:
        raise DataError(
            f"an input of an ONNX model should be of {', '.join(_TYPES)}, and this is {given.type}",
            column=given.name,
        )
    return _TYPES[given.type][1]


def _predictions(values: Mapping[str, Any], classes: Sequence[Any] | None) -> Any:
    import pyarrow as pa

    name = next((name for name in _PROBABILITIES if name in values), None)
    if name is not None:
        probabilities = values[name]
        if isinstance(probabilities, list):  # a dict a row, by class
            labels = classes or list(probabilities[0]) if probabilities else classes or []
            return classification([list(row.values()) for row in probabilities], labels)
        return classification(probabilities, classes or range(probabilities.shape[1]))
    if len(values) > 1:
        return pa.table({name: _column(array) for name, array in values.items()})
    (only,) = values.values()
    return regression(only) if classes is None else classification(only, classes)


def _column(array: Any) -> Any:
    import pyarrow as pa

    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    return pa.array(array) if array.ndim == 1 else fixed_lists(array)
