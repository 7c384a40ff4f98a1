"""Evaluator with models of other frameworks than TensorFlow."""

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.authoring import artifacts
from penstock.authoring.beam import BeamOptions
from penstock.authoring.component import NodeOutline
from penstock.components import Evaluator
from penstock.components.evaluator import evaluated_models, executor
from penstock.data.coding.examples import encode
from penstock.data.records import write_serialized
from penstock.data.results import evaluation as results
from penstock.errors import DataError, MissingExtra, ParameterError
from penstock.models import save_model

ROWS = 300
TOWNS = {"feature_keys": ["town"]}


def rides():
    random = np.random.default_rng(0)
    distance = random.normal(size=ROWS).astype(np.float32)
    tips = np.where(distance + random.normal(size=ROWS) * 0.5 > 0, "tip", "none")
    return pa.table(
        {
            "distance": distance,
            "speed": random.normal(size=ROWS).astype(np.float32),
            "town": [["x", "y"][i % 2] for i in range(ROWS)],
            "tips": tips.tolist(),
        }
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory, make_artifact):
    from sklearn.linear_model import LogisticRegression

    rows = rides()
    inputs = rows.select(["distance", "speed"])
    fitted = LogisticRegression().fit(inputs.to_pandas(), rows["tips"].to_pylist())
    made = make_artifact(artifacts.Model, tmp_path_factory.mktemp("sklearn"))
    save_model(fitted, os.path.join(made.uri, "Format-Serving"), example=inputs)
    return made


@pytest.fixture(scope="module", params=["tfrecord", "parquet"])
def examples(request, tmp_path_factory, make_artifact):
    directory = tmp_path_factory.mktemp("rides")
    made = make_artifact(artifacts.Examples, directory, ["eval"])
    split = directory / "Split-eval"
    split.mkdir()
    if request.param == "parquet":
        pq.write_table(rides(), split / "data-00000-of-00001.parquet")
    else:
        write_serialized(str(split), "data_tfrecord", encode(rides().to_batches()[0]))
    return made


@pytest.fixture
def evaluate(model, examples, make_artifact, tmp_path):
    def run(*metrics, **arguments):
        evaluation = make_artifact(artifacts.ModelEvaluation, tmp_path / "evaluation")
        blessing = make_artifact(artifacts.ModelBlessing, tmp_path / "blessing")
        config = {
            "model_specs": [{"label_key": "tips"}],
            "slicing_specs": [{}, TOWNS],
            "metrics_specs": [{"metrics": list(metrics)}],
        }
        usual = {"examples": [examples], "model": model, "eval_config": config}
        executor.evaluate(evaluation=evaluation, blessing=blessing, **{**usual, **arguments})
        return evaluation, blessing

    return run


def accuracy(lower, **change):
    threshold = {"value_threshold": {"lower_bound": lower}}
    if change:
        threshold["change_threshold"] = {"direction": "HIGHER_IS_BETTER", **change}
    return {"class_name": "BinaryAccuracy", "threshold": threshold}


COUNT = {"class_name": "ExampleCount"}


def test_a_model_of_scikit_learn_is_evaluated_and_blessed(evaluate, model):
    evaluation, blessing = evaluate(COUNT, accuracy(0.8))
    assert os.listdir(blessing.uri) == ["BLESSED"]
    assert blessing.get_string_custom_property("current_model") == model.uri
    found = {(m.slice, m.metric): m.value for m in results.summarize(evaluation.uri)}
    assert found["Overall", "example_count"] == ROWS
    assert found["town:x", "example_count"] == ROWS / 2
    assert 0.8 < found["Overall", "binary_accuracy"] < 1
    recorded = json.loads(evaluation.get_string_custom_property("metrics"))
    assert {one["metric"] for one in recorded} == {"example_count", "binary_accuracy"}


def test_the_report_reads_the_evaluation(evaluate):
    from penstock.metadata.reading import ArtifactRecord
    from penstock.report.evaluations import read_evaluation

    evaluation, _ = evaluate(COUNT, accuracy(0.99))
    fields = {f.name: None for f in dataclasses.fields(ArtifactRecord)}
    record = ArtifactRecord(**{**fields, "uri": evaluation.uri})
    shown = read_evaluation("Evaluator", record)
    assert shown.overall.count == ROWS
    assert {row.name for row in shown.slices} == {"town:x", "town:y"}
    (threshold,) = shown.thresholds
    assert threshold.requirement == "at least 0.99"
    assert [slice_ for slice_, _ in threshold.failures] == ["Overall"]


def test_the_accuracy_is_scikit_learns(evaluate):
    from sklearn.linear_model import LogisticRegression

    rows = rides()
    inputs, labels = rows.select(["distance", "speed"]).to_pandas(), rows["tips"].to_pylist()
    expected = LogisticRegression().fit(inputs, labels).score(inputs, labels)
    evaluation, _ = evaluate(accuracy(0))
    overall = next(m for m in results.summarize(evaluation.uri) if m.slice == "Overall")
    assert overall.value == pytest.approx(expected)


def test_a_model_that_is_no_better_than_the_baseline_is_not_blessed(evaluate, model):
    evaluation, blessing = evaluate(accuracy(0.5, absolute=0.01), baseline_model=model)
    assert os.listdir(blessing.uri) == ["NOT_BLESSED"]
    assert results.validation_failures(evaluation.uri) == [
        "Change of binary_accuracy on Overall is 0, and should be at least 0.01.",
        "Change of binary_accuracy on town:x is 0, and should be at least 0.01.",
        "Change of binary_accuracy on town:y is 0, and should be at least 0.01.",
    ]


def test_tfma_does_what_only_it_knows_with_the_predictions(evaluate, model, capsys):
    flips = {"class_name": "BooleanFlipRates"}
    evaluation, _ = evaluate(flips, COUNT, baseline_model=model)
    found = {(m.slice, m.metric): m.value for m in results.summarize(evaluation.uri)}
    assert found["Overall", "example_count"] == ROWS
    assert any("flip_rate" in metric for _, metric in found)
    line = (
        "Evaluating with TensorFlow Model Analysis, which takes longer: the metric "
        "BooleanFlipRates."
    )
    assert line in capsys.readouterr().out


@pytest.fixture
def without_tfma(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "tensorflow_model_analysis" else find(name, *rest),
    )


def test_without_tfma_an_unknown_metric_is_named(evaluate, without_tfma, tmp_path):
    with pytest.raises(MissingExtra) as caught:
        evaluate({"class_name": "NDCG"})
    assert str(caught.value) == (
        "the Evaluator leaves the metric NDCG to TensorFlow Model Analysis, which is not "
        "installed. Install it: pip install 'penstock[tfx]'. Or leave it out; docs/evaluation.md "
        "says what is evaluated without it."
    )
    assert os.listdir(tmp_path / "evaluation") == []


def test_without_tfma_examples_may_hold_the_predictions(
    without_tfma, make_artifact, tmp_path, evaluate
):
    rows = rides()
    numbers = [float(tip == "tip") for tip in rows["tips"].to_pylist()]
    rows = rows.append_column("said", pa.array([0.9 * n for n in numbers]))
    rows = rows.set_column(rows.schema.get_field_index("tips"), "tips", pa.array(numbers))
    made = make_artifact(artifacts.Examples, tmp_path / "examples", ["eval"])
    split = Path(made.uri, "Split-eval")
    split.mkdir()
    pq.write_table(rows, split / "data-00000-of-00001.parquet")
    config = {
        "model_specs": [{"label_key": "tips", "prediction_key": "said"}],
        "metrics_specs": [{"metrics": [accuracy(1)]}],
    }
    _, blessing = evaluate(model=None, examples=[made], eval_config=config)
    assert os.listdir(blessing.uri) == ["BLESSED"]


def test_fairness_indicators_need_their_package(evaluate):
    with pytest.raises(ParameterError, match="FairnessIndicators, which this installation lacks"):
        evaluate(COUNT, fairness_indicator_thresholds=[0.5])


def test_functions_of_tfma_are_for_saved_models(evaluate, model, testdata):
    module = str(testdata / "module_file" / "evaluator_module.py")
    with pytest.raises(ParameterError) as caught:
        evaluate(COUNT, module_file=module)
    assert str(caught.value) == (
        "custom_eval_shared_model and custom_extractors are for SavedModels, and the model in "
        f"{model.uri} is none. Leave them out: the model is asked by its flavor."
    )


def test_saved_models_are_tfmas(taxi_model, model):
    assert evaluated_models.is_saved_model(taxi_model)
    assert not evaluated_models.is_saved_model(model)
    assert executor.is_tfmas(taxi_model, None, is_custom=False)
    assert executor.is_tfmas(None, None, is_custom=False)
    assert not executor.is_tfmas(taxi_model, model, is_custom=False)


def test_a_beam_runner_is_not_needed_for_tables(evaluate):
    _, blessing = evaluate(accuracy(0.8), beam=BeamOptions(("--runner=DirectRunner",)))
    assert os.listdir(blessing.uri) == ["BLESSED"]


@pytest.mark.parametrize(
    ("modules", "parameters", "needs_tfma"),
    [
        ({"model": ("tensorflow_transform",)}, {}, True),
        ({"model": ("sklearn",)}, {}, False),
        ({"model": ()}, {}, False),
        ({}, {}, False),
        ({}, {"module_file": "module.py"}, True),
    ],
)
def test_tfma_is_preloaded_for_models_of_tensorflow(modules, parameters, needs_tfma):
    preload = Evaluator.EXECUTOR_SPEC.executor_class.preload
    loaded = tuple(preload(NodeOutline(parameters, modules)))
    assert ("tensorflow_model_analysis" in loaded) is needs_tfma


def test_evaluating_loads_no_tensorflow(model, examples, tmp_path):
    config = {
        "model_specs": [{"label_key": "tips"}],
        "slicing_specs": [TOWNS],
        "metrics_specs": [{"metrics": [COUNT, accuracy(0.8)]}],
    }
    code = f"""
import sys
from penstock.components.evaluator import executor
from penstock.components.evaluator.evaluated_models import PlacedModel
from penstock.data.records import record_files

config = executor.completed_config({config!r}, False)
files = record_files({os.path.join(examples.uri, "Split-eval")!r})
executor.evaluate_tables(files, config, {str(tmp_path)!r}, PlacedModel({model.uri!r}))
heavy = ("tensorflow", "tensorflow_model_analysis", "apache_beam")
print([name for name in heavy if name in sys.modules])
"""
    child = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert child.stdout == "[]\n"


def test_code_of_a_model_is_run_if_the_store_says_that_training_ran_it(tmp_path, make_artifact):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    rows = rides()
    inputs = rows.select(["distance", "speed"])
    fitted = make_pipeline(FunctionTransformer(np.asarray), LogisticRegression())
    fitted.fit(inputs.to_pandas(), rows["tips"].to_pylist())
    made = make_artifact(artifacts.Model, tmp_path / "model")
    save_model(fitted, os.path.join(made.uri, "Format-Serving"), example=inputs)
    with pytest.raises(DataError, match="numpy.asarray, which is code that comes from elsewhere"):
        evaluated_models._loaded("", evaluated_models.PlacedModel.of(made))
    made.set_string_custom_property("code", json.dumps(["numpy.asarray"]))
    assert evaluated_models._loaded("", evaluated_models.PlacedModel.of(made)).classes[
        "probabilities"
    ] == ("none", "tip")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"slicing_specs": [{"feature_keys": ["twon"]}]}, "no feature 'twon'.*mean 'town'?"),
        (
            {"model_specs": [{"label_key": "tips", "example_weight_key": "wieght"}]},
            "no feature 'wieght', which the example_weight_key",
        ),
    ],
)
@pytest.mark.parametrize("metric", [COUNT, {"class_name": "MinLabelPosition"}])
def test_features_that_no_example_has_are_refused(evaluate, changes, words, metric):
    config = {"model_specs": [{"label_key": "tips"}], "metrics_specs": [{"metrics": [metric]}]}
    with pytest.raises(DataError, match=words):
        evaluate(eval_config={**config, **changes})


CHANGE_ALONE = {
    "class_name": "BinaryAccuracy",
    "threshold": {"change_threshold": {"direction": "HIGHER_IS_BETTER", "absolute": 0.0}},
}


def test_a_first_model_is_blessed_where_only_changes_have_thresholds(evaluate, capsys):
    evaluation, blessing = evaluate(CHANGE_ALONE)
    assert os.listdir(blessing.uri) == ["BLESSED"]
    assert blessing.get_int_custom_property("blessed") == 1
    assert results.validation_failures(evaluation.uri) == []
    printed = capsys.readouterr().out
    assert "All thresholds are of changes, and there is no baseline yet" in printed
    assert "The model is blessed." in printed


def test_tfma_reads_that_a_first_model_is_right(evaluate):
    import tensorflow_model_analysis as tfma

    evaluation, _ = evaluate(CHANGE_ALONE)
    result = tfma.load_validation_result(evaluation.uri)
    assert (result.validation_ok, result.rubber_stamp) == (True, True)
