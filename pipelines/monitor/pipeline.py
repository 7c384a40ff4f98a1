"""The pipeline that judges a window of a prediction log, as a monitor of penstock.toml says.

`penstock monitor run` runs it for each window that is due; it is a pipeline like any other.
"""

from __future__ import annotations

import itertools
from typing import Any

from penstock import pipeline
from penstock.authoring.pipeline import PipelineDefinition
from penstock.components import (
    DriftMonitor,
    ParquetExampleGen,
    PerformanceMonitor,
    PreviousWindow,
    QualityMonitor,
    ServedModel,
    ServingLogGen,
    TrafficMonitor,
)
from penstock.data.payload import PayloadFormat
from penstock.data.spans import RangeConfig, StaticRange
from penstock.data.splits import InputConfig, InputSplit
from penstock.project.monitors import PREVIOUS, Monitor


def pipeline_of(monitor: Monitor) -> PipelineDefinition:
    """Return the pipeline of a monitor; its parameters are the first and the last span."""

    @pipeline(name=monitor.pipeline)
    def judge_window(first_span: int, last_span: int) -> list[Any]:
        """Judge a window of a prediction log."""
        return monitor_nodes(monitor, first_span, last_span)

    return judge_window


def monitor_nodes(monitor: Monitor, first_span: Any, last_span: Any) -> list[Any]:
    """Return the nodes that judge a window, for pipelines that do more than that."""
    served = ServingLogGen(
        input_base=monitor.log,
        log_span=monitor.log_span,
        range_config=RangeConfig(static_range=StaticRange(first_span, last_span)),
        output_data_format=PayloadFormat.FORMAT_PARQUET,
    )
    examples = served.outputs["examples"]
    trained = ServedModel(monitor.model, served=examples).with_id("served-model")
    model = trained.outputs["model"]
    baseline, splits = _baseline(monitor, examples, trained)
    nodes = [
        TrafficMonitor(
            input_base=monitor.log,
            first_span=first_span,
            last_span=last_span,
            log_span=monitor.log_span,
            limits=monitor.traffic,
        )
    ]
    if monitor.quality.enabled:
        nodes.append(
            QualityMonitor(
                examples=examples,
                schema=trained.outputs["schema"],
                baseline=trained.outputs["examples"] if monitor.baseline == PREVIOUS else baseline,
                model=model,
                tests=monitor.quality,
                most_rows=monitor.most_rows,
            )
        )
    if monitor.drift.enabled or monitor.predictions.enabled:
        nodes.append(
            DriftMonitor(
                examples=examples,
                baseline=baseline,
                model=model,
                tests=monitor.drift,
                prediction_tests=monitor.predictions,
                baseline_splits=splits,
                is_training=monitor.baseline != PREVIOUS and not monitor.baseline_files,
                most_rows=monitor.most_rows,
            )
        )
    if monitor.labels is not None or monitor.fairness.groups:
        nodes.append(
            PerformanceMonitor(
                examples=examples,
                labels=monitor.labels,
                baseline=trained.outputs["examples"],
                model=model,
                tests=monitor.performance,
                fairness=monitor.fairness,
            )
        )
    return nodes


def _baseline(monitor: Monitor, examples: Any, trained: Any) -> tuple[Any, list[str] | None]:
    """Return what a window is compared with, and which splits of that."""
    splits = list(monitor.baseline_splits) or None
    if monitor.baseline == PREVIOUS:
        return PreviousWindow(examples).with_id("previous-window").outputs["examples"], None
    if monitor.baseline_version:
        name, _, version = monitor.baseline.partition("@")
        fixed = ServedModel(name, version=version).with_id("baseline-model")
        return fixed.outputs["examples"], splits
    if monitor.baseline_files:
        folder, pattern = _parted(monitor.baseline_files)
        fixed = ParquetExampleGen(
            input_base=folder,
            input_config=InputConfig((InputSplit("baseline", pattern),)),
            output_data_format=PayloadFormat.FORMAT_PARQUET,
        ).with_id("baseline")
        return fixed.outputs["examples"], splits
    return trained.outputs["examples"], splits


def _parted(pattern: str) -> tuple[str, str]:
    """Return the folder in which a pattern looks, and the rest of it."""
    folders = pattern.split("/")
    plain = list(itertools.takewhile(lambda name: not set(name) & set("*?[{"), folders[:-1]))
    return "/".join(plain), "/".join(folders[len(plain) :])
