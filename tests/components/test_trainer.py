"""Trainer: TFX's training code unedited, what it is given, and what it must leave behind."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pytest

from penstock.authoring import artifacts
from penstock.components.trainer import executor
from penstock.data.coding.examples import encode
from penstock.data.records import write_serialized
from penstock.errors import DataError, UserCodeError
from penstock.models import layout


@pytest.fixture
def train(taxi_examples, tmp_path):
    """Run training code, given as text, and return what it wrote into seen.json."""

    def run(text: str, **arguments):
        module = tmp_path / "model.py"
        module.write_text(
            "import json, os\n"
            "def save(fn_args, name='saved_model.pb'):\n"
            "    os.makedirs(fn_args.serving_model_dir)\n"
            "    open(os.path.join(fn_args.serving_model_dir, name), 'w').close()\n" + text
        )
        model = artifacts.Model()
        model.uri = str(tmp_path / "model")
        usual = {
            "examples": [taxi_examples],
            "model": model,
            "model_run_uri": str(tmp_path / "model_run"),
            "module_file": str(module),
        }
        executor.train(**{**usual, **arguments})
        seen = tmp_path / "model" / "Format-Serving" / "seen.json"
        return json.loads(seen.read_text()) if seen.exists() else None

    return run


SHOW = """
def run_fn(fn_args):
    save(fn_args)
    seen = {key: value for key, value in vars(fn_args).items() if key != 'data_accessor'}
    with open(os.path.join(fn_args.serving_model_dir, 'seen.json'), 'w') as file:
        json.dump(seen, file)
"""


def test_tfx_training_code_leaves_a_model_that_serves(taxi_model, taxi_examples):
    import tensorflow

    from penstock.data.records import read_serialized, record_files

    loaded = tensorflow.saved_model.load(layout.serving_model(taxi_model.uri))
    records = list(read_serialized(record_files(f"{taxi_examples.uri}/Split-eval")))[:5]
    outputs = loaded.signatures["serving_default"](examples=tensorflow.constant(records))
    assert outputs["outputs"].shape == (5, 1)


def test_the_training_run_is_kept(taxi_model):
    assert list(Path(taxi_model.uri).with_name("model_run").rglob("*tfevents*"))


def test_run_fn_is_given_what_tfx_gives(
    train, taxi_examples, taxi_schema, taxi_transform, tmp_path
):
    hyperparameters = tmp_path / "hyperparameters"
    hyperparameters.mkdir()
    (hyperparameters / "best_hyperparameters.txt").write_text('{"units": 8}')
    base = tmp_path / "base" / "Format-Serving"
    base.mkdir(parents=True)
    seen = train(
        SHOW,
        transform_graph_uri=taxi_transform.graph,
        schema_uri=taxi_schema,
        hyperparameters_uri=str(hyperparameters),
        base_model_uri=str(base.parent),
        train_steps=7,
        custom_config={"epochs": 2},
        working_directory=str(tmp_path),
    )
    assert seen == {
        "working_dir": str(tmp_path),
        "train_files": [f"{taxi_examples.uri}/Split-train/*"],
        "eval_files": [f"{taxi_examples.uri}/Split-eval/*"],
        "train_steps": 7,
        "eval_steps": None,
        "schema_path": f"{taxi_schema}/schema.pbtxt",
        "schema_file": f"{taxi_schema}/schema.pbtxt",
        "transform_graph_path": taxi_transform.graph,
        "transform_output": taxi_transform.graph,
        "serving_model_dir": str(tmp_path / "model" / "Format-Serving"),
        "eval_model_dir": str(tmp_path / "model" / "Format-TFMA"),
        "model_run_dir": str(tmp_path / "model_run"),
        "base_model": str(base),
        "hyperparameters": {"units": 8},
        "custom_config": {"epochs": 2},
    }


def test_several_splits_and_artifacts_give_several_patterns(train, taxi_examples):
    seen = train(SHOW, train_splits=["train", "eval"], examples=[taxi_examples, taxi_examples])
    uri = taxi_examples.uri
    assert seen["train_files"] == [f"{uri}/Split-train/*"] * 2 + [f"{uri}/Split-eval/*"] * 2


def test_an_unknown_split_is_an_error(train):
    with pytest.raises(DataError, match="no split 'trian'") as caught:
        train(SHOW, train_splits=["trian"])
    assert "'train'" in str(caught.value)


def test_an_error_in_run_fn_shows_its_line(train):
    with pytest.raises(UserCodeError, match="run_fn failed: ZeroDivisionError") as caught:
        train("def run_fn(fn_args):\n    loss = 0\n    return 1 / loss\n")
    assert "model.py:7" in str(caught.value)
    assert "return 1 / loss" in str(caught.value)


def test_no_saved_model_says_where_it_was_expected(train, tmp_path):
    with pytest.raises(UserCodeError, match="run_fn saved no model") as caught:
        train("def run_fn(fn_args): pass\n")
    assert str(tmp_path / "model" / "Format-Serving" / "saved_model.pb") in str(caught.value)
    assert "fn_args.serving_model_dir" in str(caught.value)


def test_models_of_other_libraries_need_no_saved_model(train, tmp_path):
    train("def run_fn(fn_args):\n    save(fn_args, 'model.pkl')\n")
    assert os.listdir(tmp_path / "model" / "Format-Serving") == ["model.pkl"]


def test_weights_that_are_not_numbers_are_an_error(train):
    text = (
        "import tensorflow as tf\n"
        "def run_fn(fn_args):\n"
        "    model = tf.Module()\n"
        "    model.kernel = tf.Variable([1.0, float('nan')], name='kernel')\n"
        "    tf.saved_model.save(model, fn_args.serving_model_dir)\n"
    )
    with pytest.raises(UserCodeError, match=r"not numbers \(NaN or infinite\): kernel") as caught:
        train(text)
    assert "smaller learning rate" in str(caught.value)


def test_features_that_are_not_numbers_are_named_with_such_weights(train, make_artifact, tmp_path):
    split = tmp_path / "examples" / "Split-train"
    column = pa.array([[1.0], [float("nan")], [2.0]], pa.large_list(pa.float32()))
    batch = pa.RecordBatch.from_arrays([column], ["price_scaled"])
    write_serialized(str(split), "data_tfrecord", encode(batch))
    write_serialized(str(split.with_name("Split-eval")), "data_tfrecord", encode(batch))
    examples = make_artifact(artifacts.Examples, split.parent, ["train", "eval"])
    text = (
        "import tensorflow as tf\n"
        "def run_fn(fn_args):\n"
        "    model = tf.Module()\n"
        "    model.kernel = tf.Variable([float('nan')])\n"
        "    tf.saved_model.save(model, fn_args.serving_model_dir)\n"
    )
    with pytest.raises(UserCodeError, match="and so have the rows that it was trained") as caught:
        train(text, examples=[examples])
    assert "feature 'price_scaled' is NaN or infinite in 1 of 3 rows" in str(caught.value)
    assert "Mend the feature where it is made: in preprocessing_fn" in str(caught.value)


READ = """
def run_fn(fn_args):
    from tfx_bsl.tfxio.dataset_options import RecordBatchesOptions, TensorFlowDatasetOptions
    from penstock.components.schema_gen.schema_file import read_schema

    schema = read_schema(fn_args.schema_path)
    options = TensorFlowDatasetOptions(
        batch_size=64, num_epochs=1, label_key='trip_start_hour', shuffle=fn_args.custom_config
    )
    data = fn_args.data_accessor.tf_dataset_factory(fn_args.eval_files, options, schema)
    hours = [int(x) for _, label in data for x in label.numpy().reshape(-1)]
    sizes = [label.shape[0] for _, label in data]
    batches = fn_args.data_accessor.record_batch_factory(
        fn_args.eval_files, RecordBatchesOptions(batch_size=100, num_epochs=1), schema
    )
    seen = {'hours': hours, 'sizes': sizes, 'rows': sum(batch.num_rows for batch in batches)}
    save(fn_args)
    with open(os.path.join(fn_args.serving_model_dir, 'seen.json'), 'w') as file:
        json.dump(seen, file)
"""


@pytest.fixture
def parquet_examples(taxi_examples, make_artifact, tmp_path):
    import pyarrow
    import pyarrow.parquet

    from penstock.data.records import read_record_batches, record_files

    for split in ("train", "eval"):
        files = record_files(f"{taxi_examples.uri}/Split-{split}")
        table = pyarrow.Table.from_batches(
            list(read_record_batches(files, columns=["trip_start_hour", "fare", "company"]))
        )
        folder = tmp_path / "parquet" / f"Split-{split}"
        folder.mkdir(parents=True)
        pyarrow.parquet.write_table(table, folder / "data_parquet-00000-of-00001.parquet")
    return make_artifact(artifacts.Examples, tmp_path / "parquet", ["train", "eval"])


@pytest.fixture
def small_schema(tmp_path):
    (tmp_path / "schema").mkdir()
    text = "".join(
        f"feature {{ name: '{name}' type: {kind} shape {{ dim {{ size: 1 }} }} "
        "presence { min_fraction: 1 } }"
        for name, kind in (("trip_start_hour", "INT"), ("fare", "FLOAT"))
    )
    (tmp_path / "schema" / "schema.pbtxt").write_text(text)
    return str(tmp_path / "schema")


def test_parquet_examples_are_read_like_tfrecords(
    train, taxi_examples, parquet_examples, small_schema, tmp_path
):
    import shutil

    seen = []
    for examples in (taxi_examples, parquet_examples):
        seen.append(train(READ, examples=[examples], schema_uri=small_schema, custom_config=False))
        shutil.rmtree(tmp_path / "model")
    records, parquet = seen
    assert sorted(parquet["hours"]) == sorted(records["hours"])
    assert parquet["sizes"] == records["sizes"]
    assert parquet["rows"] == records["rows"]


def test_parquet_examples_are_shuffled_on_request(train, parquet_examples, small_schema, tmp_path):
    import shutil

    seen = []
    for shuffle in (False, True):
        arguments = {"examples": [parquet_examples], "schema_uri": small_schema}
        seen.append(train(READ, custom_config=shuffle, **arguments)["hours"])
        shutil.rmtree(tmp_path / "model")
    assert seen[0] != seen[1]
    assert sorted(seen[0]) == sorted(seen[1])


def test_an_estimator_model_is_found_below_its_export_directory(testdata):
    model = layout.serving_model(str(testdata / "trainer" / "current"))
    assert os.path.isfile(os.path.join(model, "saved_model.pb"))


def test_the_evaluation_graph_comes_before_the_model_to_serve(testdata):
    assert "Format-TFMA" in layout.evaluation_model(str(testdata / "trainer" / "current"))


def test_without_an_evaluation_graph_the_model_to_serve_is_evaluated(tmp_path):
    (tmp_path / "Format-Serving").mkdir()
    assert layout.evaluation_model(str(tmp_path)) == str(tmp_path / "Format-Serving")
