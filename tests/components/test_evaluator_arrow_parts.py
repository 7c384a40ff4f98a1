"""Single parts of the engine of Arrow tables, beside those of TFMA that they stand for."""

import json

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.components.evaluator import eval_config
from penstock.components.evaluator.arrow import intervals, losses, matrices, slicing
from penstock.components.evaluator.arrow.asking import evaluation_of
from penstock.components.evaluator.arrow.catalog import known_metrics
from penstock.components.evaluator.arrow.keys import SubKey
from penstock.components.evaluator.arrow.metric import snake_case
from penstock.components.evaluator.arrow.outcomes import Outcome, View
from penstock.components.evaluator.unsupported import Unsupported
from penstock.data.results import evaluation_messages as messages
from penstock.errors import DataError, ParameterError


def config_of(*listed, spec=None, **fields):
    return {
        "model_specs": [{"label_key": "label"}],
        "metrics_specs": [{"metrics": list(listed), **(spec or {})}],
        **fields,
    }


def asked(config, has_baseline=False, schema=None):
    return evaluation_of(eval_config.complete(eval_config.parse(config), has_baseline), schema)


# Names.


def test_metrics_have_the_names_that_tfma_and_keras_give_them():
    import tf_keras
    from tensorflow_model_analysis.metrics import metric_types

    registered = metric_types.registered_metrics()
    given_ = {
        "ConfusionMatrixAtThresholds": {"thresholds": [0.5]},
        "PrecisionAtRecall": {"recall": 0.5},
        "RecallAtPrecision": {"precision": 0.5},
        "RecallAtFalsePositiveRate": {"false_positive_rate": 0.5},
        "SensitivityAtSpecificity": {"specificity": 0.5},
        "SpecificityAtSensitivity": {"sensitivity": 0.5},
        "ThresholdAtRecall": {"recall": 0.5},
    }
    for name in known_metrics():
        kind = registered.get(name) or getattr(tf_keras.metrics, name)
        assert snake_case(name) == kind(**given_.get(name, {})).name


# What is asked for.


@pytest.mark.parametrize(
    ("config", "what"),
    [
        (config_of({"class_name": "NDCG"}), "the metric NDCG"),
        (
            config_of({"class_name": "AUC", "config": '{"multi_label": true}'}),
            "the setting 'multi_label' of the metric AUC",
        ),
        (
            config_of({"class_name": "Mine", "module": "my.metrics"}),
            "the metric Mine of the module my.metrics",
        ),
        (config_of(spec={"query_key": "user"}), "query_key"),
        (config_of(spec={"output_names": ["head"]}), "output_names"),
        (config_of(cross_slicing_specs=[{"baseline_spec": {}}]), "cross_slicing_specs"),
        (config_of(slicing_specs=[{"slice_keys_sql": "SELECT"}]), "slice_keys_sql"),
        (
            config_of(
                {
                    "class_name": "AUC",
                    "cross_slice_thresholds": [{"cross_slicing_specs": [{"baseline_spec": {}}]}],
                }
            ),
            "cross_slice_thresholds",
        ),
        (
            config_of(options={"disabled_outputs": {"values": ["eval_config.json"]}}),
            "the option disabled_outputs",
        ),
        (
            config_of(
                {"class_name": "SparseCategoricalAccuracy"},
                spec={"aggregate": {"micro_average": True}},
            ),
            "an average over classes of SparseCategoricalAccuracy",
        ),
    ],
)
def test_what_the_engine_does_not_know_is_named(config, what):
    with pytest.raises(Unsupported) as caught:
        asked(config)
    assert str(caught.value) == what


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (
            {"model_spec": []},
            "eval_config should be a tfma.EvalConfig: ",
        ),
        (
            config_of({"class_name": "AUC", "config": "{"}),
            "the config of the metric AUC should be a JSON object: '{'. As in",
        ),
        (
            config_of({"class_name": "AUC"}, spec={"thresholds": {"acu": {}}}),
            "there is a threshold for 'acu', which is no metric of its metrics_spec. Did you mean "
            "'auc'?",
        ),
        (
            config_of({"class_name": "AUC"}, spec={"aggregate": {"macro_average": True}}),
            "AUC is averaged over classes, and aggregate has no class_weights. They name",
        ),
        (
            config_of({"class_name": "PrecisionAtRecall"}),
            "the metric PrecisionAtRecall needs the setting recall. As in",
        ),
        (
            config_of({"class_name": "AUC", "config": '{"curve": "ROK"}'}),
            "AUC should have the curve ROC or PR and the summation_method interpolation, majoring "
            "or minoring, and has ROK and interpolation",
        ),
        (
            config_of(
                {
                    "class_name": "AUC",
                    "threshold": {"change_threshold": {"absolute": 0}},
                },
            ),
            "the change_threshold of auc should have a direction. It is HIGHER_IS_BETTER or",
        ),
        (
            config_of(
                {"class_name": "AUC", "per_slice_thresholds": [{"threshold": {}}]},
            ),
            "eval_config does not hold together: per_slice_thresholds have no slicing_specs. Say",
        ),
    ],
)
def test_a_config_that_cannot_be_used_says_why(config, text):
    with pytest.raises(ParameterError) as caught:
        asked(config, has_baseline=True)
    assert text in str(caught.value)


@pytest.mark.parametrize("has_baseline", [True, False])
@pytest.mark.parametrize(
    "config",
    [
        {},
        config_of({"class_name": "AUC"}),
        config_of(options={"compute_confidence_intervals": True}),
        config_of(
            {
                "class_name": "AUC",
                "threshold": {
                    "value_threshold": {"lower_bound": 0.5},
                    "change_threshold": {"direction": "HIGHER_IS_BETTER", "absolute": 0},
                },
            },
            spec={"thresholds": {"a": {"change_threshold": {"relative": 1}}}},
        ),
        {
            "model_specs": [{"name": "new"}, {"name": "old", "is_baseline": True}],
            "metrics_specs": [{"model_names": ["new"]}],
        },
        {"model_specs": [{"name": "alone"}], "metrics_specs": [{"model_names": ["alone"]}]},
    ],
)
def test_configs_are_completed_as_by_tfma(config, has_baseline):
    from tensorflow_model_analysis.proto import config_pb2
    from tensorflow_model_analysis.utils import config_util

    ours = eval_config.complete(eval_config.parse(config), has_baseline)
    theirs = config_util.update_eval_config_with_defaults(
        json_format.ParseDict(config, config_pb2.EvalConfig()),
        has_baseline=has_baseline,
        rubber_stamp=True,
    )
    assert json_format.MessageToDict(ours) == json_format.MessageToDict(theirs)


def test_the_schema_says_where_a_calibration_plot_ends():
    from tensorflow_metadata.proto.v0 import schema_pb2

    schema = schema_pb2.Schema()
    feature = schema.feature.add(name="label")
    feature.float_domain.min, feature.float_domain.max = -2, 6
    (metric,) = asked(config_of({"class_name": "CalibrationPlot"}), schema=schema).metrics
    (tally,) = metric.tallies
    assert (tally.left, tally.right, tally.fractional) == (-2.0, 6.0, False)


def test_equal_sums_are_kept_once():
    names = ("Precision", "Recall", "BinaryAccuracy", "TP")
    metrics = asked(config_of(*({"class_name": name} for name in names))).metrics
    assert len({tally for metric in metrics for tally in metric.tallies}) == 1


# Labels and predictions.


def tfmas_pairs(view, labels, predictions, weights):
    from tensorflow_model_analysis.metrics import metric_types, metric_util

    part = view.sub_key
    aggregation = metric_types.AggregationType(micro_average=True) if view.micro else None
    for label, prediction, weight in zip(labels, predictions, weights, strict=True):
        inputs = metric_types.StandardMetricInputs(
            labels=label, predictions=prediction, example_weights=np.array([weight])
        )
        yield from (
            (float(a[0]), float(b[0]), float(c[0]))
            for a, b, c in metric_util.to_label_prediction_example_weight(
                inputs,
                sub_key=part and metric_types.SubKey(part.class_id, part.k, part.top_k),
                aggregation_type=aggregation,
                class_weights=dict(view.class_weights) or None,
                example_weighted=view.weighted,
            )
        )


PARTS = [None, SubKey(class_id=2), SubKey(k=1), SubKey(k=2), SubKey(top_k=2)]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_pairs_are_those_of_tfma(data):
    outputs = data.draw(st.integers(3, 5))
    rows = data.draw(st.integers(1, 6))
    part = data.draw(st.sampled_from(PARTS))
    micro = data.draw(st.booleans()) and (part is None or part.top_k is not None)
    weights_of_classes = ((0, 0.5), (2, 2.0)) if micro and data.draw(st.booleans()) else ()
    view = View("", data.draw(st.booleans()), part, micro, weights_of_classes)
    seed = data.draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    predictions = random.permutation(rows * outputs).reshape(rows, outputs) / (rows * outputs)
    labels = random.integers(outputs, size=(rows, 1)).astype(float)
    if data.draw(st.booleans()):
        labels = np.eye(outputs)[labels[:, 0].astype(int)]
    weights = random.random(rows)
    ours = view.pairs(Outcome(labels, predictions, weights))
    expected = sorted(tfmas_pairs(view, labels, predictions, weights))
    found = sorted(zip(ours.labels, ours.predictions, ours.weights, strict=True))
    np.testing.assert_allclose(np.array(found), np.array(expected))


def test_a_label_that_is_no_class_number_is_named():
    outcome = Outcome(np.array([[0.0], [4.0]]), np.full((2, 3), 0.3), first_row=10)
    with pytest.raises(
        DataError, match="row 11: expected a label that is the number of a class, 0 to 2, got 4"
    ):
        View("", False, SubKey(class_id=1)).pairs(outcome)


def test_a_class_that_the_model_does_not_have_is_named():
    outcome = Outcome(np.zeros((2, 1)), np.full((2, 3), 0.3))
    with pytest.raises(DataError, match="a metric is of class 3, and the model gives 3 numbers"):
        View("", False, SubKey(class_id=3)).pairs(outcome)
    with pytest.raises(DataError, match="a metric is of the top 4 classes, and the model gives 3"):
        View("", False, SubKey(top_k=4)).pairs(outcome)


def test_categorical_cross_entropy_is_tfmas():
    from tensorflow_model_analysis.metrics.cross_entropy_metrics import (
        _CategoricalCrossEntropyCombiner,
    )

    random = np.random.default_rng(1)
    predictions = random.random((20, 3))
    labels = np.eye(3)[random.integers(3, size=20)]
    combiner = _CategoricalCrossEntropyCombiner(
        None, "", "", None, None, None, False, label_smoothing=0.1
    )
    expected = [
        combiner._cross_entropy(label, prediction.copy())
        for label, prediction in zip(labels, predictions, strict=True)
    ]
    found = losses.OF_ROWS["CategoricalCrossEntropy"](
        Outcome(labels, predictions), label_smoothing=0.1
    )
    np.testing.assert_allclose(found, expected)


def test_a_sure_and_right_prediction_loses_nothing():
    loss = losses.OF_PAIRS["BinaryCrossEntropy"](np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    assert loss.tolist() == [0.0, 0.0]


# Histograms and matrices.

UNITS = st.floats(0, 1, width=32)


@settings(max_examples=40, deadline=None)
@given(
    entries=st.lists(st.tuples(UNITS, UNITS, UNITS), min_size=1, max_size=30),
    thresholds=st.lists(st.floats(-0.1, 1.1), min_size=2, max_size=6, unique=True),
)
def test_matrices_are_those_of_tfmas_histogram(entries, thresholds):
    from tensorflow_model_analysis.metrics import binary_confusion_matrices as tfmas
    from tensorflow_model_analysis.metrics import calibration_histogram

    thresholds = sorted(thresholds)
    buckets = matrices.HISTOGRAM_BUCKETS
    table = np.zeros((buckets + 2, 3))
    for label, prediction, weight in entries:
        place = int(np.clip(prediction * buckets + 1, 0, buckets + 1))
        table[place] += np.array([label, prediction, 1]) * weight
    histogram = [
        calibration_histogram.Bucket(int(place), *table[place])
        for place in table.any(axis=1).nonzero()[0]
    ]
    if not histogram:
        return
    bounds = [t + matrices.EPSILON if t != 0 else t for t in thresholds]
    bounds = [-matrices.EPSILON, *bounds] if thresholds[0] >= 0 else bounds
    bounds = [*bounds, 1 + matrices.EPSILON] if thresholds[-1] < 1 else bounds
    expected = tfmas._histogram_to_binary_confusion_matrices(
        thresholds, calibration_histogram.rebin(bounds, histogram)
    )
    found = matrices.from_histogram(table, thresholds)
    columns = [expected.tp, expected.tn, expected.fp, expected.fn]
    np.testing.assert_allclose(found.T, columns, atol=1e-9)


def test_evenly_spaced_thresholds_are_kerass():
    import tf_keras

    keras = tf_keras.metrics.AUC(num_thresholds=7).thresholds
    np.testing.assert_allclose(matrices.evenly_spaced(7), keras)
    assert matrices.thresholds_of(list(matrices.evenly_spaced(7)), None)[1] is True


# Slices.


def keys_by_tfma(config, features):
    from tensorflow_model_analysis.proto import config_pb2
    from tensorflow_model_analysis.slicer import slicer_lib

    spec = json_format.ParseDict(config, config_pb2.SlicingSpec())
    return list(
        slicer_lib.get_slices_for_features_dicts(
            [], features, [slicer_lib.SingleSliceSpec(spec=spec)]
        )
    )


TEXTS = st.text("abé.1", max_size=3)


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.lists(TEXTS, max_size=3), min_size=1, max_size=5),
    numbers=st.lists(st.integers(-3, 3), min_size=5, max_size=5),
    values=st.dictionaries(st.sampled_from(["number"]), st.sampled_from(["1", "-2", "0.5", "b"])),
    columns=st.sets(st.sampled_from(["texts", "number"])),
)
def test_slices_are_those_of_tfma(texts, numbers, values, columns):
    columns = sorted(columns - set(values))
    config = {"feature_keys": columns, "feature_values": values}
    spec = json_format.ParseDict(config, messages.SlicingSpec())
    slices = slicing.Slices([spec])
    table = pa.table({"texts": texts, "number": numbers[: len(texts)]})
    rows, found = slices.assign(table)
    for position, listed in enumerate(texts):
        features = {
            "texts": np.array([text.encode() for text in listed], object),
            "number": np.array([numbers[position]]),
        }
        expected = set(keys_by_tfma(config, features))
        assert {slices.keys[number] for number in found[rows == position]} == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array(["x", None]), ["x"]),
        (pa.array([b"x", b"y"]), ["x", "y"]),
        (pa.array(["x", "x"]).dictionary_encode(), ["x"]),
        (pa.array([True, False]), [1, 0]),
        (pa.array([2, None], pa.int8()), [2]),
        (pa.array([0.5, float("nan")]), [0.5]),
        (pa.array([[1, 2], None], pa.list_(pa.int64(), 2)), [1, 2]),
        (pa.array([["b", None, "a"], []]), ["a", "b"]),
        (pa.nulls(2), []),
    ],
)
def test_columns_of_any_type_are_sliced(values, expected):
    spec = json_format.ParseDict({"feature_keys": ["column"]}, messages.SlicingSpec())
    slices = slicing.Slices([spec])
    slices.assign(pa.table({"column": values}))
    assert slices.keys == [(("column", value),) for value in expected]


def test_a_text_of_digits_is_asked_for_as_a_number():
    spec = json_format.ParseDict({"feature_values": {"zip": "8004"}}, messages.SlicingSpec())
    rows, _ = slicing.Slices([spec]).assign(pa.table({"zip": ["8004", "9000"]}))
    assert rows.tolist() == [0]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (pa.array([b"\xff"]), "a value of the column 'column' is not UTF-8"),
        (pa.array([0], pa.timestamp("s")), "and the column 'column' is timestamp[s]"),
    ],
)
def test_what_cannot_be_sliced_by_is_named(values, text):
    spec = json_format.ParseDict({"feature_keys": ["column"]}, messages.SlicingSpec())
    with pytest.raises(DataError) as caught:
        slicing.Slices([spec]).assign(pa.table({"column": values}))
    assert text in str(caught.value)


def test_a_column_is_named_once_in_a_slicing_spec():
    spec = json_format.ParseDict(
        {"feature_keys": ["a"], "feature_values": {"a": "1"}}, messages.SlicingSpec()
    )
    with pytest.raises(ParameterError, match="has 'a' in feature_keys and in feature_values"):
        slicing.Slices([spec])


# Intervals.


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 19, 20, 101])
@pytest.mark.parametrize("probability", [0.01, 0.5, 0.6, 0.95, 0.975, 0.999])
def test_quantiles_are_those_of_scipy(probability, degrees):
    from scipy import stats

    expected = stats.t.ppf(probability, degrees)
    assert intervals.t_quantile(probability, degrees) == pytest.approx(expected, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("method", ["jackknife", "bootstrap"])
def test_intervals_are_tfmas_for_the_same_samples(method):
    from tensorflow_model_analysis.evaluators import confidence_intervals_util as tfmas
    from tensorflow_model_analysis.evaluators import jackknife, poisson_bootstrap
    from tensorflow_model_analysis.metrics.metric_types import MetricKey
    from tensorflow_model_analysis.utils import math_util

    random = np.random.default_rng(2)
    samples, value = random.random(intervals.SAMPLES), 0.4
    combine = {
        "jackknife": jackknife._JackknifeSampleCombineFn,
        "bootstrap": poisson_bootstrap._BootstrapSampleCombineFn,
    }[method](intervals.SAMPLES)
    accumulator, key = combine.create_accumulator(), MetricKey("metric")
    combine.add_input(accumulator, tfmas.SampleMetrics({key: value}, -1))
    for number, sample in enumerate(samples):
        combine.add_input(accumulator, tfmas.SampleMetrics({key: sample}, number))
    expected = combine.extract_output(accumulator)[key]
    _, lower, upper = math_util.calculate_confidence_interval(expected)
    sampling = intervals.Sampling(jackknife=method == "jackknife")
    found = intervals.interval_of(
        sampling, np.array(value), [np.array(sample) for sample in samples]
    )
    message = messages.MetricsForSlice().metric_keys_and_values.add().confidence_interval
    from penstock.components.evaluator.arrow import forms

    found.write(forms.number, message)
    assert message.standard_error.double_value.value == pytest.approx(
        expected.sample_standard_deviation
    )
    assert message.lower_bound.double_value.value == pytest.approx(lower)
    assert message.upper_bound.double_value.value == pytest.approx(upper)
    assert message.degrees_of_freedom.value == expected.sample_degrees_of_freedom


def test_a_bootstrap_takes_each_row_once_on_average():
    sampling = intervals.Sampling(1 + intervals.SAMPLES, bootstrap=True)
    rows, groups = sampling.deal(1000, np.random.default_rng(0))
    counts = np.bincount(groups)
    assert counts[0] == 1000
    assert len(counts) == 1 + intervals.SAMPLES
    assert np.all(np.abs(counts[1:] - 1000) < 150)
    assert len(np.unique(rows)) == 1000


def test_known_settings_are_json():
    config = config_of({"class_name": "AUC", "config": json.dumps({"num_thresholds": 50})})
    (metric,) = asked(config).metrics
    assert metric.key.name == "auc"
