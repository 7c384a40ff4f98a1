"""Logs of predictions are TensorFlow Serving's, byte for byte."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.data.coding.prediction_logs import (
    fill_tensor,
    prediction_log_class,
    tensor_values,
)
from penstock.errors import DataError

ARRAYS = [
    np.array([1.5, 2.5], np.float32),
    np.array([[1.5], [2.5]], np.float64),
    np.array([[1, 2, 3]], np.int64),
    np.array([True, False]),
    np.array([1, 2], np.uint8),
    np.array([0.5, 2], np.float16),
    np.array([b"a", b"bc"], object),
    np.array(7, np.int32),
]


def tensor_of(values):
    log = prediction_log_class()()
    fill_tensor(log.predict_log.request.inputs["x"], values)
    return log.predict_log.request.inputs["x"]


@pytest.mark.core
@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{list(a.shape)}")
def test_a_tensor_keeps_values_type_and_shape(array):
    values = tensor_values(tensor_of(array))
    assert values.dtype == array.dtype
    assert values.tolist() == array.tolist()


@pytest.mark.core
def test_texts_become_bytes():
    assert tensor_values(tensor_of(np.array(["ä", None], object))).tolist() == ["ä".encode(), b""]


@pytest.mark.core
def test_a_tensor_with_too_few_bytes_is_told():
    tensor = tensor_of(np.array([1.0, 2.0]))
    tensor.tensor_content = tensor.tensor_content[:8]
    with pytest.raises(DataError, match=r"a tensor of the shape \[2\] has 1 values"):
        tensor_values(tensor)


@pytest.mark.core
def test_a_tensor_of_another_kind_is_told():
    tensor = tensor_of(np.array([1.0]))
    tensor.dtype = 18
    with pytest.raises(DataError, match="expected a tensor of numbers or texts"):
        tensor_values(tensor)


@pytest.mark.needs("tensorflow", "tfx.components")
@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{list(a.shape)}")
def test_tensorflow_reads_what_is_written_and_the_reverse(array):
    import tensorflow
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_class()()
    log.predict_log.request.model_spec.signature_name = "serving_default"
    fill_tensor(log.predict_log.request.inputs["x"], array)
    theirs = prediction_log_pb2.PredictionLog.FromString(log.SerializeToString())
    read = tensorflow.make_ndarray(theirs.predict_log.request.inputs["x"])
    assert read.tolist() == array.tolist()
    assert theirs.predict_log.request.model_spec.signature_name == "serving_default"

    theirs.predict_log.response.outputs["y"].CopyFrom(tensorflow.make_tensor_proto(array))
    ours = prediction_log_class().FromString(theirs.SerializeToString())
    assert tensor_values(ours.predict_log.response.outputs["y"]).tolist() == array.tolist()


@pytest.mark.needs("tensorflow", "tfx.components")
def test_an_example_in_a_request_is_its_bytes():
    import tensorflow
    from tensorflow_serving.apis import prediction_log_pb2

    example = tensorflow.train.Example()
    example.features.feature["age"].int64_list.value.append(3)
    log = prediction_log_class()()
    log.classify_log.request.input.example_list.examples.append(example.SerializeToString())
    log.classify_log.response.result.classifications.add().classes.add(label="yes", score=0.5)
    theirs = prediction_log_pb2.PredictionLog.FromString(log.SerializeToString())
    assert theirs.classify_log.request.input.example_list.examples[0] == example
    assert theirs.classify_log.response.result.classifications[0].classes[0].label == "yes"
