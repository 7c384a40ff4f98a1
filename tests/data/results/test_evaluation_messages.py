"""The messages of evaluations are those of TensorFlow Model Analysis, as far as they go."""

import subprocess
import sys

import pytest
from google.protobuf import json_format

from penstock.data.results import evaluation_messages as messages

# What TFMA has inside of other messages stands at the top here.
NESTED = {
    "ValueCutoffPair": "ValueAtCutoffs",
    "ConfusionMatrixAtThreshold": "ConfusionMatrixAtThresholds",
    "MultiClassConfusionMatrixEntry": "MultiClassConfusionMatrixAtThresholds",
    "MultiClassConfusionMatrix": "MultiClassConfusionMatrixAtThresholds",
    "MetricKeyAndValue": "MetricsForSlice",
    "PlotKeyAndValue": "PlotsForSlice",
}


def tfmas(name):
    from tensorflow_model_analysis.proto import (
        config_pb2,
        metrics_for_slice_pb2,
        validation_result_pb2,
    )

    if name == "CalibrationHistogramBucket":
        return metrics_for_slice_pb2.CalibrationHistogramBuckets.Bucket
    modules = (config_pb2, metrics_for_slice_pb2, validation_result_pb2)
    parent = NESTED.get(name)
    scopes = [getattr(module, parent, None) for module in modules] if parent else modules
    return next(getattr(scope, name) for scope in scopes if hasattr(scope, name))


def described(field):
    """Return what decides how a field is written and read, and how it is named in JSON."""
    described_type = field.type
    if field.message_type is not None:
        described_type = field.message_type.name.removeprefix("CalibrationHistogram")
        if field.message_type.GetOptions().map_entry:
            described_type = [described(part) for part in field.message_type.fields]
    if field.enum_type is not None:
        described_type = [(value.name, value.number) for value in field.enum_type.values]
    oneof = field.containing_oneof.name if field.containing_oneof else None
    return field.name, field.number, field.json_name, described_type, field.label, oneof


@pytest.mark.parametrize("name", sorted(messages.CLASSES))
def test_every_field_is_the_same_in_tfma(name):
    theirs = {field.name: described(field) for field in tfmas(name).DESCRIPTOR.fields}
    for field in messages.CLASSES[name].DESCRIPTOR.fields:
        ours = described(field)
        # Messages of the same shape are looked at by themselves.
        assert ours[:3] + ours[4:] == theirs[field.name][:3] + theirs[field.name][4:]
        assert str(ours[3]).replace("CalibrationHistogram", "") == str(
            theirs[field.name][3]
        ).replace("CalibrationHistogram", "")


def test_what_ours_do_not_name_is_kept():
    from tensorflow_model_analysis.proto import metrics_for_slice_pb2

    theirs = metrics_for_slice_pb2.PlotsForSlice()
    pair = theirs.plot_keys_and_values.add()
    pair.key.name = "plot"
    pair.value.multi_label_confusion_matrix_at_thresholds.matrices.add(threshold=0.5)
    ours = messages.PlotsForSlice.FromString(theirs.SerializeToString())
    assert ours.plot_keys_and_values[0].key.name == "plot"
    assert theirs.FromString(ours.SerializeToString()) == theirs


def test_a_config_reads_as_with_tfma():
    from tensorflow_model_analysis.proto import config_pb2

    config = {
        "model_specs": [{"label_key": "label"}],
        "slicing_specs": [{}, {"feature_keys": ["a"], "feature_values": {"b": "1"}}],
        "metrics_specs": [
            {
                "metrics": [
                    {"class_name": "AUC", "threshold": {"value_threshold": {"lower_bound": 0.5}}}
                ],
                "thresholds": {
                    "loss": {"change_threshold": {"direction": "LOWER_IS_BETTER", "absolute": 0}}
                },
                "aggregate": {"macro_average": True, "class_weights": {"3": 0.5}},
            }
        ],
        "options": {
            "min_slice_size": 3,
            "compute_confidence_intervals": True,
            "confidence_intervals": {"method": "JACKKNIFE"},
        },
    }
    ours = json_format.ParseDict(config, messages.EvalConfig())
    theirs = json_format.ParseDict(config, config_pb2.EvalConfig())
    assert ours.SerializeToString(deterministic=True) == theirs.SerializeToString(
        deterministic=True
    )
    assert json_format.MessageToJson(ours) == json_format.MessageToJson(theirs)


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_both_are_loaded_in_any_order(first):
    lines = [
        "from penstock.data.results import evaluation_messages",
        "from tensorflow_model_analysis.proto import validation_result_pb2",
    ]
    code = "\n".join(lines if first == "ours" else reversed(lines))
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
