"""The Evaluator's engine of Arrow tables finds what TFMA finds on the same predictions."""

import json
import math
import os
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf import json_format

from penstock.components.evaluator import eval_config, on_arrow, with_predictions
from penstock.components.evaluator.arrow.asking import evaluation_of
from penstock.components.evaluator.arrow.catalog import known_metrics
from penstock.components.evaluator.arrow.reading import Evaluated
from penstock.components.evaluator.arrow.summing import Summed, add_file
from penstock.data.records import read_serialized
from penstock.data.results import evaluation_messages as messages
from penstock.data.results.evaluation import summarize
from penstock.errors import DataError

ROWS = 120
TOWNS, SEVERAL = {"feature_keys": ["town"]}, {"feature_keys": ["tags"]}
SLICES = [
    {},
    TOWNS,
    SEVERAL,
    {"feature_keys": ["share"]},
    {"feature_keys": ["is_old"]},
    {"feature_keys": ["stars", "town"]},
    {"feature_keys": ["town"], "feature_values": {"stars": "1"}},
    {"feature_values": {"town": "ä"}},
]


def metric(class_name, asked=None, **settings):
    listed = {"class_name": class_name}
    if settings:
        listed["config"] = json.dumps(settings)
    if asked is not None:
        listed["threshold"] = asked
    return listed


def named(*class_names):
    return [metric(name) for name in class_names]


def rows(**columns):
    """Return rows with columns of every type to slice by, some of them without a value."""
    numbers = range(ROWS)
    tags = [["a"], ["a", "b"], [], None, ["b", "b", "c"]]
    return pa.table(
        {
            "town": pa.array([None if i % 7 == 0 else "xxyä"[i % 4] for i in numbers]),
            "tags": pa.array([tags[i % 5] for i in numbers]),
            "share": pa.array([round(0.1 * (i % 4), 1) for i in numbers], pa.float32()),
            "stars": pa.array([i % 3 for i in numbers]),
            "is_old": pa.array([i % 2 == 0 for i in numbers]),
            "weight": pa.array([0.25 * (i % 5) for i in numbers], pa.float32()),
            **columns,
        }
    )


def config_of(metrics_specs, *, slices=(), weighted=True, **fields):
    spec = {"label_key": "label", "prediction_key": "prediction"}
    if weighted:
        spec["example_weight_key"] = "weight"
    return {
        "model_specs": [spec],
        "slicing_specs": list(slices),
        "metrics_specs": metrics_specs,
        **fields,
    }


def from_column(name, model=""):
    return Evaluated(model, lambda table: table.select([name]))


MODEL = from_column("prediction")


def on_tables(tables, config, directory, models=(MODEL,), has_baseline=False):
    completed = eval_config.complete(eval_config.parse(config), has_baseline)
    asked = evaluation_of(completed)
    tallies = dict.fromkeys(tally for metric in asked.metrics for tally in metric.tallies)
    summed = Summed(completed, list(tallies))
    specs = {spec.name: spec for spec in completed.model_specs}
    add_file(summed, "rows", 0, tables, models, specs)
    locations = {model.name: model.location for model in models}
    on_arrow.evaluate(on_arrow.ArrowJob(asked, summed, locations, str(directory)))
    return str(directory)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Evaluate with our engine and with TFMA; return the directories."""

    def evaluate(table, config, models=(MODEL,), has_baseline=False):
        ours, tfmas = (str(tmp_path_factory.mktemp(name)) for name in ("ours", "tfmas"))
        on_tables([table], config, ours, models, has_baseline)
        completed = eval_config.complete(eval_config.parse(config), has_baseline)
        with_predictions.evaluate([table], completed, models, tfmas)
        return ours, tfmas

    return evaluate


KINDS = {
    "metrics": (messages.MetricsForSlice, "metric_keys_and_values"),
    "plots": (messages.PlotsForSlice, "plot_keys_and_values"),
}


def values(directory, kind):
    """Return all numbers of an evaluation, flat, by slice, key and place."""
    message, field = KINDS[kind]
    found = {}
    path = os.path.join(directory, f"{kind}-00000-of-00001.tfrecord")
    for record in read_serialized(path):
        of_slice = message.FromString(record)
        found[str(of_slice.slice_key)] = "a slice"
        for name, value in of_slice.metrics.items() if kind == "metrics" else ():
            found[str(of_slice.slice_key), name] = value.debug_message
        for pair in getattr(of_slice, field):
            key = (str(of_slice.slice_key), str(pair.key))
            found.update(flat(json_format.MessageToDict(pair.value), key))
    return found


def flat(value, place):
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    else:
        return {place: float(value) if isinstance(value, (int, float)) else number(value)}
    return {k: v for name, part in parts for k, v in flat(part, (*place, name)).items()}


def number(text):
    try:
        return float(text)
    except ValueError:
        return text


def assert_equal(directories):
    for kind in KINDS:
        ours, tfmas = (values(directory, kind) for directory in directories)
        # Zeros are not written.
        for one, other in ((ours, tfmas), (tfmas, ours)):
            missing = {place for place in other.keys() - one.keys() if other[place] != 0}
            assert not missing, sorted(map(str, missing))[:5]
        assert ours
        for place in ours.keys() & tfmas.keys():
            a, b = ours[place], tfmas[place]
            if isinstance(a, float) and isinstance(b, float):
                same = math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6)
                assert same or (math.isnan(a) and math.isnan(b)), (place, a, b)
            else:
                assert a == b, place


def binary_rows():
    random = np.random.default_rng(3)
    predictions = random.random(ROWS).astype(np.float32)
    predictions[:6] = [0.0001, 0.9999, 0.5, 0.25, 0.3, 1 / 3]
    labels = (random.random(ROWS) < predictions).astype(int)
    return rows(label=labels, prediction=predictions)


# Of two classes and single numbers; TFMA divides by zero for PrevalenceThreshold on small slices.
OF_CLASSES = {
    "CategoricalAccuracy",
    "CategoricalCrossEntropy",
    "CategoricalCrossentropy",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "MultiClassConfusionMatrixAtThresholds",
    "MultiClassConfusionMatrixPlot",
}
WITH_SETTINGS = {
    "ConfusionMatrixAtThresholds": {"thresholds": [0.25, 0.5, 0.75]},
    "PrecisionAtRecall": {"recall": 0.6},
    "RecallAtPrecision": {"precision": 0.6},
    "RecallAtFalsePositiveRate": {"false_positive_rate": 0.3},
    "SensitivityAtSpecificity": {"specificity": 0.7},
    "SpecificityAtSensitivity": {"sensitivity": 0.8, "num_thresholds": 40},
    "ThresholdAtRecall": {"recall": 0.7},
}
# Keras' R2Score cannot be computed by TFMA, whose states of it have no shape yet.
WITHOUT_TFMA = {"R2Score"}


def test_every_metric_of_two_classes_is_equal(both):
    names = set(known_metrics()) - OF_CLASSES - WITHOUT_TFMA - {"PrevalenceThreshold"}
    listed = [metric(name, **WITH_SETTINGS.get(name, {})) for name in sorted(names)]
    assert_equal(both(binary_rows(), config_of([{"metrics": listed}], slices=[{}, TOWNS, SEVERAL])))


def test_settings_and_slices_of_every_type_are_equal(both):
    listed = [
        metric("AUC", name="few", num_thresholds=50),
        metric("AUC", name="pr", curve="PR", num_thresholds=100),
        metric("AUC", name="majoring", summation_method="majoring", num_thresholds=20),
        metric(
            "AUC", name="minoring", summation_method="minoring", curve="PR", thresholds=[0.2, 0.5]
        ),
        metric("Precision", name="several", thresholds=[0.9, 0.1, 0.5]),
        metric("BinaryAccuracy", name="low", threshold=0.3),
        metric("PrecisionAtRecall", name="both", recall=[0.3, 0.6], num_thresholds=30),
        metric("BinaryCrossEntropy", name="smooth", label_smoothing=0.1),
        metric("BinaryCrossentropy", name="keras", label_smoothing=0.1),
        metric("CalibrationPlot", num_buckets=10),
        metric("ConfusionMatrixPlot", num_thresholds=8),
        *named("ExampleCount", "WeightedExampleCount", "MeanLabel"),
    ]
    weights = {"weighted": True, "unweighted": True}
    specs = [{"metrics": listed, "example_weights": weights}]
    assert_equal(both(binary_rows(), config_of(specs, slices=SLICES)))


def test_fractional_labels_are_equal(both):
    table = binary_rows()
    shares = pa.array(np.round(np.random.default_rng(5).random(ROWS), 2), pa.float32())
    table = table.set_column(table.schema.get_field_index("label"), "label", shares)
    listed = named("AUC", "Precision", "Recall", "MeanLabel", "CoefficientOfDiscrimination")
    assert_equal(both(table, config_of([{"metrics": listed}])))


def class_rows(classes=4):
    random = np.random.default_rng(4)
    scores = random.random((ROWS, classes))
    predictions = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
    labels = [random.choice(classes, p=row / row.sum()) for row in predictions.astype(float)]
    return rows(label=labels, prediction=pa.array(list(predictions), pa.list_(pa.float32())))


BINARY = ("AUC", "Precision", "Recall", "F1Score", "BinaryAccuracy")


def renamed(suffix, *class_names):
    return [metric(name, name=f"{name}{suffix}") for name in class_names]


def test_metrics_of_classes_are_equal(both):
    listed = [
        *named("SparseCategoricalAccuracy", "SparseCategoricalCrossentropy", "ExampleCount"),
        *named("AUC", "MeanLabel"),  # of all classes alike
        metric("SparseTopKCategoricalAccuracy", k=2),
        metric("MultiClassConfusionMatrixAtThresholds", thresholds=[0.2, 0.3, 0.5]),
        metric("Precision", name="top", top_k=3),
        metric("Recall", name="one", class_id=1),
    ]
    single = [
        *BINARY,
        *("MeanLabel", "MeanPrediction", "Calibration", "MeanSquaredError", "ExampleCount"),
        *("CalibrationPlot", "ConfusionMatrixPlot", "BinaryCrossentropy", "BinaryCrossEntropy"),
    ]
    specs = [
        {"metrics": listed},
        {"metrics": named(*single), "binarize": {"class_ids": {"values": [0, 3]}}},
        {
            "metrics": named(*BINARY),
            "binarize": {"k_list": {"values": [1, 2]}, "top_k_list": {"values": [1, 3]}},
        },
    ]
    assert_equal(both(class_rows(), config_of(specs, slices=[{}, TOWNS])))


def test_averages_over_classes_are_equal(both):
    weights = {"0": 1, "1": 1, "3": 0.25}
    specs = [
        {
            "metrics": renamed("_micro", *BINARY, "MeanLabel"),
            "aggregate": {"micro_average": True},
        },
        {
            "metrics": renamed("_micro_by_weight", *BINARY),
            "aggregate": {"micro_average": True, "class_weights": weights},
        },
        {
            "metrics": renamed("_micro_top", *BINARY),
            "aggregate": {"micro_average": True, "top_k_list": {"values": [2]}},
        },
        {
            "metrics": renamed("_macro", *BINARY, "MeanLabel", "MeanSquaredError"),
            "aggregate": {"macro_average": True, "class_weights": weights},
        },
        {
            "metrics": renamed("_macro_top", *BINARY),
            "aggregate": {"macro_average": True, "top_k_list": {"values": [3]}},
        },
        {
            "metrics": renamed("_by_label", *BINARY),
            "aggregate": {"weighted_macro_average": True, "class_weights": weights},
        },
        {"metrics": named("MultiClassConfusionMatrixPlot")},
    ]
    assert_equal(both(class_rows(), config_of(specs, slices=[{}, TOWNS])))


def test_one_hot_labels_are_equal(both):
    table = class_rows()
    one_hot = np.eye(4, dtype=np.float32)[table["label"].to_numpy()]
    position = table.schema.get_field_index("label")
    table = table.set_column(position, "label", pa.array(list(one_hot), pa.list_(pa.float32())))
    names = ("CategoricalAccuracy", "CategoricalCrossentropy")
    listed = [
        *named(*names, "MultiClassConfusionMatrixPlot", "BinaryCrossentropy"),
        metric("TopKCategoricalAccuracy", k=2),
        metric("CategoricalCrossentropy", name="smooth", label_smoothing=0.2),
    ]
    assert_equal(both(table, config_of([{"metrics": listed}])))


def number_rows():
    random = np.random.default_rng(6)
    labels = np.abs(random.normal(3, 2, ROWS)).astype(np.float32)
    labels[:4] = 0
    predictions = np.abs(labels + random.normal(0, 1, ROWS)).astype(np.float32)
    return rows(label=labels, prediction=predictions)


def test_metrics_of_numbers_are_equal(both):
    listed = [
        *named("MeanSquaredError", "RootMeanSquaredError", "MeanAbsoluteError"),
        *named("MeanAbsolutePercentageError", "MeanSquaredLogarithmicError"),
        *named("SquaredPearsonCorrelation", "MeanLabel", "MeanPrediction", "Calibration"),
        *named("ExampleCount", "Accuracy"),
        metric("CalibrationPlot", left=0, right=8),
    ]
    assert_equal(both(number_rows(), config_of([{"metrics": listed}], slices=SLICES)))


def test_r2_score_is_that_of_keras(tmp_path):
    import tf_keras

    table = number_rows()
    directory = on_tables([table], config_of([{"metrics": named("R2Score")}]), tmp_path)
    (score,) = (v for v in values(directory, "metrics").values() if isinstance(v, float))
    keras = tf_keras.metrics.R2Score()
    columns = [table[name].to_numpy().reshape(-1, 1) for name in ("label", "prediction", "weight")]
    keras.update_state(*columns)
    assert score == pytest.approx(float(keras.result()), abs=1e-5)


@pytest.mark.parametrize(
    ("label", "undefined"),
    [(1.0, {"auc"}), (0.0, {"auc", "auc_precision_recall"})],
)
def test_what_no_curve_is_under_is_not_defined(tmp_path, label, undefined):
    labels = pa.array([label] * ROWS, pa.float32())
    table = rows(label=labels, prediction=pa.array(np.linspace(0, 1, ROWS)))
    asked = config_of([{"metrics": named("AUC", "AUCPrecisionRecall")}], slices=[{}, TOWNS])
    found = summarize(on_tables([table], asked, tmp_path))
    assert {m.slice for m in found} > {"Overall", "town:x"}
    assert {m.metric for m in found if math.isnan(m.value)} == undefined


def test_a_metric_named_in_words_is_told_without_the_number_of_its_class(tmp_path):
    labels, predictions = [0, 1] * (ROWS // 2), [[0.25, 0.75]] * ROWS
    table = rows(label=pa.array(labels), prediction=pa.array(predictions))
    metrics = [metric("Recall", name="recall of late"), metric("Precision")]
    asked = [{"metrics": metrics, "binarize": {"class_ids": {"values": [1]}}}]
    found = summarize(on_tables([table], config_of(asked), tmp_path))
    assert {m.metric for m in found} == {"recall of late", "precision/class_id=1"}


def test_one_name_for_several_classes_keeps_their_numbers(tmp_path):
    labels, predictions = [0, 1] * (ROWS // 2), [[0.25, 0.75]] * ROWS
    table = rows(label=pa.array(labels), prediction=pa.array(predictions))
    metrics = [metric("Recall", name="share that is found")]
    asked = [{"metrics": metrics, "binarize": {"class_ids": {"values": [0, 1]}}}]
    found = summarize(on_tables([table], config_of(asked), tmp_path))
    names = {f"share that is found/class_id={number}" for number in (0, 1)}
    assert {m.metric for m in found} == names


AGAINST = [
    {"name": "candidate", "label_key": "label", "prediction_key": "prediction"},
    {"name": "baseline", "label_key": "label", "prediction_key": "other", "is_baseline": True},
]


def change(direction, **bounds):
    return {
        "value_threshold": {"lower_bound": 0.5},
        "change_threshold": {"direction": direction, **bounds},
    }


@pytest.fixture(scope="module")
def against_baseline(both):
    noise = np.random.default_rng(8).normal(0, 0.3, ROWS)
    table = binary_rows()
    other = np.clip(table["prediction"].to_numpy() + noise, 0, 1)
    table = table.append_column("other", pa.array(other, pa.float32()))
    by_town = {
        "slicing_specs": [TOWNS, {"feature_values": {"town": "nowhere"}}],
        "threshold": {"value_threshold": {"lower_bound": 0.72}},
    }
    listed = [
        metric("AUC", change("HIGHER_IS_BETTER", absolute=0.3), num_thresholds=100),
        metric("BinaryAccuracy", change("HIGHER_IS_BETTER", relative=0.01)),
        metric("MeanSquaredError", change("LOWER_IS_BETTER", absolute=-0.01)),
        metric("ConfusionMatrixAtThresholds", thresholds=[0.5]),
        metric("Precision", thresholds=[0.2, 0.5]),
        metric("ConfusionMatrixPlot", num_thresholds=4),
        *named("ExampleCount"),
    ]
    listed[1]["per_slice_thresholds"] = [by_town]
    config = config_of(
        [{"metrics": listed}],
        slices=[{}, TOWNS],
        model_specs=AGAINST,
        options={"min_slice_size": 30},
    )
    models = [from_column("prediction", "candidate"), from_column("other", "baseline")]
    return both(table, config, models, True)


def test_changes_against_a_baseline_and_small_slices_are_equal(against_baseline):
    assert_equal(against_baseline)
    found = values(against_baseline[0], "metrics")
    assert any("is_diff" in str(place) for place in found)
    assert any("lower than the minimum required value: 30" in str(v) for v in found.values())


def validation(directory):
    (record,) = read_serialized(os.path.join(directory, validation_file(directory)))
    result = messages.ValidationResult.FromString(record)

    def in_order(value):
        if isinstance(value, dict):
            return {key: in_order(part) for key, part in value.items()}
        if isinstance(value, list):
            return sorted((in_order(part) for part in value), key=json.dumps)
        return round(value, 6) if isinstance(value, float) else value

    return in_order(json_format.MessageToDict(result))


def validation_file(directory):
    return next(name for name in os.listdir(directory) if name.startswith("validations"))


def test_thresholds_are_judged_as_by_tfma(against_baseline):
    ours, tfmas = map(validation, against_baseline)
    assert ours == tfmas
    assert ours["missingSlices"] == [{"featureValues": {"town": "nowhere"}}]


def test_the_files_have_the_same_names(against_baseline):
    ours, tfmas = (sorted(os.listdir(directory)) for directory in against_baseline)
    assert ours == tfmas


def test_tfma_reads_the_evaluation(against_baseline):
    import tensorflow_model_analysis as tfma

    ours = against_baseline[0]
    result = tfma.load_eval_result(ours, model_name="candidate")
    assert result.get_metrics_for_all_slices().keys() == {(), (("town", "x"),)}
    assert result.config.metrics_specs[0].metrics[0].class_name == "AUC"
    assert len(list(tfma.load_metrics(ours))) == len(list(tfma.load_plots(ours))) == 4
    assert len(list(tfma.load_attributions(ours))) == 4
    assert tfma.load_validation_result(ours).validation_ok is False


@pytest.mark.parametrize("method", ["JACKKNIFE", "POISSON_BOOTSTRAP"])
def test_intervals_are_as_wide_as_tfmas(both, method):
    options = {
        "compute_confidence_intervals": True,
        "confidence_intervals": {"method": method},
    }
    listed = [
        *named("MeanLabel", "MeanPrediction", "ExampleCount"),
        metric("ConfusionMatrixAtThresholds", thresholds=[0.5]),
    ]
    directories = both(
        binary_rows(), config_of([{"metrics": listed}], slices=[{}, SLICES[5]], options=options)
    )
    ours, tfmas = map(errors, directories)
    assert ours.keys() == tfmas.keys()
    assert not any("example_count" in str(key) for key in ours)
    assert any("confusion_matrix" in str(key) for key in ours)
    # Which rows are sampled is chance.
    means = [key for key in ours if "mean" in str(key) and not key[0]]
    assert len(means) == 2
    for key in means:
        assert 0.3 * tfmas[key] < ours[key] < 3.3 * tfmas[key]


def errors(directory):
    found = {}
    path = os.path.join(directory, "metrics-00000-of-00001.tfrecord")
    for record in read_serialized(path):
        of_slice = messages.MetricsForSlice.FromString(record)
        for pair in of_slice.metric_keys_and_values:
            if pair.HasField("confidence_interval"):
                error = pair.confidence_interval.standard_error.double_value.value
                found[str(of_slice.slice_key), str(pair.key)] = error
    return found


def files(directory):
    return {
        name: open(os.path.join(directory, name), "rb").read() for name in os.listdir(directory)
    }


@pytest.mark.parametrize("method", [None, "JACKKNIFE"])
def test_an_evaluation_is_the_same_each_time(tmp_path, method):
    options = {}
    if method:
        options = {
            "compute_confidence_intervals": True,
            "confidence_intervals": {"method": method},
        }
    config = config_of([{"metrics": named("AUC", "Precision")}], slices=SLICES, options=options)
    directories = [tmp_path / "one", tmp_path / "other"]
    for directory in directories:
        directory.mkdir()
        on_tables([binary_rows()], config, directory)
    assert files(directories[0]) == files(directories[1])


def test_rows_come_in_any_batches(tmp_path):
    config = config_of([{"metrics": named("AUC", "ExampleCount", "MeanLabel")}], slices=SLICES)
    table = binary_rows()
    found = []
    for size in (ROWS, 1, 7):
        directory = tmp_path / str(size)
        directory.mkdir()
        tables = [table.slice(start, size) for start in range(0, ROWS, size)]
        found.append(values(on_tables(tables, config, directory), "metrics"))
    assert found[0].keys() == found[1].keys() == found[2].keys()
    for other in found[1:]:
        for place, value in found[0].items():
            assert other[place] == (
                pytest.approx(value, nan_ok=True) if isinstance(value, float) else value
            )


def test_a_column_without_values_is_said(tmp_path, capsys):
    config = config_of(
        [{"metrics": named("ExampleCount")}], slices=[{}, {"feature_keys": ["twon"]}]
    )
    on_tables([binary_rows()], config, tmp_path)
    line = "No row has a value in the column 'twon', which slices are by."
    assert line in capsys.readouterr().out


def test_no_rows_are_an_error(tmp_path):
    with pytest.raises(DataError, match="there are no rows to evaluate the model on.*split eval"):
        on_tables([binary_rows().slice(0, 0)], config_of([{"metrics": named("AUC")}]), tmp_path)


CLASSES = {"probabilities": ("no", "yes")}


def classifier(classes=CLASSES):
    """A classifier of two classes as Penstock's flavors have it."""

    def predict(table):
        second = table["prediction"].to_numpy().astype(np.float64)
        matrix = np.stack([1 - second, second], axis=1)
        labels = [classes["probabilities"][int(p > 0.5)] for p in second]
        return pa.table({"prediction": labels, "probabilities": pa.array(list(matrix))})

    return Evaluated("", predict, classes)


def as_texts(table, labels=("no", "yes")):
    texts = pa.array([labels[number] for number in table["label"].to_pylist()])
    return table.set_column(table.schema.get_field_index("label"), "label", texts)


def test_of_two_classes_the_second_is_predicted(tmp_path):
    table = binary_rows()
    listed = named("AUC", "Precision", "MeanPrediction", "SparseCategoricalAccuracy")
    config = config_of([{"metrics": listed[:3]}])
    plain = on_tables([table], config, tmp_path)
    other = tmp_path / "classifier"
    other.mkdir()
    config = config_of([{"metrics": listed}])
    del config["model_specs"][0]["prediction_key"]
    of_classes = on_tables([as_texts(table)], config, other, [classifier()])
    expected, found = (values(directory, "metrics") for directory in (plain, of_classes))
    for place, value in expected.items():
        assert found[place] == (pytest.approx(value) if isinstance(value, float) else value)


def test_a_label_that_is_no_class_is_named_with_its_row(tmp_path):
    config = config_of([{"metrics": named("AUC")}])
    del config["model_specs"][0]["prediction_key"]
    table = as_texts(binary_rows(), ("no", "maybe"))
    first = table["label"].to_pylist().index("maybe")
    with pytest.raises(DataError) as caught:
        on_tables([table], config, tmp_path, [classifier()])
    text = f"row {first}: the label 'maybe' is none of the model's classes 'no', 'yes'"
    assert text in str(caught.value)


def test_text_labels_need_a_model_that_says_its_classes(tmp_path):
    with pytest.raises(DataError, match="expected labels that are numbers.*which classes it has"):
        on_tables([as_texts(binary_rows())], config_of([{"metrics": named("AUC")}]), tmp_path)


def test_numbers_that_are_not_class_numbers_are_mapped(tmp_path):
    table = binary_rows()
    of_texts, of_numbers = tmp_path / "texts", tmp_path / "numbers"
    config = config_of([{"metrics": named("AUC", "SparseCategoricalAccuracy")}])
    del config["model_specs"][0]["prediction_key"]
    for directory, labels in ((of_texts, ("no", "yes")), (of_numbers, (3, 7))):
        directory.mkdir()
        model = classifier({"probabilities": labels})
        on_tables([as_texts(table, labels)], config, directory, [model])
    assert values(of_texts, "metrics") == values(of_numbers, "metrics")


def with_null(name):
    table = binary_rows()
    position = table.schema.get_field_index(name)
    column = table[name].to_pylist()
    column[5] = None
    return table.set_column(position, name, pa.array(column))


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (with_null("label"), "row 5: expected one label, got none"),
        (with_null("weight"), "row 5: expected one example weight, got none"),
        (
            binary_rows().drop(["label"]).append_column("lable", pa.nulls(ROWS, pa.int64())),
            "the rows have no column 'label', which has the labels (rows, column label). Did you "
            "mean 'lable'?",
        ),
        (
            number_rows(),
            "expected a label from 0 to 1 for a metric of two classes, got",
        ),
    ],
)
def test_rows_that_cannot_be_evaluated_are_named(table, text, tmp_path):
    with pytest.raises(DataError) as caught:
        on_tables([table], config_of([{"metrics": named("AUC")}]), tmp_path)
    assert text in str(caught.value)


def test_an_absent_output_is_answered_with_the_nearest(tmp_path):
    config = config_of([{"metrics": named("AUC")}])
    config["model_specs"][0]["prediction_key"] = "predictoin"
    with pytest.raises(
        DataError, match="the model gives no 'predictoin'.*Did you mean 'prediction'"
    ):
        on_tables([binary_rows()], config, tmp_path)


def test_a_model_gives_lists_of_one_size(tmp_path):
    lists = class_rows(4).slice(0, 5), class_rows(3).slice(0, 5)
    config = config_of([{"metrics": named("MultiClassConfusionMatrixPlot")}])
    with pytest.raises(DataError, match="row 5: the model gives 3 numbers a row from here on"):
        on_tables(lists, config, tmp_path)


def test_several_outputs_need_a_prediction_key(tmp_path):
    config = config_of([{"metrics": named("AUC")}])
    del config["model_specs"][0]["prediction_key"]
    model = replace(MODEL, predict=lambda table: table.select(["stars", "share"]))
    with pytest.raises(DataError, match="the model gives stars, share.*as the prediction_key"):
        on_tables([binary_rows()], config, tmp_path, [model])
