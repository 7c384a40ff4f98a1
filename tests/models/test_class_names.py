"""Outputs of SavedModels get the names of their classes, and serve as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from penstock.errors import DataError
from penstock.models import Column, Signature, load_model, name_classes
from penstock.models.class_names import CLASSES_FILE, read_classes
from penstock.models.prediction_files import named
from penstock.models.predictions import fixed_lists


@pytest.mark.core
def test_what_is_named_is_read(tmp_path: Path):
    name_classes(str(tmp_path), ["no", "yes"])
    name_classes(str(tmp_path), (1, 2, 3), output="size")
    assert read_classes(str(tmp_path)) == {"outputs": ["no", "yes"], "size": [1, 2, 3]}


@pytest.mark.core
@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "expected classes by output, as JSON"), ('{"a": 1}', "expected an object of lists")],
)
def test_a_file_of_something_else_is_told(tmp_path: Path, content: str, message: str):
    path = tmp_path / CLASSES_FILE
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_classes(str(tmp_path))


def signature(*shape: int, classes: tuple[Any, ...] | None) -> Signature:
    return Signature((), (Column("outputs", "float32", shape, classes=classes),))


@pytest.mark.core
def test_a_number_a_class_becomes_a_column_a_class():
    predictions = pa.table({"outputs": fixed_lists([[0.25, 0.75], [1.0, 0.0]])})
    table = named(predictions, signature(2, classes=("no", "yes")), "csv")
    assert table.to_pydict() == {
        "prediction": ["yes", "no"],
        "probability_no": [0.25, 1.0],
        "probability_yes": [0.75, 0.0],
    }


@pytest.mark.core
def test_one_number_is_that_of_the_second_class():
    table = named(pa.table({"outputs": [0.75]}), signature(classes=("no", "yes")), "jsonl")
    assert table.to_pylist() == [{"prediction": "yes", "probabilities": {"no": 0.25, "yes": 0.75}}]


@pytest.mark.core
def test_without_classes_outputs_are_as_they_are():
    predictions = pa.table({"outputs": fixed_lists([[0.25, 0.75]])})
    assert named(predictions, signature(2, classes=None), "parquet").equals(predictions)
    assert named(predictions, None, "csv").column_names == ["outputs_0", "outputs_1"]


@pytest.mark.needs("tensorflow")
def test_a_saved_models_signature_has_them(tmp_path: Path):
    import tensorflow as tf

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def serve(self, x):
            return {"outputs": tf.stack([1 - x, x], axis=1), "twice": 2 * x}

    module = Module()
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.serve})
    name_classes(str(tmp_path), ["no", "yes"])
    name_classes(str(tmp_path), ["a", "b", "c"], output="twice")
    model = load_model(str(tmp_path))
    assert [c.classes for c in model.signature.outputs] == [("no", "yes"), None]
    predictions = model.predict({"x": [0.75]})
    assert predictions.column_names == ["outputs", "twice"]
    [row] = named(predictions, model.signature, "csv").to_pylist()
    assert row == {
        "prediction": "yes",
        "probability_no": 0.25,
        "probability_yes": 0.75,
        "twice": 1.5,
    }
