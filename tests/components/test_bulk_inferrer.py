"""BulkInferrer: predictions for all rows of examples, as TFX writes them, of any flavor."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from penstock.authoring import artifacts
from penstock.components import BulkInferrer
from penstock.components.bulk_inferrer import executor
from penstock.components.bulk_inferrer.specs import (
    ClassifyOutput,
    DataSpec,
    ModelSpec,
    OutputColumnsSpec,
    OutputExampleSpec,
    PredictOutput,
    PredictOutputCol,
    RegressOutput,
)
from penstock.data.coding.example_proto import example_class
from penstock.data.coding.examples import encode
from penstock.data.coding.prediction_logs import prediction_log_class, tensor_values
from penstock.data.parallel import choosing, processes, workers
from penstock.data.records import (
    read_record_batches,
    read_serialized,
    record_files,
    write_serialized,
)
from penstock.errors import DataError, ParameterError
from penstock.models.saving import save_model

ROWS = pa.table(
    {
        "age": pa.array([70, 20, 60], pa.int64()),
        "city": ["Oslo", "Rome", "Rome"],
        "tags": pa.array([["a"], ["a", "b"], []], pa.list_(pa.string())),
    }
)


def columns(**kinds: Any) -> OutputExampleSpec:
    return OutputExampleSpec((OutputColumnsSpec(**kinds),))


@pytest.fixture
def classifier(tmp_path: Path) -> Any:
    """A classifier of scikit-learn, by age."""
    linear_model = pytest.importorskip("sklearn.linear_model", reason="needs scikit-learn")
    pytest.importorskip("skops", reason="skops is not installed")
    ages = pa.table({"age": pa.array(range(18, 90), pa.int64())})
    labels = ["stays" if age > 50 else "leaves" for age in range(18, 90)]
    fitted = linear_model.LogisticRegression(max_iter=1000).fit(ages.to_pandas(), labels)
    return saved(fitted, ages, tmp_path)


def saved(fitted: Any, example: pa.Table, folder: Path) -> Any:
    model = artifacts.Model()
    model.uri = str(folder / "model")
    save_model(fitted, os.path.join(model.uri, "Format-Serving"), example=example)
    return model


@pytest.fixture(params=["tfrecord", "parquet"])
def examples(request: Any, tmp_path: Path) -> list[Any]:
    """Three rows in each of two splits."""
    made = artifacts.Examples()
    made.uri = str(tmp_path / "examples")
    made.split_names = json.dumps(["train", "eval"])
    for split in ("train", "eval"):
        folder = tmp_path / "examples" / f"Split-{split}"
        if request.param == "parquet":
            folder.mkdir(parents=True)
            pyarrow.parquet.write_table(ROWS, folder / "data_parquet-00000-of-00001.parquet")
        else:
            write_serialized(str(folder), "data_tfrecord", encode(ROWS.to_batches()[0]))
    return [made]


@pytest.fixture
def infer(tmp_path: Path) -> Callable[..., Any]:
    """Infer, and return the output that there is."""

    def run(
        model: Any,
        examples: list[Any],
        spec: OutputExampleSpec | None = None,
        *,
        blessing: Any = None,
        data: DataSpec = DataSpec(),
        asked: ModelSpec = ModelSpec(),
    ) -> Any:
        kind = artifacts.InferenceResult if spec is None else artifacts.Examples
        output = kind()
        output.uri = str(tmp_path / "output")
        executor.infer(
            examples=examples,
            model=model,
            inference_result=output if spec is None else None,
            output_examples=None if spec is None else output,
            model_blessing=blessing,
            data=data,
            asked=asked,
            columns=spec,
            progress=lambda **_: None,
        )
        return output

    return run


def logs_of(output: Any) -> list[Any]:
    return [prediction_log_class().FromString(r) for r in read_serialized(record_files(output.uri))]


def rows_of(output: Any, split: str) -> list[dict[str, Any]]:
    folder = os.path.join(output.uri, f"Split-{split}")
    batches = list(read_record_batches(record_files(folder)))
    return [row for batch in batches for row in batch.to_pylist()]


def test_each_row_has_a_prediction_log(classifier, examples, infer):
    output = infer(classifier, examples)
    assert all(name.startswith("prediction_logs-0000") for name in os.listdir(output.uri))
    logs = logs_of(output)
    assert len(logs) == 6
    request, response = logs[0].predict_log.request, logs[0].predict_log.response
    [record] = tensor_values(request.inputs["examples"])
    assert example_class().FromString(record).features.feature["age"].int64_list.value == [70]
    assert tensor_values(response.outputs["prediction"]).tolist() == [b"stays"]
    assert tensor_values(response.outputs["probabilities"]).shape == (1, 2)


def test_examples_get_the_labels_and_scores_of_a_classifier(classifier, examples, infer):
    spec = columns(classify_output=ClassifyOutput("labels", "scores"))
    output = infer(classifier, examples, spec)
    assert json.loads(output.split_names) == ["eval", "train"]
    rows = rows_of(output, "eval")
    assert [row["labels"] for row in rows] == [[b"leaves", b"stays"]] * 3
    assert [float(np.argmax(row["scores"])) for row in rows] == [1, 0, 1]
    assert [row["tags"] for row in rows] == [[b"a"], [b"a", b"b"], []]


def test_examples_get_outputs_by_their_names(classifier, examples, infer):
    named = PredictOutput((PredictOutputCol("prediction", "said"),))
    rows = rows_of(infer(classifier, examples, columns(predict_output=named)), "train")
    assert [row["said"] for row in rows] == [[b"stays"], [b"leaves"], [b"stays"]]


def test_examples_get_the_number_of_a_regression(tmp_path, examples, infer):
    linear_model = pytest.importorskip("sklearn.linear_model", reason="needs scikit-learn")
    ages = ROWS.select(["age"])
    model = saved(linear_model.LinearRegression().fit(ages.to_pandas(), [7, 2, 6]), ages, tmp_path)
    rows = rows_of(infer(model, examples, columns(regress_output=RegressOutput("years"))), "eval")
    assert [row["years"] for row in rows] == [[7.0], [2.0], [6.0]]


def test_the_splits_that_are_named_are_predicted_for(classifier, examples, infer):
    spec = columns(classify_output=ClassifyOutput("labels"))
    output = infer(classifier, examples, spec, data=DataSpec(("eval",)))
    assert os.listdir(output.uri) == ["Split-eval"]
    assert json.loads(output.split_names) == ["eval"]


def test_a_model_that_is_not_blessed_predicts_nothing(classifier, examples, infer):
    blessing = artifacts.ModelBlessing()
    blessing.set_int_custom_property("blessed", 0)
    output = infer(classifier, examples, blessing=blessing)
    assert not os.path.exists(output.uri)
    blessing.set_int_custom_property("blessed", 1)
    assert len(logs_of(infer(classifier, examples, blessing=blessing))) == 6


@pytest.mark.parametrize("spec", [None, columns(classify_output=ClassifyOutput("x", "y"))])
def test_processes_write_what_one_writes(classifier, examples, infer, monkeypatch, spec):
    monkeypatch.setattr(executor, "BATCH_ROWS", 1)
    monkeypatch.setattr(executor, "PART_BYTES", 500)

    def written() -> dict[str, bytes]:
        folder = Path(infer(classifier, examples, spec).uri)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        content = {str(path.relative_to(folder)): path.read_bytes() for path in files}
        shutil.rmtree(folder)
        return content

    alone = written()
    monkeypatch.setattr(choosing, "LARGE_BYTES", 0)
    monkeypatch.setattr(choosing, "_ACCELERATORS", ())
    forked: list[int] = []
    monkeypatch.setattr(processes, "available_processes", lambda: 3)
    monkeypatch.setattr(workers, "available_processes", lambda: 3)
    fork = os.fork
    monkeypatch.setattr(os, "fork", lambda: forked.append(1) or fork())
    assert written() == alone
    assert len(forked) >= 2
    assert all(".being-written" not in name for name in alone)


def test_rows_of_a_large_file_are_in_several_files(classifier, examples, infer, monkeypatch):
    monkeypatch.setattr(executor, "BATCH_ROWS", 1)
    monkeypatch.setattr(executor, "PART_BYTES", 100)
    output = infer(classifier, examples, columns(classify_output=ClassifyOutput("labels")))
    assert len(record_files(os.path.join(output.uri, "Split-train"))) > 1
    assert sorted(row["age"][0] for row in rows_of(output, "train")) == [20, 60, 70]


def test_more_rows_than_are_in_memory_at_a_time(classifier, examples, infer, monkeypatch):
    monkeypatch.setattr(executor, "BATCH_ROWS", 2)
    assert len(logs_of(infer(classifier, examples))) == 6


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"data": DataSpec(("test",))}, DataError, "examples have no split 'test'"),
        ({"asked": ModelSpec(("a", "b"))}, ParameterError, "expected one signature, got a, b"),
        ({"asked": ModelSpec(("a",))}, ParameterError, "the model has no signature 'a' that takes"),
        ({"spec": OutputExampleSpec()}, ParameterError, "has no output_columns_spec"),
        ({"spec": columns()}, ParameterError, "should have one of classify_output"),
        (
            {"spec": columns(regress_output=RegressOutput("x"))},
            ParameterError,
            "expected a regression, and the output 'prediction' is no single number",
        ),
        (
            {"spec": columns(predict_output=PredictOutput((PredictOutputCol("predict", "x"),)))},
            ParameterError,
            "the model gives no 'predict'. Did you mean 'prediction'?",
        ),
        (
            {"spec": columns(classify_output=ClassifyOutput("age"))},
            DataError,
            "record 0 has a column 'age' already",
        ),
    ],
)
def test_what_cannot_be_done_is_said(classifier, examples, infer, options, error, message):
    with pytest.raises(error) as caught:
        infer(classifier, examples, **options)
    assert message in str(caught.value)


def test_a_row_that_the_model_does_not_take_is_named(classifier, examples, infer):
    table = ROWS.set_column(0, "age", pa.array([70, None, 60], pa.int64()))
    folder = Path(examples[0].uri) / "Split-train"
    shutil.rmtree(folder)
    write_serialized(str(folder), "data_tfrecord", encode(table.to_batches()[0]))
    with pytest.raises(DataError) as caught:
        infer(classifier, examples)
    assert "row 1: expected a whole number, got nothing" in str(caught.value)
    assert "Split-train" in str(caught.value)


def test_there_is_one_output_of_the_two():
    assert BulkInferrer.EXECUTOR_SPEC is not None
    from penstock.components.bulk_inferrer.component import absent_outputs

    assert absent_outputs({"output_example_spec": None}) == {"output_examples"}
    assert absent_outputs({"output_example_spec": columns()}) == {"inference_result"}


@pytest.fixture
def unlabelled(tmp_path: Path, testdata: Path) -> Any:
    """TFX's examples, as its own test of BulkInferrer has them."""
    made = artifacts.Examples()
    made.uri = str(tmp_path / "taxi")
    shutil.copytree(testdata / "csv_example_gen" / "unlabelled", f"{made.uri}/Split-unlabelled")
    made.split_names = json.dumps(["unlabelled"])
    return made


SPEC = columns(classify_output=ClassifyOutput("classify_label", "classify_score"))


def of_tfx(
    unlabelled: Any, model: Any, folder: Path, spec: OutputExampleSpec | None, signature: str = ""
) -> Any:
    """Return what TFX's own executor makes of the same."""
    from tfx.components.bulk_inferrer.executor import Executor

    output = artifacts.InferenceResult() if spec is None else artifacts.Examples()
    output.uri = str(folder / "theirs")
    classify = {"label_column": "classify_label", "score_column": "classify_score"}
    said = None if spec is None else {"output_columns_spec": [{"classify_output": classify}]}
    context = Executor.Context(tmp_dir=str(folder / "tmp"), unique_id="1")
    Executor(context).Do(
        {"examples": [unlabelled], "model": [model]},
        {"inference_result" if spec is None else "output_examples": [output]},
        {
            "data_spec": "{}",
            "model_spec": json.dumps({"model_signature_name": [signature] if signature else []}),
            **({} if said is None else {"output_example_spec": json.dumps(said)}),
        },
    )
    return output


@pytest.mark.needs("tfx.components", "apache_beam")
@pytest.mark.parametrize("spec", [None, SPEC], ids=["logs", "examples"])
def test_of_a_saved_model_it_is_what_tfx_writes(unlabelled, testdata, infer, tmp_path, spec):
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    model = artifacts.Model()
    model.uri = str(testdata / "trainer" / "current")
    ours = infer(model, [unlabelled], spec)
    theirs = of_tfx(unlabelled, model, tmp_path, spec)
    kind = prediction_log_pb2.PredictionLog if spec is None else tf.train.Example

    def scores_of(message: Any) -> list[float]:
        """Take the scores out of a message: their last bits hang on how rows were batched."""
        if spec is not None:
            given = message.features.feature["classify_score"].float_list.value
            scores = list(given)
            del given[:]
            return scores
        [classified] = message.classify_log.response.result.classifications
        scores = [one.score for one in classified.classes]
        for one in classified.classes:
            one.ClearField("score")
        return scores

    def messages(output: Any) -> list[tuple[bytes, list[float]]]:
        folder = output.uri if spec is None else f"{output.uri}/Split-unlabelled"
        read = [kind.FromString(record) for record in read_serialized(record_files(folder))]
        scores = [scores_of(message) for message in read]
        return sorted(
            zip([m.SerializeToString(deterministic=True) for m in read], scores, strict=True)
        )

    (mine, my_scores), (others, their_scores) = (
        zip(*messages(output), strict=True) for output in (ours, theirs)
    )
    assert mine == others
    assert len(mine) > 10
    for one, other in zip(my_scores, their_scores, strict=True):
        assert one == pytest.approx(other, abs=1e-6)


@pytest.mark.needs("tfx.components", "apache_beam")
def test_a_signature_that_predicts_is_asked_as_tfx_asks_it(unlabelled, testdata, infer, tmp_path):
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    model = artifacts.Model()
    model.uri = str(testdata / "trainer" / "current")
    ours = infer(model, [unlabelled], asked=ModelSpec(("predict",)))
    theirs = of_tfx(unlabelled, model, tmp_path, None, "predict")

    def plain(output: Any) -> list[Any]:
        read = []
        for record in read_serialized(record_files(output.uri)):
            log = prediction_log_pb2.PredictionLog.FromString(record).predict_log
            [(argument, tensor)] = log.request.inputs.items()
            example = tf.train.Example.FromString(tf.make_ndarray(tensor)[0])
            given = (argument, example.SerializeToString(deterministic=True))
            said = {name: tf.make_ndarray(t) for name, t in log.response.outputs.items()}
            shapes = {name: (v.dtype, v.shape) for name, v in sorted(said.items())}
            names = (log.request.model_spec, log.response.model_spec)
            read.append((given, shapes, names, said["probabilities"]))
        return sorted(read, key=lambda one: one[0])

    for one, other in zip(plain(ours), plain(theirs), strict=True):
        assert one[:3] == other[:3]
        # In batches of other sizes TensorFlow adds up in another order.
        np.testing.assert_allclose(one[3], other[3], rtol=1e-5)
