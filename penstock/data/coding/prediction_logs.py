"""TensorFlow Serving's PredictionLog, and tensors in it, as protobuf messages without TensorFlow.

The messages have the field numbers of TensorFlow Serving, so that their bytes are the same. An
example in them is its serialized bytes.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from penstock.data.coding.own_messages import described_classes
from penstock.errors import DataError

_PACKAGE = "penstock.prediction_log"

_MESSAGES: Mapping[str, Sequence[str]] = {
    "Dim": ("int64 size 1",),
    "Shape": ("repeated Dim dim 2", "bool unknown_rank 3"),
    "Tensor": (
        "int32 dtype 1",
        "Shape tensor_shape 2",
        "bytes tensor_content 4",
        "repeated float float_val 5",
        "repeated double double_val 6",
        "repeated int32 int_val 7",
        "repeated bytes string_val 8",
        "repeated int64 int64_val 10",
        "repeated bool bool_val 11",
        "repeated int32 half_val 13",
        "repeated uint32 uint32_val 16",
        "repeated uint64 uint64_val 17",
    ),
    "ModelSpec": ("string name 1", "string signature_name 3"),
    "ExampleList": ("repeated bytes examples 1",),
    "Input": ("ExampleList example_list 1",),
    "InputRequest": ("ModelSpec model_spec 1", "Input input 2"),
    "Class": ("string label 1", "float score 2"),
    "Classifications": ("repeated Class classes 1",),
    "ClassificationResult": ("repeated Classifications classifications 1",),
    "ClassificationResponse": ("ClassificationResult result 1", "ModelSpec model_spec 2"),
    "ClassifyLog": ("InputRequest request 1", "ClassificationResponse response 2"),
    "Regression": ("float value 1",),
    "RegressionResult": ("repeated Regression regressions 1",),
    "RegressionResponse": ("RegressionResult result 1", "ModelSpec model_spec 2"),
    "RegressLog": ("InputRequest request 1", "RegressionResponse response 2"),
    "PredictRequest": ("ModelSpec model_spec 1", "map Tensor inputs 2"),
    "PredictResponse": ("map Tensor outputs 1", "ModelSpec model_spec 2"),
    "PredictLog": ("PredictRequest request 1", "PredictResponse response 2"),
    "PredictionLog": (
        "ClassifyLog classify_log 2",
        "RegressLog regress_log 3",
        "PredictLog predict_log 6",
    ),
}

# TensorFlow's number of a type, and the field of values that are not in `tensor_content`.
_STRING = 7
_TYPES: Mapping[int, tuple[Any, str]] = {
    1: (np.float32, "float_val"),
    2: (np.float64, "double_val"),
    3: (np.int32, "int_val"),
    4: (np.uint8, "int_val"),
    5: (np.int16, "int_val"),
    6: (np.int8, "int_val"),
    9: (np.int64, "int64_val"),
    10: (np.bool_, "bool_val"),
    17: (np.uint16, "int_val"),
    19: (np.float16, "half_val"),
    22: (np.uint32, "uint32_val"),
    23: (np.uint64, "uint64_val"),
}
_NUMBERS = {np.dtype(kind): number for number, (kind, _) in _TYPES.items()}


@functools.cache
def prediction_log_class() -> Any:
    """Return the message class of PredictionLog."""
    return _classes()["PredictionLog"]


def fill_tensor(tensor: Any, values: Any) -> None:
    """Write an array into a tensor: of numbers, or of texts and bytes."""
    array = np.asarray(values)
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if array.dtype.kind in "OSU":
        tensor.dtype = _STRING
        flat = array.reshape(-1).tolist()
        tensor.string_val.extend(v.encode() if isinstance(v, str) else v or b"" for v in flat)
        return
    tensor.dtype = _NUMBERS[array.dtype]
    if array.size != 1:
        tensor.tensor_content = np.ascontiguousarray(array).tobytes()
        return
    # A number alone stands in the field of its type, where TensorFlow writes it.
    bits = array.view(np.uint16) if array.dtype == np.float16 else array
    getattr(tensor, _TYPES[tensor.dtype][1]).append(bits.item())


def tensor_values(tensor: Any) -> Any:
    """Return the values of a tensor as an array; texts are bytes.

    Raises:
      DataError: it is of a type that has no array, or has not as many values as its shape.
    """
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    count = int(np.prod(shape, dtype=np.int64))
    if tensor.dtype == _STRING:
        texts = np.empty(len(tensor.string_val), object)
        texts[:] = list(tensor.string_val)
        return _of_shape(texts, shape, count)
    if tensor.dtype not in _TYPES:
        raise DataError(f"expected a tensor of numbers or texts, got TensorFlow's {tensor.dtype}")
    kind, field = _TYPES[tensor.dtype]
    if tensor.tensor_content:
        if len(tensor.tensor_content) != count * np.dtype(kind).itemsize:
            raise _another_count(len(tensor.tensor_content) // np.dtype(kind).itemsize, shape)
        return np.frombuffer(tensor.tensor_content, kind).reshape(shape)
    listed = list(getattr(tensor, field))
    if kind is np.float16:
        return _of_shape(np.array(listed, np.uint16).view(np.float16), shape, count)
    return _of_shape(np.array(listed).astype(kind), shape, count)


def _of_shape(values: Any, shape: Sequence[int], count: int) -> Any:
    """Return values in a shape; the last stands for all that are left out."""
    if len(values) > count or (count and not len(values)):
        raise _another_count(len(values), shape)
    if len(values) < count:
        values = np.concatenate([values, np.repeat(values[-1:], count - len(values))])
    return values.reshape(shape)


def _another_count(count: int, shape: Sequence[int]) -> DataError:
    return DataError(f"a tensor of the shape {list(shape)} has {count} values")


@functools.cache
def _classes() -> dict[str, Any]:
    return described_classes(_PACKAGE, _MESSAGES)
