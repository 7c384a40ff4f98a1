"""Each flavor: saved, and loaded where nothing of its training is, it predicts the same."""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from penstock.errors import ConfigError, DataError, MissingExtra
from penstock.models import load_model
from penstock.models.checking import fresh_process
from penstock.models.facts import FACTS_FILE
from penstock.models.known_flavors import flavor_named, flavor_names, require
from penstock.models.saving import save_model
from penstock.project import extras
from penstock_support import pages

LABELS = ("no", "yes")


def in_a_new_process(directory, rows):
    with fresh_process() as fresh:
        return fresh.ask(directory, rows=rows).predictions


def probabilities(table: pa.Table) -> np.ndarray:
    return np.array(table["probabilities"].to_pylist())


def numbers(people) -> np.ndarray:
    return (np.array(people["left"].to_pylist()) == "yes").astype(int)


def assert_same(directory, people, expected, tolerance=1e-6, ask=in_a_new_process):
    """Compare row by row; a new process takes seconds, so each flavor has one."""
    got = ask(directory, people)
    assert np.abs(probabilities(got) - expected).max() < tolerance
    likeliest = [LABELS[place] for place in expected.argmax(axis=1)]
    assert got["prediction"].to_pylist() == likeliest


def in_this_process(directory, rows):
    return load_model(directory).predict(rows)


def test_a_scikit_learn_pipeline_on_a_data_frame(saved, people):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = people.select(["age", "income", "city"]).to_pandas()
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough"),
        HistGradientBoostingClassifier(max_iter=5),
    ).fit(frame, people["left"].to_pylist())
    directory, facts = saved(model)
    assert facts.flavor == "sklearn"
    assert [(c.name, c.type, c.optional) for c in facts.signature.inputs] == [
        ("age", "int64", False),
        ("income", "float32", True),
        ("city", "string", False),
    ]
    assert facts.signature.output("probabilities").classes == LABELS
    assert_same(directory, people, model.predict_proba(frame))


def test_a_scikit_learn_regression_with_features(saved, people, fitted):
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    rows = fitted.transform(people).to_pandas()
    model = linear.Ridge().fit(rows, people["age"].to_numpy())
    directory, facts = saved(model, features=fitted)
    assert [c.name for c in facts.signature.outputs] == ["prediction"]
    got = in_this_process(directory, people)["prediction"].to_numpy()
    assert np.abs(got - model.predict(rows)).max() < 1e-6


def test_no_rows_have_no_predictions(saved, people, fitted):
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    rows = fitted.transform(people).to_pandas()
    model = linear.LogisticRegression().fit(rows, people["left"].to_pylist())
    directory, _ = saved(model, features=fitted)
    for nothing in (people.slice(0, 0), []):
        predictions = load_model(directory).predict(nothing)
        assert predictions.num_rows == 0
        assert predictions.schema.names == ["prediction", "probabilities"]


def test_scikit_learn_code_of_the_users_own_is_told_and_not_loaded_untold(saved, people, tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    module = tmp_path / "their_steps.py"
    module.write_text("def doubled(rows):\n    return rows * 2\n")
    sys.path.insert(0, str(tmp_path))
    try:
        import their_steps

        model = make_pipeline(FunctionTransformer(their_steps.doubled), LogisticRegression())
        model.fit(people.select(["age"]).to_pandas(), people["left"].to_pylist())
        directory, facts = saved(model)
        assert facts.details["foreign_types"] == ["their_steps.doubled"]
        with pytest.raises(DataError) as caught:
            load_model(directory)
        assert (
            "the model holds their_steps.doubled, which is code that comes from elsewhere: it is "
            "not loaded" in str(caught.value)
        )
        assert "load_model(..., trusted=['their_steps.doubled'])" in str(caught.value)
        assert load_model(directory, trusted=["their_steps.doubled"]).predict(people).num_rows
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("their_steps", None)


def test_a_function_of_a_trusted_library_is_code_too(people, tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    model = make_pipeline(FunctionTransformer(np.asarray), LogisticRegression())
    ages = people.select(["age"])
    model.fit(ages.to_pandas(), people["left"].to_pylist())
    facts = save_model(model, str(tmp_path / "model"), example=ages)
    assert facts.details["foreign_types"] == ["numpy.asarray"]
    with pytest.raises(DataError):
        load_model(str(tmp_path / "model"))


@pytest.mark.parametrize("early", [False, True])
def test_xgboost(saved, people, fitted, early):
    xgboost = pytest.importorskip("xgboost", reason="XGBoost is not installed")
    rows, labels = fitted.transform(people).to_pandas(), numbers(people)
    options = {"early_stopping_rounds": 1} if early else {}
    model = xgboost.XGBClassifier(n_estimators=20, max_depth=2, **options)
    model.fit(rows, labels, verbose=False, **({"eval_set": [(rows, 1 - labels)]} if early else {}))
    directory, facts = saved(model, features=fitted, classes=LABELS)
    assert facts.flavor == "xgboost"
    ask = in_this_process if early else in_a_new_process
    assert_same(directory, people, model.predict_proba(rows), ask=ask)


@pytest.mark.parametrize("objective", ["multi:softprob", "multi:softmax", "reg:squarederror"])
def test_xgboost_boosters_of_other_objectives(saved, people, fitted, objective):
    xgboost = pytest.importorskip("xgboost", reason="XGBoost is not installed")
    rows, labels = fitted.transform(people).to_pandas(), numbers(people)
    options = {"objective": objective, "max_depth": 2}
    if objective.startswith("multi"):
        options["num_class"] = 2
    data = xgboost.DMatrix(rows, labels)
    booster = xgboost.train(options, data, 5)
    directory, _ = saved(booster, features=fitted)
    expected = booster.predict(data)
    got = in_this_process(directory, people)
    if objective == "multi:softprob":
        assert np.abs(probabilities(got) - expected).max() < 1e-6
    else:
        assert np.abs(got["prediction"].to_numpy() - expected).max() < 1e-6


def test_lightgbm_with_labels_that_are_texts(saved, people, fitted):
    lightgbm = pytest.importorskip("lightgbm", reason="LightGBM is not installed")
    rows = fitted.transform(people).to_pandas()
    model = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1)
    model.fit(rows, people["left"].to_pylist())
    directory, facts = saved(model, features=fitted)
    assert facts.flavor == "lightgbm"
    assert_same(directory, people, model.predict_proba(rows))


def test_lightgbm_regression(saved, people, fitted):
    lightgbm = pytest.importorskip("lightgbm", reason="LightGBM is not installed")
    rows = fitted.transform(people).to_pandas()
    model = lightgbm.LGBMRegressor(n_estimators=5, verbose=-1)
    model.fit(rows, people["age"].to_numpy())
    directory, _ = saved(model, features=fitted)
    got = in_this_process(directory, people)["prediction"].to_numpy()
    assert np.abs(got - model.predict(rows)).max() < 1e-6


@pytest.mark.parametrize("zipmap", [True, False])
def test_onnx_of_scikit_learn(saved, people, fitted, zipmap):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    from sklearn.linear_model import LogisticRegression

    rows = fitted.transform(people).to_pandas().to_numpy("float32")
    model = LogisticRegression().fit(rows, numbers(people))
    written = skl2onnx.to_onnx(model, rows[:1], options={"zipmap": zipmap})
    directory, facts = saved(written, features=fitted, classes=LABELS)
    assert facts.flavor == "onnx"
    ask = in_this_process if zipmap else in_a_new_process
    assert_same(directory, people, model.predict_proba(rows), tolerance=1e-5, ask=ask)


def test_an_onnx_file_alone_is_loaded_by_the_columns_of_its_inputs(people, tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.linear_model import LinearRegression

    ages = people["age"].to_numpy().reshape(-1, 1).astype("float32")
    model = LinearRegression().fit(ages, ages[:, 0] * 3)
    written = skl2onnx.convert_sklearn(model, initial_types=[("age", FloatTensorType([None, 1]))])
    (tmp_path / "model.onnx").write_bytes(written.SerializeToString())
    loaded = load_model(str(tmp_path))
    assert [c.name for c in loaded.signature.inputs] == ["age"]
    assert loaded.predict({"age": 10.0})["prediction"].to_pylist() == pytest.approx([30], rel=1e-4)


def test_keras_with_features(saved, people, fitted):
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    rows = fitted.transform(people).to_pandas().to_numpy("float32")
    model = keras.Sequential(
        [keras.Input((rows.shape[1],)), keras.layers.Dense(1, activation="sigmoid")]
    )
    directory, facts = saved(model, features=fitted, classes=LABELS)
    assert facts.flavor == "keras"
    second = model.predict(rows, verbose=0)[:, 0]
    assert_same(directory, people, np.stack([1 - second, second], axis=1))


def test_keras_with_an_input_for_each_column(saved, people):
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    inputs = {
        "age": keras.Input((1,), name="age"),
        "city": keras.Input((1,), name="city", dtype="string"),
    }
    lookup = keras.layers.StringLookup(vocabulary=["Oslo", "Rome"], output_mode="one_hot")
    joined = keras.layers.Concatenate()([inputs["age"], lookup(inputs["city"])])
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(joined))
    directory, facts = saved(model, classes=LABELS)
    assert [c.name for c in facts.signature.inputs] == ["age", "city"]
    expected = model.predict(
        {
            "age": np.array(people["age"].to_pylist(), "float32")[:, None],
            "city": keras.ops.convert_to_tensor([[city] for city in people["city"].to_pylist()]),
        },
        verbose=0,
    )
    assert_same(directory, people, expected, ask=in_this_process)


def test_a_lambda_layer_of_keras_is_refused_when_it_is_saved(people, tmp_path):
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Lambda(lambda x: x * 2)])
    with pytest.raises(DataError) as caught:
        save_model(model, str(tmp_path / "model"), example=people.select(["age"]))
    assert "the model does not load in Keras' safe mode" in str(caught.value)
    assert "Lambda layers and layers of your own are code" in str(caught.value)


def parsing_module():
    import tensorflow as tf

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def serve(self, examples):
            parsed = tf.io.parse_example(
                examples,
                {
                    "age": tf.io.FixedLenFeature([], tf.int64),
                    "income": tf.io.FixedLenFeature([1], tf.float32, default_value=0.0),
                    "city": tf.io.VarLenFeature(tf.string),
                },
            )
            city = tf.sparse.to_dense(parsed["city"], "")
            return {
                "outputs": tf.cast(parsed["age"], tf.float32)[:, None] + parsed["income"],
                "city": city,
            }

    return Module()


def test_a_saved_model_that_parses_examples_takes_columns(people, tmp_path):
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    module = parsing_module()
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.serve})
    model = load_model(str(tmp_path))
    assert model.flavor == "tensorflow"
    assert [(c.name, c.type, c.shape, c.optional) for c in model.signature.inputs] == [
        ("city", "string", (None,), True),
        ("age", "int64", (), False),
        ("income", "float32", (), True),
    ]
    got = model.predict([{"age": 1, "income": 2.0, "city": "Oslo"}, {"age": 5}])
    assert got.to_pydict() == {"city": ["Oslo", ""], "outputs": [3.0, 5.0]}


def test_a_tf_module_is_saved_with_its_signatures(saved, people):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    module = parsing_module()
    directory, facts = saved(module, options={"signatures": {"serving_default": module.serve}})
    assert facts.flavor == "tensorflow"
    assert facts.signature.output("outputs").type == "float32"
    here, there = load_model(directory).predict(people), in_a_new_process(directory, people)
    assert here.equals(there)


def test_a_saved_model_that_takes_columns(tmp_path):
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

    class Module(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([None, 2], tf.float32, name="pair"),
                tf.TensorSpec([None], tf.string, name="text"),
            ]
        )
        def serve(self, pair, text):
            return {"sum": tf.reduce_sum(pair, axis=1), "length": tf.strings.length(text)}

    module = Module()
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.serve})
    got = load_model(str(tmp_path)).predict({"pair": [[1.0, 2.0]], "text": ["four"]})
    assert got.to_pydict() == {"length": [4], "sum": [3.0]}


def test_pytorch_with_features(saved, people, fitted):
    torch = pytest.importorskip("torch", reason="PyTorch has an environment of its own")
    model = torch.nn.Sequential(
        torch.nn.Linear(len(fitted.outputs), 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)
    )
    directory, facts = saved(
        model, features=fitted, classes=LABELS, options={"activation": "softmax"}
    )
    assert facts.flavor == "torch"
    rows = torch.from_numpy(fitted.transform(people).to_pandas().to_numpy("float32"))
    with torch.no_grad():
        expected = model(rows).softmax(dim=1).numpy()
    assert_same(directory, people, expected)
    assert load_model(directory).predict(people.slice(0, 1)).num_rows == 1


def test_pytorch_with_an_argument_for_each_column(people, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch has an environment of its own")

    class Net(torch.nn.Module):
        def forward(self, age, other):
            return age.float() * 2 + other

    rows = people.select(["age"]).append_column("other", pa.array(np.ones(len(people))))
    save_model(Net(), str(tmp_path / "net"), example=rows)
    assert load_model(str(tmp_path / "net")).predict(rows)["prediction"][0].as_py() == (
        2 * rows["age"][0].as_py() + 1
    )


def test_pytorch_weights_with_the_code_that_builds_the_module(people, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch has an environment of its own")
    (tmp_path / "their_net.py").write_text(
        "import torch\ndef build():\n    return torch.nn.Linear(1, 1)\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        model = torch.nn.Linear(1, 1)
        directory = str(tmp_path / "model")
        save_model(
            model,
            directory,
            example=people.select(["age"]),
            options={"factory": "their_net:build"},
        )
        with pytest.raises(DataError) as caught:
            load_model(directory)
        assert "the model is weights and code: loading it would run their_net:build" in str(
            caught.value
        )
        loaded = load_model(directory, trusted=["their_net:build"])
        with torch.no_grad():
            expected = model(torch.tensor([[3.0]])).item()
        assert loaded.predict({"age": 3})["prediction"][0].as_py() == pytest.approx(expected)
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("their_net", None)


def test_what_pytorch_cannot_export_is_told_with_the_way_out(people, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch has an environment of its own")

    class Branching(torch.nn.Module):
        def forward(self, rows):
            return rows if rows.sum() > 0 else rows * 2

    with pytest.raises(DataError) as caught:
        save_model(Branching(), str(tmp_path / "m"), example=people.select(["age"]))
    assert "the module cannot be exported" in str(caught.value)
    assert "options={'factory': 'package.module:function'}" in str(caught.value)


def flavor_of_the_page() -> str:
    """Return the flavor that docs/models.md shows."""
    blocks = pages.blocks(pages.ROOT / "docs" / "models.md")
    (text,) = [b.text for b in blocks if b.language == "python" and "def recognizes" in b.text]
    return text


@pytest.fixture
def installed_flavor(tmp_path, monkeypatch):
    """Install a package that registers a flavor, as pip would lay it out."""
    site = tmp_path / "site"
    (site / "constant_flavor-1.2.dist-info").mkdir(parents=True)
    (site / "constant_flavor.py").write_text(flavor_of_the_page())
    (site / "constant_flavor-1.2.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: constant-flavor\nVersion: 1.2\n"
    )
    (site / "constant_flavor-1.2.dist-info" / "entry_points.txt").write_text(
        "[penstock.flavors]\nconstant = constant_flavor\n"
    )
    monkeypatch.syspath_prepend(str(site))
    yield site
    sys.modules.pop("constant_flavor", None)


def test_a_package_registers_the_flavor_that_the_page_shows(installed_flavor, saved, people):
    import constant_flavor

    directory, facts = saved(constant_flavor.Constant(5.0))
    assert facts.flavor == "constant"
    assert facts.packages == {"constant-flavor": "1.2"}
    assert load_model(directory).predict(people)["prediction"].to_pylist() == [5.0] * len(people)
    os.remove(Path(directory, FACTS_FILE))
    assert load_model(directory).flavor == "constant"


def test_a_flavor_that_does_not_load_is_told(installed_flavor, tmp_path):
    (installed_flavor / "constant_flavor.py").write_text("1 / 0")
    with pytest.raises(ConfigError) as caught:
        flavor_named("constant")
    assert "constant_flavor, does not load: ZeroDivisionError" in str(caught.value)


def test_an_unknown_flavor_is_answered_with_the_nearest():
    with pytest.raises(ConfigError) as caught:
        flavor_named("skleran")
    assert "there is no flavor 'skleran' of models" in str(caught.value)
    assert "Did you mean 'sklearn'?" in str(caught.value)


@pytest.mark.parametrize("name", flavor_names())
def test_a_framework_that_is_not_installed_is_named_with_its_extra(name, monkeypatch):
    monkeypatch.setattr(extras, "is_installed", lambda _: False)
    with pytest.raises(MissingExtra) as caught:
        require(flavor_named(name))
    extra = "tfx" if name in ("keras", "tensorflow") else name
    assert f"the flavor {name} of models needs" in str(caught.value)
    assert f"pip install 'penstock[{extra}]'" in str(caught.value)


def test_the_facts_name_the_versions_that_a_model_needs(saved, people):
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    model = linear.LinearRegression().fit(people.select(["age"]).to_pandas(), people["age"])
    directory, _ = saved(model)
    facts = json.loads(Path(directory, FACTS_FILE).read_text())
    assert facts["packages"]["scikit-learn"] == importlib.metadata.version("scikit-learn")
    assert facts["example"] == [{"age": age} for age in people["age"].to_pylist()[:5]]


def test_another_version_of_the_framework_is_warned_of(saved, people):
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    model = linear.LinearRegression().fit(people.select(["age"]).to_pandas(), people["age"])
    directory, _ = saved(model)
    path = Path(directory, FACTS_FILE)
    facts = json.loads(path.read_text())
    facts["packages"]["scikit-learn"] = "0.24.2"
    path.write_text(json.dumps(facts))
    with pytest.warns(UserWarning, match="the model was saved with scikit-learn 0.24.2, and"):
        load_model(directory)
