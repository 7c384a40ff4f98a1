"""Evaluator: TFMA's evaluation and TFX's blessing, and what they say in words."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.authoring import artifacts
from penstock.authoring.beam import BeamOptions
from penstock.components.evaluator import executor
from penstock.data.results import evaluation as results
from penstock.data.results import evaluation_messages
from penstock.errors import DataError, ParameterError

SPEC = {
    "signature_name": "serving_default",
    "label_key": "tips_xf",
    "preprocessing_function_names": ["transform_features"],
}


def eval_config(**threshold) -> dict:
    accuracy = {"class_name": "BinaryAccuracy"}
    if threshold:
        accuracy["threshold"] = threshold
    return {
        "model_specs": [SPEC],
        "slicing_specs": [{}, {"feature_keys": ["trip_start_day"]}],
        "metrics_specs": [{"metrics": [{"class_name": "ExampleCount"}, accuracy]}],
    }


def lower_bound(value: float) -> dict:
    return {"value_threshold": {"lower_bound": value}}


CHANGE = {"change_threshold": {"direction": "HIGHER_IS_BETTER", "absolute": 0.5}}


@pytest.fixture(scope="module")
def evaluate(taxi_examples, taxi_model, taxi_schema, make_artifact, tmp_path_factory):
    """Evaluate the taxi model; return the evaluation's URI and the blessing."""

    def run(config, **arguments):
        directory = tmp_path_factory.mktemp("evaluator")
        evaluation = make_artifact(artifacts.ModelEvaluation, directory / "evaluation")
        blessing = make_artifact(artifacts.ModelBlessing, directory / "blessing")
        usual = {
            "examples": [taxi_examples],
            "model": taxi_model,
            "schema_uri": taxi_schema,
            "component_id": "Evaluator",
        }
        executor.evaluate(
            evaluation=evaluation,
            blessing=blessing,
            eval_config=config,
            **{**usual, **arguments},
        )
        return evaluation.uri, blessing

    return run


@pytest.fixture(scope="module")
def not_blessed(evaluate):
    return evaluate(eval_config(**lower_bound(0.999)))


@pytest.fixture(scope="module")
def against_baseline(evaluate, taxi_model):
    return evaluate(eval_config(**lower_bound(0), **CHANGE), baseline_model=taxi_model)


def test_an_absent_label_is_answered_with_the_nearest(evaluate):
    config = {**eval_config(), "model_specs": [{**SPEC, "label_key": "tips_fx"}]}
    with pytest.raises(DataError, match="have no label 'tips_fx'.*Did you mean 'tips_xf'?"):
        evaluate(config)


def test_tfma_reads_the_evaluation(not_blessed):
    import tensorflow_model_analysis as tfma

    result = tfma.load_eval_result(not_blessed[0])
    assert len(result.slicing_metrics) == 8
    assert tfma.load_validation_result(not_blessed[0]).validation_ok is False


def test_a_summary_has_every_slice_and_metric(not_blessed, taxi_examples):
    from penstock.data.records import read_serialized, record_files

    metrics = results.summarize(not_blessed[0])
    overall = {metric.metric: metric.value for metric in metrics if metric.slice == "Overall"}
    files = record_files(f"{taxi_examples.uri}/Split-eval")
    assert overall["example_count"] == sum(1 for _ in read_serialized(files))
    assert 0 <= overall["binary_accuracy"] <= 1
    days = {metric.slice for metric in metrics} - {"Overall"}
    assert days == {f"trip_start_day:{day}" for day in range(1, 8)}


def test_a_summary_has_the_numbers_of_tfma(not_blessed):
    import tensorflow_model_analysis as tfma

    result = tfma.load_eval_result(not_blessed[0])
    tfmas = {
        (slice_key[0][1] if slice_key else None): metrics[""][""]["binary_accuracy"]["doubleValue"]
        for slice_key, metrics in result.slicing_metrics
    }
    ours = {
        metric.slice: metric.value
        for metric in results.summarize(not_blessed[0])
        if metric.metric == "binary_accuracy"
    }
    assert ours["Overall"] == tfmas[None]
    assert ours["trip_start_day:3"] == tfmas[3]


def test_a_model_below_its_threshold_is_not_blessed(not_blessed, taxi_model):
    _, blessing = not_blessed
    assert os.listdir(blessing.uri) == ["NOT_BLESSED"]
    assert blessing.get_int_custom_property("blessed") == 0
    assert blessing.get_string_custom_property("current_model") == taxi_model.uri
    assert blessing.get_int_custom_property("current_model_id") == taxi_model.id
    assert blessing.get_string_custom_property("component_id") == "Evaluator"
    assert not blessing.has_custom_property("baseline_model")


def test_failures_say_what_was_asked(not_blessed):
    (overall,) = (
        failure for failure in results.validation_failures(not_blessed[0]) if "Overall" in failure
    )
    assert overall.startswith("binary_accuracy on Overall is 0.")
    assert overall.endswith("and should be at least 0.999.")


@pytest.fixture(scope="module")
def without_baseline(evaluate, testdata):
    """An evaluation with TFX's own evaluator module, unedited."""
    module = str(testdata / "module_file" / "evaluator_module.py")
    return evaluate(eval_config(**lower_bound(0), **CHANGE), module_file=module)


def test_without_a_baseline_change_thresholds_do_not_count(without_baseline):
    uri, blessing = without_baseline
    assert os.listdir(blessing.uri) == ["BLESSED"]
    assert blessing.get_int_custom_property("blessed") == 1
    assert results.validation_failures(uri) == []


def test_models_and_extractors_of_the_user_are_used(without_baseline, not_blessed):
    values = [
        {(metric.slice, metric.metric): metric.value for metric in results.summarize(uri)}
        for uri, _ in (without_baseline, not_blessed)
    ]
    assert values[0] == pytest.approx(values[1])


def test_with_a_baseline_change_thresholds_count(against_baseline, taxi_model):
    uri, blessing = against_baseline
    assert os.listdir(blessing.uri) == ["NOT_BLESSED"]
    assert blessing.get_string_custom_property("baseline_model") == taxi_model.uri
    assert "Change of binary_accuracy on Overall is 0, and should be at least 0.5." in (
        results.validation_failures(uri)
    )


def test_a_summary_tells_candidate_and_baseline_apart(against_baseline):
    metrics = results.summarize(against_baseline[0])
    overall = [m for m in metrics if m.slice == "Overall" and m.metric == "binary_accuracy"]
    assert {metric.model for metric in overall} == {"candidate", "baseline"}
    assert len({metric.value for metric in overall}) == 1


def test_without_thresholds_a_model_is_neither_blessed_nor_not(evaluate):
    _, blessing = evaluate(eval_config())
    assert os.listdir(blessing.uri) == []
    assert not blessing.has_custom_property("blessed")


def test_both_engines_find_the_same(evaluate, not_blessed):
    beam = BeamOptions(("--runner=DirectRunner",))
    uri, blessing = evaluate(eval_config(**lower_bound(0.999)), beam=beam)
    ours, beams = (
        {(metric.slice, metric.metric): metric.value for metric in results.summarize(evaluation)}
        for evaluation in (not_blessed[0], uri)
    )
    assert beams == pytest.approx(ours)
    assert os.listdir(blessing.uri) == ["NOT_BLESSED"]


def test_a_config_with_an_unknown_field_says_so():
    with pytest.raises(ParameterError, match=r"eval_config should be a tfma\.EvalConfig") as caught:
        executor.complete_config({"model_spec": []}, False)
    assert "model_specs" in str(caught.value)


@pytest.mark.parametrize(
    ("metrics", "is_beyond"),
    [
        (["R2Score", "MeanLabel"], True),
        (["MeanLabel"], False),
        # Of these TFMA knows one alone, and Penstock the other.
        (["R2Score", "MinLabelPosition"], False),
    ],
)
def test_what_tfma_cannot_compute_is_left_to_penstock(metrics, is_beyond):
    listed = [{"class_name": name} for name in metrics]
    config = executor.completed_config({"metrics_specs": [{"metrics": listed}]}, False)
    assert executor.beyond_tfma(config) is is_beyond


def test_more_than_two_models_are_refused():
    specs = [{"name": name} for name in ("a", "b", "c")]
    with pytest.raises(ParameterError, match="one model spec or two, and has 3: 'a', 'b', 'c'"):
        executor.complete_config({"model_specs": specs}, True)


def test_a_missing_model_needs_a_prediction_key():
    config = executor.complete_config({"model_specs": [{"label_key": "tips"}]}, False)
    with pytest.raises(ParameterError, match="a model, or model specs with a prediction_key"):
        executor.shared_models(config, None, None, None)


def test_an_unknown_split_is_an_error(evaluate):
    with pytest.raises(DataError, match="no split 'evla'"):
        evaluate(eval_config(), example_splits=["evla"])


def test_an_empty_evaluation_is_an_error(tmp_path):
    with pytest.raises(DataError, match="there are no metrics in this evaluation"):
        results.summarize(str(tmp_path))


def test_an_evaluation_without_thresholds_has_nothing_to_validate(tmp_path):
    with pytest.raises(DataError, match="there are no validations in this evaluation"):
        results.validation_failures(str(tmp_path))


@pytest.mark.parametrize(
    ("threshold", "words"),
    [
        ({"value_threshold": {"lower_bound": 0.5, "upper_bound": 1}}, "at least 0.5 and at most 1"),
        ({"change_threshold": {"direction": "LOWER_IS_BETTER", "absolute": 0.1}}, "at most 0.1"),
        (
            {"change_threshold": {"direction": "HIGHER_IS_BETTER", "relative": -0.02}},
            "at least -0.02 times the baseline's value",
        ),
        ({}, "as its threshold asks"),
    ],
)
def test_thresholds_are_put_in_words(threshold, words):
    from google.protobuf import json_format

    proto = json_format.ParseDict(threshold, evaluation_messages.MetricThreshold())
    assert results.threshold_in_words(proto) == words


def test_reading_results_loads_no_tensorflow(not_blessed):
    code = (
        "import sys; from penstock.data.results import evaluation as r; "
        "assert r.summarize(sys.argv[1]) and r.validation_failures(sys.argv[1]); "
        "sys.exit(any(name.startswith('tensorflow') for name in sys.modules))"
    )
    child = subprocess.run([sys.executable, "-c", code, not_blessed[0]], check=False)
    assert child.returncode == 0


def test_the_config_is_kept_with_the_evaluation(not_blessed):
    assert Path(not_blessed[0], "eval_config.json").is_file()


MISTYPED_SLICE = {"feature_keys": ["trip_start_dya"]}


@pytest.mark.parametrize("beam", [BeamOptions(), BeamOptions(("--runner=DirectRunner",))])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"slicing_specs": [{}, MISTYPED_SLICE]},
            "no feature 'trip_start_dya', which a slicing_spec .*Did you mean 'trip_start_day'?",
        ),
        (
            {"slicing_specs": [{}, {"feature_values": {"trip_start_dya": "1"}}]},
            "no feature 'trip_start_dya', which a slicing_spec of eval_config names",
        ),
        (
            {"model_specs": [{**SPEC, "example_weight_key": "weihgt"}]},
            "no feature 'weihgt', which the example_weight_key of eval_config names",
        ),
    ],
)
def test_features_that_no_example_has_are_refused_by_both_engines(evaluate, beam, changes, words):
    with pytest.raises(DataError, match=words):
        evaluate({**eval_config(), **changes}, beam=beam)


def test_slices_may_be_of_features_that_the_model_makes(evaluate):
    config = {**eval_config(), "slicing_specs": [{"feature_keys": ["tips_xf"]}]}
    uri, _ = evaluate(config)
    assert {metric.slice for metric in results.summarize(uri)} == {"tips_xf:0", "tips_xf:1"}


def test_a_slice_that_no_row_is_in_is_said(evaluate, capsys):
    specs = [{}, {"feature_values": {"trip_start_day": "77"}}]
    evaluate({**eval_config(), "slicing_specs": specs})
    printed = capsys.readouterr().out
    assert printed.count("No row is in the slice") == 1
    assert "No row is in the slice trip_start_day:77, which a slicing_spec names." in printed


@pytest.mark.parametrize("beam", [BeamOptions(), BeamOptions(("--runner=DirectRunner",))])
def test_a_first_model_is_blessed_where_only_changes_have_thresholds(evaluate, beam):
    uri, blessing = evaluate(eval_config(**CHANGE), beam=beam)
    assert os.listdir(blessing.uri) == ["BLESSED"]
    assert results.read_validation(uri).rubber_stamp
