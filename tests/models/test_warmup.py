"""The requests that a model carries for its own warm-up are read, written, and asked."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

from penstock.data.records import TFRecordWriter, read_serialized
from penstock.errors import DataError
from penstock.models import load_model
from penstock.models.facts import ModelFacts, write_facts
from penstock.models.signature import Column, Signature
from penstock.models.warmup import REQUESTS_FILE, ROWS_FILE, warmup_rows, write_warmup
from penstock.serving.worker.warming import warm

INPUTS = Signature(
    (
        Column("age", "int64"),
        Column("income", "float32", optional=True),
        Column("photo", "binary", optional=True),
        Column("pair", "float64", (2,), optional=True),
    )
)
ROWS = INPUTS.cast(
    pa.table(
        {"age": [3, 4], "income": [1.5, None], "photo": [b"\xff\0", None], "pair": [None, [1.0, 2]]}
    )
)


@pytest.fixture
def directory(tmp_path: Path) -> str:
    write_facts(str(tmp_path), ModelFacts("sklearn", INPUTS))
    return str(tmp_path)


@pytest.mark.core
def test_a_model_that_carries_no_requests_has_none(directory):
    assert warmup_rows(directory) is None


@pytest.mark.core
def test_what_is_written_is_read(directory):
    write_warmup(directory, ROWS)
    assert warmup_rows(directory).equals(ROWS)


@pytest.mark.core
def test_a_row_a_line_can_be_written_by_hand(directory):
    Path(directory, ROWS_FILE).write_text('{"age": 7, "photo": {"b64": "/wA="}}\n\n{"age": 8}\n')
    rows = warmup_rows(directory)
    assert rows.schema.equals(ROWS.schema)
    assert rows.column("age").to_pylist() == [7, 8]
    assert rows.column("photo").to_pylist() == [b"\xff\0", None]


@pytest.mark.core
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"age": 7}\n{"age"', rf"expected JSON: .*{ROWS_FILE}:2"),
        ("7", rf"expected an object with columns, got int.*{ROWS_FILE}:1"),
        ('{"age": {"x": 1}}', rf"got an object with 'x'.*{ROWS_FILE}:1, column age"),
        ('{"photo": {"b64": "?"}}', "expected base64"),
        ('{"age": 1.5}', "the model's warm-up requests do not fit it: row 0: expected a whole"),
    ],
)
def test_what_is_no_row_is_told_with_its_line(directory, content, expected):
    Path(directory, ROWS_FILE).write_text(content)
    with pytest.raises(DataError, match=expected):
        warmup_rows(directory)


@pytest.mark.core
def test_more_than_a_thousand_rows_are_not_read(directory):
    Path(directory, ROWS_FILE).write_text('{"age": 1}\n' * 1001)
    assert warmup_rows(directory).num_rows == 1000


@pytest.mark.core
def test_every_row_is_asked_about(directory):
    ages: list[int] = []
    model = SimpleNamespace(
        directory=directory,
        example=None,
        predict=lambda rows: ages.extend(rows.column("age").to_pylist()),
    )
    warm(model)
    assert ages == []
    Path(directory, ROWS_FILE).write_text("".join(f'{{"age": {age}}}\n' for age in range(40)))
    warm(model)
    assert set(ages) == set(range(40))


@pytest.mark.core
def test_without_requests_it_is_asked_about_its_example(directory):
    asked: list[int] = []
    model = SimpleNamespace(
        directory=directory, example=ROWS, predict=lambda rows: asked.append(rows.num_rows)
    )
    warm(model)
    assert asked == [1, 2, 16]


@pytest.fixture(params=["parses examples", "takes columns"])
def saved_model(request, tmp_path: Path) -> str:
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def parse(self, examples):
            features = {
                "age": tf.io.FixedLenFeature([], tf.int64),
                "income": tf.io.FixedLenFeature([], tf.float32, default_value=0.0),
            }
            parsed = tf.io.parse_example(examples, features)
            return {"outputs": tf.cast(parsed["age"], tf.float32) + parsed["income"]}

        @tf.function(
            input_signature=[
                tf.TensorSpec([None], tf.int64, name="age"),
                tf.TensorSpec([None], tf.float32, name="income"),
            ]
        )
        def take(self, age, income):
            return {"outputs": tf.cast(age, tf.float32) + income}

    module = Module()
    function = module.parse if request.param == "parses examples" else module.take
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": function})
    return str(tmp_path)


PEOPLE = pa.table({"age": pa.array([3, 4], pa.int64()), "income": pa.array([1.5, 2], pa.float32())})


@pytest.mark.needs("tensorflow")
def test_a_saved_models_requests_are_in_tensorflow_servings_file(saved_model):
    assert write_warmup(saved_model, PEOPLE) == str(Path(saved_model) / REQUESTS_FILE)
    assert warmup_rows(saved_model).select(["age", "income"]).to_pydict() == PEOPLE.to_pydict()
    warm(load_model(saved_model))


@pytest.mark.needs("tensorflow", "tfx.components")
def test_tensorflow_serving_could_send_them(saved_model):
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    write_warmup(saved_model, PEOPLE)
    function = tf.saved_model.load(saved_model).signatures["serving_default"]
    outputs = []
    for record in read_serialized(str(Path(saved_model) / REQUESTS_FILE)):
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        given = {name: tf.constant(tf.make_ndarray(t)) for name, t in request.inputs.items()}
        outputs += function(**given)["outputs"].numpy().tolist()
    assert outputs == [4.5, 6.0]


@pytest.mark.needs("tensorflow", "tfx.components")
@pytest.mark.parametrize("saved_model", ["parses examples"], indirect=True)
def test_requests_to_classify_and_those_for_other_signatures_are_told_apart(saved_model):
    from tensorflow_serving.apis import prediction_log_pb2

    path = Path(saved_model) / REQUESTS_FILE
    path.parent.mkdir()
    with TFRecordWriter(path) as writer:
        for name, age in (("", 1), ("serving_default", 2), ("other", 3)):
            log = prediction_log_pb2.PredictionLog()
            request = log.classify_log.request
            request.model_spec.signature_name = name
            example = request.input.example_list.examples.add()
            example.features.feature["age"].int64_list.value.append(age)
            writer.write(log.SerializeToString())
    assert warmup_rows(saved_model).column("age").to_pylist() == [1, 2]


@pytest.mark.needs("tensorflow")
def test_a_file_of_something_else_is_told(saved_model):
    path = Path(saved_model) / REQUESTS_FILE
    path.parent.mkdir()
    with TFRecordWriter(path) as writer:
        writer.write(b"\xff")
    with pytest.raises(DataError, match="expected a PredictionLog: .*tf_serving_warmup_requests"):
        warmup_rows(saved_model)
