"""Training by a train_fn: what it is given, and what becomes of what it returns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from penstock.authoring import artifacts
from penstock.components import CsvExampleGen, Trainer
from penstock.components.trainer import training
from penstock.components.trainer.frameworks import imported_frameworks
from penstock.data.coding.examples import encode
from penstock.data.records import write_serialized
from penstock.errors import UserCodeError, WiringError
from penstock.models import load_model
from penstock.models.flavors import sklearn_flavor
from penstock.pipelines.flights.frameworks import models

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
pytest.importorskip("skops", reason="skops is not installed")

FEATURES = """
from penstock.models import TrainedModel, features
from sklearn.linear_model import LogisticRegression

@features
def described(columns):
    return {"age": columns.age.filled_with_mean().standardized()}

def fitted_model(training):
    rows = training.train.as_arrow()
    fitted = described.fit(training.train)
    return LogisticRegression().fit(fitted.matrix(rows), rows["left"].to_pylist()), fitted
"""


@pytest.fixture(scope="module")
def examples(tmp_path_factory) -> Any:
    folder = tmp_path_factory.mktemp("examples")
    made = artifacts.Examples()
    made.uri = str(folder)
    made.split_names = json.dumps(["train", "eval"])
    ages = [20, 30, None, 60, 70, 80] * 5
    rows = pa.table(
        {
            "age": pa.array(ages, pa.int64()),
            "left": ["yes" if (age or 0) > 50 else "no" for age in ages],
        }
    )
    for split in ("train", "eval"):
        write_serialized(
            str(folder / f"Split-{split}"), "data_tfrecord", encode(rows.to_batches()[0])
        )
    return made


@pytest.fixture
def examples_channel() -> Any:
    return CsvExampleGen(input_base="data").outputs["examples"]


@pytest.fixture
def train(examples, tmp_path):
    """Run a train_fn, given as text, and return the Model artifact."""

    def run(text: str, **arguments: Any) -> Any:
        module = tmp_path / "their_code.py"
        module.write_text(text)
        model = artifacts.Model()
        model.uri = str(tmp_path / "model")
        (tmp_path / "run").mkdir()
        training.train(
            **{
                "examples": [examples],
                "model": model,
                "model_run_uri": str(tmp_path / "run"),
                "module_file": str(module),
                "train_fn": "train_fn",
                **arguments,
            }
        )
        return model

    return run


def test_the_model_is_saved_signed_and_recorded(train):
    model = train(
        FEATURES
        + """
def train_fn(training):
    model, fitted = fitted_model(training)
    return TrainedModel(model, features=fitted, metrics={"rows": len(training.eval)})
"""
    )
    loaded = load_model(model)
    assert loaded.flavor == "sklearn"
    assert [(c.name, c.type, c.optional) for c in loaded.signature.inputs] == [
        ("age", "int64", True)
    ]
    assert loaded.predict([{"age": 75}, {"age": 20}, {"age": None}])["prediction"].to_pylist()[
        :2
    ] == ["yes", "no"]
    assert model.get_string_custom_property("flavor") == "sklearn"
    assert json.loads(model.get_string_custom_property("metrics")) == {"rows": 30.0}
    assert json.loads(model.get_string_custom_property("signature"))["inputs"][0]["name"] == "age"


def test_a_model_alone_may_be_returned_or_with_metrics(train):
    model = train(
        """
from sklearn.dummy import DummyClassifier

def train_fn(training):
    frame = training.train.as_pandas()
    return DummyClassifier().fit(frame[["age"]], frame["left"]), {"accuracy": 0.5}
"""
    )
    assert [c.name for c in load_model(model).signature.inputs] == ["age"]
    assert json.loads(model.get_string_custom_property("metrics")) == {"accuracy": 0.5}


def test_parameters_are_those_of_the_pipeline_and_hyperparameters_over_them(train, tmp_path):
    folder = tmp_path / "best"
    folder.mkdir()
    (folder / "best.txt").write_text(json.dumps({"space": [], "values": {"depth": 5}}))
    model = train(
        FEATURES
        + """
def train_fn(training):
    model, fitted = fitted_model(training)
    metrics = {"seed": training.seed, **training.parameters}
    return TrainedModel(model, features=fitted, metrics=metrics)
""",
        parameters={"depth": 3, "rate": 0.5},
        hyperparameters_uri=str(folder),
        seed=7,
    )
    assert json.loads(model.get_string_custom_property("metrics")) == {
        "depth": 5.0,
        "rate": 0.5,
        "seed": 7.0,
    }


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return None", "train_fn should return the model that it trained, and returned nothing"),
        ("raise ValueError('too few')", "train_fn failed: ValueError: too few"),
        ("return object()", "no flavor of models knows builtins.object"),
        (
            "model, fitted = fitted_model(training)\n    return TrainedModel(model)",
            "which of the columns does the model take? A model of sklearn does not say so itself",
        ),
        (
            "model, fitted = fitted_model(training)\n"
            "    return TrainedModel(model, features=fitted, metrics={'loss': 'low'})",
            "the metrics of train_fn should be numbers, and loss is 'low'",
        ),
    ],
)
def test_what_is_wrong_is_told(train, body, expected):
    from penstock.errors import PenstockError

    with pytest.raises(PenstockError) as caught:
        train(f"{FEATURES}\ndef train_fn(training):\n    {body}\n")
    assert expected in str(caught.value)


def test_a_model_that_needs_the_training_module_fails_in_the_trainer(train):
    with pytest.raises(UserCodeError) as caught:
        train(
            """
from sklearn.base import BaseEstimator, ClassifierMixin

class Theirs(ClassifierMixin, BaseEstimator):
    def fit(self, rows, labels):
        self.classes_ = ["no", "yes"]
        return self

    def predict(self, rows):
        return ["no"] * len(rows)

def train_fn(training):
    from penstock.models import TrainedModel
    frame = training.train.as_pandas()
    return TrainedModel(Theirs().fit(frame[["age"]], frame["left"]), inputs=["age"])
"""
        )
    assert "the model does not load and answer in a fresh process" in str(caught.value)


def test_a_model_that_predicts_other_values_elsewhere_fails_in_the_trainer(train, monkeypatch):
    # The code below replaces it; the test puts it back.
    monkeypatch.setattr(sklearn_flavor, "load", sklearn_flavor.load)
    with pytest.raises(UserCodeError) as caught:
        train(
            """
from sklearn.dummy import DummyRegressor
import penstock.models.flavors.sklearn_flavor as flavor

def train_fn(training):
    frame = training.train.as_pandas()
    model = DummyRegressor().fit(frame[["age"]], frame["age"].fillna(0))
    loaded = flavor.load
    def other(loading):
        predict = loaded(loading)
        from penstock.models import regression
        return lambda table: regression([-1.0] * table.num_rows)
    flavor.load = other
    return model
"""
        )
    assert "the model predicts other values in a fresh process" in str(caught.value)


def test_a_run_fn_is_not_called_by_mistake(train):
    with pytest.raises(UserCodeError) as caught:
        train("def run_fn(fn_args):\n    pass\n")
    assert "the module should define a function 'train_fn'" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "modules"),
    [
        ("import xgboost\ndef train_fn(t): pass", ("xgboost",)),
        ("def train_fn(t):\n    from lightgbm import Booster\n", ("lightgbm",)),
        ("def other(t):\n    import torch\ndef train_fn(t):\n    import xgboost", ("xgboost",)),
        ("try:\n    import torch\nexcept ImportError:\n    pass", ()),
        ("from sklearn.svm import SVC", ("pandas", "sklearn", "skops.io")),
        ("def broken(:", ()),
        ("import keras", ("tensorflow", "keras")),
    ],
)
def test_frameworks_are_known_by_the_text_of_the_code(tmp_path, text, modules):
    module = tmp_path / "code.py"
    module.write_text(text)
    parameters = {"module_file": str(module), "train_fn": "train_fn"}
    assert imported_frameworks(parameters, "train_fn") == modules


def test_frameworks_of_code_that_is_not_there_are_unknown():
    assert imported_frameworks({"train_fn": "no.such.module"}, "train_fn") == ()


def test_a_saved_model_of_a_run_fn_gets_a_flavor_and_a_signature(taxi_model):
    facts = json.loads(Path(taxi_model.uri, "Format-Serving", "penstock_model.json").read_text())
    assert facts["flavor"] == "tensorflow"
    assert taxi_model.get_string_custom_property("flavor") == "tensorflow"
    names = {column["name"] for column in facts["signature"]["inputs"]}
    assert {"trip_miles", "company"} <= names
    assert [column["name"] for column in facts["signature"]["outputs"]] == ["outputs"]


def test_the_function_itself_may_be_given_where_it_can_be_imported(examples_channel):
    trainer = Trainer(examples=examples_channel, train_fn=models.sklearn_model)
    assert trainer.exec_properties["train_fn"] == (
        "penstock.pipelines.flights.frameworks.models.sklearn_model"
    )


def test_a_function_that_no_other_process_can_import_is_refused(examples_channel):
    with pytest.raises(WiringError) as caught:
        Trainer(examples=examples_channel, train_fn=lambda training: training)
    assert "cannot be imported by the process that runs the node" in str(caught.value)
    assert "give module_file, the path of its file, and train_fn='<lambda>'" in str(caught.value)
