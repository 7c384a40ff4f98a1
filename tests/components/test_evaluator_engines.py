"""The Evaluator's engine in this process finds what TFMA's Beam transforms find."""

import json
import os
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
from google.protobuf import json_format

from penstock.authoring import artifacts
from penstock.authoring.beam import BeamOptions
from penstock.components.evaluator import executor, in_process, on_beam, parts
from penstock.components.evaluator.job import Job
from penstock.components.evaluator.sums import Sums
from penstock.components.schema_gen.schema_file import read_schema
from penstock.data.parallel.parts import do
from penstock.data.parallel.workers import ClusterWorkers
from penstock.data.records import record_files
from penstock.project.clusters import RayOptions

ROWS = 200

MODEL = {
    "signature_name": "serving_default",
    "label_key": "tips_xf",
    "preprocessing_function_names": ["transform_features"],
    "example_weight_key": "trip_seconds_weight",
}
METRICS = (
    "ExampleCount",
    "AUC",
    "BinaryAccuracy",
    "Precision",
    "Recall",
    "Calibration",
    "MeanLabel",
    "MeanPrediction",
    "Hinge",
)
SLICES = [
    {},
    {"feature_keys": ["trip_start_day"]},
    {"feature_keys": ["company"]},
    {"feature_keys": ["payment_type"], "feature_values": {"trip_start_month": "3"}},
]
JACKKNIFE = {
    "compute_confidence_intervals": True,
    "confidence_intervals": {"method": "JACKKNIFE"},
}


def config(*, change=None, **fields):
    threshold = {"value_threshold": {"lower_bound": 0}}
    if change is not None:
        threshold["change_threshold"] = {"direction": "HIGHER_IS_BETTER", "absolute": change}
    metrics = [{"class_name": name} for name in METRICS]
    # With TFMA's default of 10,000 thresholds both engines take long.
    metrics[1]["config"] = '{"num_thresholds": 50}'
    metrics[2]["per_slice_thresholds"] = [{"slicing_specs": SLICES[:2], "threshold": threshold}]
    usual = {
        "model_specs": [MODEL],
        "slicing_specs": SLICES,
        "metrics_specs": [{"metrics": metrics, "example_weights": {"weighted": True}}],
    }
    return {**usual, **fields}


@pytest.fixture(scope="module")
def examples(taxi_examples, tmp_path_factory):
    """Some taxi rides, with a weight each; many have no company."""
    from tensorflow.core.example.example_pb2 import Example

    from penstock.data.records import read_serialized, write_serialized

    records = []
    for number, record in zip(
        range(ROWS),
        read_serialized(record_files(f"{taxi_examples.uri}/Split-eval")),
        strict=False,
    ):
        example = Example.FromString(record)
        weight = example.features.feature["trip_seconds_weight"].float_list.value
        weight.append(0.25 * (number % 7))
        records.append(example.SerializeToString())
    directory = tmp_path_factory.mktemp("rides")
    write_serialized(str(directory), "data_tfrecord", records)
    return record_files(str(directory))


@pytest.fixture(scope="module")
def schema(taxi_schema):
    from tensorflow_metadata.proto.v0 import schema_pb2

    result = read_schema(taxi_schema)
    weight = result.feature.add(name="trip_seconds_weight", type=schema_pb2.FLOAT)
    weight.presence.min_fraction = 1
    weight.shape.dim.add(size=1)
    return result


def variables_of(loaded, seen):
    """Yield the variables of a loaded model, whatever class it was revived as."""
    import tensorflow as tf

    for child in loaded._trackable_children().values():
        if id(child) in seen:
            continue
        seen.add(id(child))
        if isinstance(child, tf.Variable):
            yield child
        elif hasattr(child, "_trackable_children"):
            yield from variables_of(child, seen)


@pytest.fixture(scope="module")
def baseline_model(taxi_model, tmp_path_factory, make_artifact):
    """The taxi model again with other weights."""
    import tensorflow as tf

    from penstock.models import layout

    directory = tmp_path_factory.mktemp("baseline")
    model = tf.saved_model.load(layout.serving_model(taxi_model.uri))
    for variable in variables_of(model, set()):
        if variable.dtype == tf.float32:
            variable.assign(-0.5 * variable)
    path = layout.serving_model_directory(str(directory / "model"))
    tf.saved_model.save(model, path, signatures=model.signatures)
    return make_artifact(artifacts.Model, directory / "model")


@pytest.fixture(scope="module")
def job_of(examples, schema, taxi_model, tmp_path_factory):
    def make(eval_config, baseline=None, **fields):
        complete = executor.complete_config(eval_config, baseline is not None)
        usual = {
            "files": examples,
            "eval_config": complete,
            "models": executor.shared_models(complete, taxi_model, baseline, None),
            "output_directory": str(tmp_path_factory.mktemp("evaluation")),
            "schema": schema,
        }
        return Job(**{**usual, **fields})

    return make


@pytest.fixture(scope="module")
def both(job_of):
    """Evaluate with both engines; return their directories and check that ours did not ask Beam."""

    def evaluate(*arguments):
        ours, beams = job_of(*arguments), job_of(*arguments)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(on_beam, "evaluate", None)
            in_process.evaluate(ours, BeamOptions())
        on_beam.evaluate(beams, BeamOptions())
        return ours.output_directory, beams.output_directory

    return evaluate


@pytest.fixture(scope="module")
def against_baseline(both, baseline_model):
    return both(config(change=1.5), baseline_model)


@pytest.fixture(scope="module")
def with_intervals(both):
    return both(config(options=JACKKNIFE, slicing_specs=SLICES[:2]))


def messages(directory, kind):
    """Return the messages of an evaluation's file by slice."""
    import tensorflow as tf
    from tensorflow_model_analysis.proto import metrics_for_slice_pb2

    message = {
        "metrics": metrics_for_slice_pb2.MetricsForSlice,
        "plots": metrics_for_slice_pb2.PlotsForSlice,
        "attributions": metrics_for_slice_pb2.AttributionsForSlice,
    }[kind]
    path = os.path.join(directory, f"{kind}-00000-of-00001.tfrecord")
    found = [message.FromString(r) for r in tf.data.TFRecordDataset(path).as_numpy_iterator()]
    return {str(m.slice_key): m for m in found}


def metrics(directory):
    return {
        (slice_key, str(pair.key)): pair
        for slice_key, message in messages(directory, "metrics").items()
        for pair in message.metric_keys_and_values
    }


def values(directory):
    return {key: pair.value.double_value.value for key, pair in metrics(directory).items()}


def validation(directory):
    import tensorflow_model_analysis as tfma

    result = json_format.MessageToDict(tfma.load_validation_result(directory))

    def in_order(value):
        if isinstance(value, dict):
            return {key: in_order(part) for key, part in value.items()}
        if isinstance(value, list):
            return sorted((in_order(part) for part in value), key=json.dumps)
        return value

    return in_order(result)


@pytest.fixture(params=["against_baseline", "with_intervals"])
def pair(request):
    return request.getfixturevalue(request.param)


def test_all_metrics_of_all_slices_are_equal(pair):
    ours, beams = map(values, pair)
    assert ours.keys() == beams.keys()
    # Of one class there is no curve, and TFMA has an area of 0.
    undefined = {key for key, value in ours.items() if np.isnan(value) and beams[key] == 0}
    assert all('name: "auc"' in metric for _, metric in undefined)
    ours, beams = ({k: v for k, v in of.items() if k not in undefined} for of in (ours, beams))
    assert ours == pytest.approx(beams, rel=1e-6, abs=1e-6, nan_ok=True)


def test_the_files_are_the_same(pair):
    ours, beams = pair
    assert sorted(os.listdir(ours)) == sorted(os.listdir(beams))


@pytest.mark.parametrize("kind", ["plots", "attributions"])
def test_files_without_content_name_the_slices(pair, kind):
    ours, beams = (messages(directory, kind) for directory in pair)
    assert ours == beams


def test_the_configs_are_the_same(pair):
    ours, beams = (
        json.loads(Path(directory, "eval_config.json").read_text()) for directory in pair
    )
    assert ours == beams


def test_the_validations_are_the_same(pair):
    ours, beams = map(validation, pair)
    assert ours == beams


def test_thresholds_hold_in_one_case_and_fail_in_the_other(against_baseline, with_intervals):
    assert not validation(against_baseline[0]).get("validationOk")
    assert validation(with_intervals[0])["validationOk"] is True


def test_candidate_and_baseline_differ(against_baseline):
    differences = [
        value for (_, key), value in values(against_baseline[0]).items() if "is_diff" in key
    ]
    assert len(differences) > len(METRICS)
    assert any(differences)


def test_rows_without_a_value_are_in_no_slice_of_it(against_baseline):
    counts = {
        slice_key: value
        for (slice_key, key), value in values(against_baseline[0]).items()
        if '"example_count"' in key and '"candidate"' in key and "is_diff" not in key
    }
    companies = [value for slice_key, value in counts.items() if "company" in slice_key]
    days = [value for slice_key, value in counts.items() if "trip_start_day" in slice_key]
    assert len(companies) > 1
    assert 0 < sum(companies) < sum(days) == counts[""]


def test_intervals_are_as_wide(with_intervals):
    overall = [
        {
            key: metric.confidence_interval.standard_error.double_value.value
            for (slice_key, key), metric in metrics(directory).items()
            if not slice_key and metric.HasField("confidence_interval")
        }
        for directory in with_intervals
    ]
    ours, beams = overall
    assert ours.keys() == beams.keys()
    # Which rows are left out together is chance. Means depend on it the least.
    means = [key for key in ours if "mean" in key]
    assert len(means) == 2
    for key in means:
        assert 0.3 * beams[key] < ours[key] < 3.3 * beams[key]


def test_intervals_are_missing_for_the_same_slices(with_intervals):
    few_rows = [
        {
            key[0]
            for key, metric in metrics(directory).items()
            if '"__ERROR__"' in key[1] and "samples" in str(metric.value)
        }
        for directory in with_intervals
    ]
    assert few_rows[0] == few_rows[1]


def test_intervals_are_reproducible(with_intervals, job_of):
    again = job_of(config(options=JACKKNIFE, slicing_specs=SLICES[:2]))
    in_process.evaluate(again, BeamOptions())
    ours = {key: str(metric) for key, metric in metrics(with_intervals[0]).items()}
    assert {key: str(m) for key, m in metrics(again.output_directory).items()} == ours


@pytest.fixture(scope="module")
def in_files(examples, tmp_path_factory):
    """The same rides in several files."""
    from penstock.data.records import read_serialized, write_serialized

    records = list(read_serialized(examples))
    files = []
    for number in range(3):
        folder = tmp_path_factory.mktemp("some")
        write_serialized(str(folder), "data_tfrecord", records[number::3])
        files += record_files(str(folder))
    return files


class Elsewhere(ClusterWorkers[RayOptions]):
    """Workers that are sent what they do, and do it in this process."""

    def _pickler(self):
        return cloudpickle

    def _start(self):
        pass

    def _stop(self):
        pass

    def _answers(self, work, parts, named):
        for part in parts:
            yield do(work, cloudpickle.dumps(part))


def test_workers_elsewhere_and_other_parts_change_nothing(in_files, job_of, monkeypatch):
    def evaluated():
        job = job_of(config(options=JACKKNIFE, slicing_specs=SLICES[:2]), files=in_files)
        in_process.evaluate(job, BeamOptions())
        return {key: str(metric) for key, metric in metrics(job.output_directory).items()}

    monkeypatch.setattr(on_beam, "evaluate", None)
    monkeypatch.setattr(parts, "PART_BYTES", 1)
    here = evaluated()
    monkeypatch.setattr(parts, "workers_with_models", lambda *_: Elsewhere(RayOptions("auto")))
    assert evaluated() == here


def test_tfma_reads_the_results(against_baseline):
    import tensorflow_model_analysis as tfma

    ours, beams = (
        tfma.load_eval_result(directory, model_name="candidate").get_metrics_for_all_slices()
        for directory in against_baseline
    )
    assert ours.keys() == beams.keys()


BOOTSTRAP = {
    "compute_confidence_intervals": True,
    "confidence_intervals": {"method": "POISSON_BOOTSTRAP"},
}


def only(*names, **fields):
    return {"metrics_specs": [{"metrics": [{"class_name": name} for name in names], **fields}]}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"options": BOOTSTRAP}, "confidence intervals are by POISSON_BOOTSTRAP"),
        ({"cross_slicing_specs": [{"baseline_spec": {}}]}, "there are cross_slicing_specs"),
        ({"options": {"min_slice_size": 5}}, "the option min_slice_size is set"),
        (only("CalibrationPlot"), "is a plot or an attribution"),
        (only("ConfusionMatrixPlot"), "is a plot or an attribution"),
        (only("MinLabelPosition", query_key="company"), "metrics have a query_key"),
        (only("MeanSquaredError"), "computed example by example"),
        (only("Precision", binarize={"top_k_list": {"values": [1]}}), "a metric is of the top k"),
    ],
)
def test_what_is_left_to_beam_says_why(job_of, monkeypatch, capsys, fields, reason):
    asked = []
    monkeypatch.setattr(on_beam, "evaluate", lambda job, beam: asked.append((job, beam)))
    job = job_of(config(**fields))
    in_process.evaluate(job, BeamOptions())
    assert asked == [(job, BeamOptions())]
    (line,) = [text for text in capsys.readouterr().out.splitlines() if "Beam" in text]
    assert line.startswith("Evaluating with Apache Beam, which takes longer: ")
    assert reason in line
    assert os.listdir(job.output_directory) == []


def test_a_users_extractors_are_left_to_beam(job_of, monkeypatch, capsys):
    monkeypatch.setattr(on_beam, "evaluate", lambda *_: None)
    in_process.evaluate(job_of(config(), extractors_fn=lambda **_: None), BeamOptions())
    assert "the module file has custom_extractors" in capsys.readouterr().out


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize(
    ("name", "settings", "outputs"),
    [
        ("AUC", {}, 1),
        ("AUC", {"num_thresholds": 50}, 1),
        ("BinaryAccuracy", {"threshold": 0.3}, 1),
        ("Precision", {"thresholds": [0.1, 0.5, 0.9]}, 1),
        ("SpecificityAtSensitivity", {"sensitivity": 0.5}, 1),
        ("Calibration", {}, 1),
        ("MeanPrediction", {}, 1),
        ("ExampleCount", {}, 1),
        ("LogCoshError", {}, 1),
        ("SparseCategoricalAccuracy", {}, 3),
        ("SparseTopKCategoricalAccuracy", {"k": 2}, 3),
        ("Precision of class 1", {}, 3),
        ("AUC of class 2", {}, 3),
    ],
)
def test_sums_are_what_tfmas_combiner_has_after_the_same_rows(name, settings, outputs, weighted):
    from tensorflow_model_analysis.metrics import metric_specs, metric_types
    from tensorflow_model_analysis.proto import config_pb2

    from penstock.components.evaluator.rows import Rows
    from penstock.components.evaluator.tallies import tally_of

    name, _, class_id = name.partition(" of class ")
    of_class = {"binarize": {"class_ids": {"values": [int(class_id)]}}} if class_id else {}
    specs = json_format.ParseDict(
        {
            "model_specs": [{"label_key": "label", "example_weight_key": "weight"}],
            "metrics_specs": [
                {
                    **of_class,
                    "metrics": [{"class_name": name, "config": json.dumps(settings)}],
                    "example_weights": {"weighted" if weighted else "unweighted": True},
                }
            ],
        },
        config_pb2.EvalConfig(),
    )
    computations = metric_specs.to_computations(specs.metrics_specs, eval_config=specs)
    random = np.random.default_rng(7)
    rows = 300
    labels = random.integers(max(outputs, 2), size=(rows, 1))
    predictions = random.random((rows, outputs)).astype(np.float32)
    predictions[:5] = [[0.0], [1.0], [0.5], [0.3], [1 / 3]]
    weights = np.where(random.random(rows) < 0.2, 0, random.random(rows)).astype(np.float32)
    groups = random.integers(3, size=rows)
    theirs, ours = {}, {}
    for computation in computations:
        if not isinstance(computation, metric_types.MetricComputation):
            theirs.update(computation.result(theirs))
            ours.update(computation.result(ours))
            continue
        tally = tally_of(computation)
        sums = tally.empty()
        tally.add(sums, Rows({"": labels}, {"": predictions}, {"": weights.astype(float)}), groups)
        ours.update(tally.output(sums.tables(1, 1)[0]))
        combiner = computation.combiner
        accumulator = combiner.create_accumulator()
        for row in np.flatnonzero(groups == 1):
            accumulator = combiner.add_input(
                accumulator,
                metric_types.StandardMetricInputs(
                    labels=labels[row],
                    predictions=predictions[row],
                    example_weights=weights[row : row + 1],
                ),
            )
        theirs.update(combiner.extract_output(accumulator))
    public = [key for key in theirs if not key.name.startswith("_")]
    assert public
    for key in public:
        np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-6, atol=1e-6)


def test_sums_of_groups_and_cells_are_kept_apart():
    sums = Sums(cells=3, columns=2)
    for _ in range(2):
        sums.add(np.array([4, 4, 6]), np.array([0, 2, 2]), np.array([[1, 2], [3, 4], [5, 6]]))
    sums.add(np.array([], dtype=int), 0, np.empty((0, 2)))
    expected = np.zeros((3, 3, 2))
    expected[0, 0], expected[0, 2], expected[2, 2] = [2, 4], [6, 8], [10, 12]
    np.testing.assert_array_equal(sums.tables(4, 3), expected)
    assert not sums.tables(0, 4).any()
