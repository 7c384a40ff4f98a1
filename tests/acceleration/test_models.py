"""Evaluator, Pusher and BulkInferrer of TFX by our engines, on models that are there already."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.data.coding.example_proto import example_class
from penstock.data.coding.prediction_logs import prediction_log_class
from penstock.data.data_files import record_files
from penstock.data.records import read_serialized

WITHOUT_BASELINE = ("Blessed", "NotBlessed", "NoThreshold", "ChangeWithoutBaseline", "Fairness")
WITH_BASELINE = ("BetterThanBaseline", "WorseThanBaseline")
EVALUATORS = WITHOUT_BASELINE + WITH_BASELINE
PUSHERS = ("PushBlessed", "PushNotBlessed")
INFERRERS = ("Logs", "LogsOfNone", "Columns")
# The Unix time of the push.
OF_THE_MOMENT = ("pushed_version", "pushed_destination")
pytestmark = pytest.mark.needs("tensorflow_model_analysis")


@pytest.fixture(scope="module")
def models(run_both):
    return run_both("models")


def folder_of(node, key: str) -> Path:
    [uri] = node.uris[key]
    return Path(uri)


def files(folder: Path) -> set[str]:
    return {str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file()}


def metrics(node, model=None):
    """Return the metrics of each slice, by a model's name where there are two."""
    import tensorflow_model_analysis as tfma

    result = tfma.load_eval_result(str(folder_of(node, "evaluation")), model_name=model)
    assert result.slicing_metrics
    return {
        key: {name: value.get("doubleValue") for name, value in of_slice[""][""].items()}
        for key, of_slice in result.slicing_metrics
    }


@pytest.mark.parametrize(
    ("node", "model"),
    [
        *((node, None) for node in WITHOUT_BASELINE),
        *((node, model) for node in WITH_BASELINE for model in ("candidate", "baseline")),
    ],
)
def test_metrics_are_tfx_s(models, node, model):
    ours, theirs = metrics(models.ours[node], model), metrics(models.tfx[node], model)
    assert ours.keys() == theirs.keys()
    for key in theirs:
        assert ours[key] == pytest.approx(theirs[key], rel=1e-6)


@pytest.mark.parametrize("node", EVALUATORS)
def test_evaluations_and_blessings_have_the_files_of_tfx_s(models, node):
    for key in ("evaluation", "blessing"):
        ours, theirs = (folder_of(who[node], key) for who in (models.ours, models.tfx))
        assert files(ours) == files(theirs)


@pytest.mark.parametrize(
    ("node", "blessing"),
    [
        ("Blessed", {"BLESSED"}),
        ("NotBlessed", {"NOT_BLESSED"}),
        ("NoThreshold", set()),
        ("ChangeWithoutBaseline", set()),
        ("BetterThanBaseline", {"BLESSED"}),
        ("WorseThanBaseline", {"NOT_BLESSED"}),
    ],
)
def test_thresholds_decide_as_in_tfx(models, node, blessing):
    assert files(folder_of(models.ours[node], "blessing")) == blessing


@pytest.mark.parametrize("node", EVALUATORS)
def test_validation_results_are_tfx_s(models, node):
    import tensorflow_model_analysis as tfma

    def validation(who):
        folder = folder_of(who[node], "evaluation")
        if not any(f.startswith("validations") for f in files(folder)):
            return None
        result = tfma.load_validation_result(str(folder))
        # Slices come in no order on Beam.
        per_slice = sorted(str(one) for one in result.metric_validations_per_slice)
        return result.validation_ok, per_slice, result.validation_details

    assert validation(models.ours) == validation(models.tfx)


@pytest.mark.parametrize("node", PUSHERS)
def test_what_is_pushed_is_what_tfx_pushes(models, node):
    ours, theirs = (folder_of(who[node], "pushed_model") for who in (models.ours, models.tfx))
    assert files(ours) == files(theirs)
    assert bool(files(ours)) is (node == "PushBlessed")


def test_both_push_versions_that_a_server_finds(models):
    [(*_, properties)] = models.ours["PushBlessed"].artifacts["pushed_model"]
    version = properties["pushed_version"][1]
    [theirs] = [
        a[-1]["pushed_version"][1] for a in models.tfx["PushBlessed"].artifacts["pushed_model"]
    ]
    uri = folder_of(models.ours["PushBlessed"], "pushed_model")
    pushed = uri.parents[3] / "pushBlessed"
    assert {theirs, version} <= {entry.name for entry in pushed.iterdir()}
    assert files(pushed / version) == files(pushed / theirs) == files(uri)


def assert_same_but_for_rounding(ours, theirs):
    """Compare records and their predictions, whose last bit depends on how rows are batched."""
    assert [rest for rest, _ in ours] == [rest for rest, _ in theirs]
    for (_, numbers), (_, others) in zip(ours, theirs, strict=True):
        assert numbers
        assert numbers == pytest.approx(others, rel=1e-6)


def test_prediction_logs_are_tfx_s(models):
    kind = prediction_log_class()

    def parts(record):
        log = kind().FromString(record).predict_log
        # TFX reads and writes each example again, with its features in any order.
        [example] = log.request.inputs["examples"].string_val
        read = example_class().FromString(example)
        log.request.inputs["examples"].string_val[0] = read.SerializeToString(deterministic=True)
        said = log.response.outputs["probability"]
        numbers = list(said.float_val)
        del said.float_val[:]
        return log.SerializeToString(deterministic=True), numbers

    def logs(who):
        records = read_serialized(record_files(str(folder_of(who["Logs"], "inference_result"))))
        return sorted(map(parts, records))

    assert_same_but_for_rounding(logs(models.ours), logs(models.tfx))
    assert len(logs(models.ours)) == 400


def test_a_model_that_is_not_blessed_predicts_nothing(models):
    for who in (models.ours, models.tfx):
        assert files(folder_of(who["LogsOfNone"], "inference_result")) == set()


def test_columns_of_predictions_are_tfx_s(models):
    kind = example_class()

    def parts(record):
        example = kind().FromString(record)
        said = example.features.feature["said"].float_list
        numbers = list(said.value)
        del said.value[:]
        return example.SerializeToString(deterministic=True), numbers

    def examples(who):
        folder = folder_of(who["Columns"], "output_examples") / "Split-eval"
        return sorted(map(parts, read_serialized(record_files(str(folder)))))

    assert_same_but_for_rounding(examples(models.ours), examples(models.tfx))


@pytest.mark.parametrize("node", EVALUATORS + PUSHERS + INFERRERS)
def test_they_leave_the_metadata_of_tfx_s(models, node):
    ours, theirs = models.ours[node], models.tfx[node]
    assert ours.done_by == "accelerated"
    assert ours.execution == theirs.execution
    assert ours.events == theirs.events

    def lasting(artifacts):
        return {
            key: [
                (*rest, {n: v for n, v in custom.items() if n not in OF_THE_MOMENT})
                for *rest, custom in found
            ]
            for key, found in artifacts.items()
        }

    assert lasting(ours.artifacts) == lasting(theirs.artifacts)
