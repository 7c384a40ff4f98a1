"""The files of an evaluation, which TFMA's functions read as its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import json_format

import penstock
from penstock.components.evaluator.arrow.intervals import Interval
from penstock.components.evaluator.arrow.keys import Key
from penstock.components.evaluator.arrow.metric import Metric
from penstock.components.evaluator.arrow.slicing import SliceKey, to_message
from penstock.data.records import TFRecordWriter
from penstock.data.results import evaluation_messages as messages

_SHARD = "00000-of-00001.tfrecord"
_ERROR = "__ERROR__"
# Plots of one key by these names are written together, under no name, as TFMA does.
_JOINED_PLOTS = ("confusion_matrix_plot", "calibration_plot")


@dataclass(frozen=True)
class Value:
    """A metric's value on a slice, and how it is written."""

    metric: Metric
    value: np.ndarray
    interval: Interval | None = None


@dataclass(frozen=True)
class SliceResult:
    """The metrics and plots of a slice by their keys.

    `too_small` says why there are none; `without_intervals` why there are no intervals.
    """

    key: SliceKey
    metrics: Mapping[Key, Value] = field(default_factory=dict)
    plots: Sequence[Value] = ()
    too_small: str = ""
    without_intervals: str = ""


def write(
    directory: str,
    config: Any,
    results: Sequence[SliceResult],
    validation: Any,
    locations: Mapping[str, str],
) -> None:
    """Write metrics, plots, attributions (there are none), validations and the config."""
    files = {
        f"metrics-{_SHARD}": map(_metrics, results),
        f"plots-{_SHARD}": map(_plots, results),
        f"attributions-{_SHARD}": map(_attributions, results),
        "validations.tfrecord": [validation],
    }
    for name, contents in files.items():
        with TFRecordWriter(Path(directory, name)) as records:
            for message in contents:
                records.write(message.SerializeToString(deterministic=True))
    run = messages.EvalRun(
        eval_config=config,
        version=f"penstock {penstock.__version__}",
        data_location="<user provided PCollection>",
        file_format="<unknown>",
        model_locations=locations,
    )
    text = json_format.MessageToJson(run)
    Path(directory, "eval_config.json").write_text(f"{text}\n", encoding="utf-8")


def _metrics(result: SliceResult) -> Any:
    message = messages.MetricsForSlice()
    message.slice_key.CopyFrom(to_message(result.key))
    if result.too_small:
        message.metrics[_ERROR].debug_message = result.too_small
        return message
    if result.without_intervals:
        pair = message.metric_keys_and_values.add()
        pair.key.name = _ERROR
        pair.value.bytes_value = result.without_intervals.encode()
    for key in sorted(result.metrics, key=Key.order):
        shown = result.metrics[key]
        pair = message.metric_keys_and_values.add()
        pair.key.CopyFrom(key.to_message())
        pair.value.CopyFrom(shown.metric.form(shown.value))
        if shown.interval is not None:
            shown.interval.write(shown.metric.form, pair.confidence_interval)
    return message


def _plots(result: SliceResult) -> Any:
    message = messages.PlotsForSlice()
    message.slice_key.CopyFrom(to_message(result.key))
    joined: dict[bytes, Any] = {}
    for shown in sorted(result.plots, key=lambda shown: shown.metric.key.order()):
        metric = shown.metric
        name = "" if metric.key.name in _JOINED_PLOTS else metric.key.name
        key = metric.key.to_plot_message(name)
        pair = joined.get(key.SerializeToString(deterministic=True))
        if pair is None:
            pair = message.plot_keys_and_values.add()
            pair.key.CopyFrom(key)
            joined[key.SerializeToString(deterministic=True)] = pair
        assert metric.plot_form is not None
        metric.plot_form(shown.value, pair.value)
    return message


def _attributions(result: SliceResult) -> Any:
    message = messages.AttributionsForSlice()
    message.slice_key.CopyFrom(to_message(result.key))
    return message
