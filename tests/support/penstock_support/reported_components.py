"""A pipeline that makes quickly, and without TensorFlow, all that a report shows."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from penstock import Input, Output, component, pipeline
from penstock.artifacts import (
    ExampleAnomalies,
    Examples,
    ExampleStatistics,
    Model,
    ModelBlessing,
    ModelEvaluation,
    ModelRun,
    PushedModel,
)

HOSTILE = "<script>document.title='taken'</script><img src=x onerror=alert(1)>\"'&"
SPLITS = ("train", "eval")


@component
def MakeStatistics(
    examples: Output[Examples],
    statistics: Output[ExampleStatistics],
    features: int = 3,
    hostile: bool = False,
) -> None:
    """Write the statistics of so many numbers, and of a text."""
    from tensorflow_metadata.proto.v0 import statistics_pb2

    from penstock.data.results.statistics import write_statistics
    from penstock.data.splits import encode_split_names, split_directory

    for artifact in (examples, statistics):
        artifact.split_names = encode_split_names(SPLITS)
    for number, split in enumerate(SPLITS):
        made = statistics_pb2.DatasetFeatureStatisticsList()
        dataset = made.datasets.add(num_examples=200 - 100 * number)
        for index in range(features):
            feature = dataset.features.add(type=1)
            feature.path.step.append(f"number_{index}")
            stats = feature.num_stats
            stats.common_stats.num_non_missing = 190 - 100 * number
            stats.common_stats.num_missing = 10
            stats.mean, stats.std_dev, stats.min, stats.max = 4.5, 2.0, 0.0, 10.0
            histogram = stats.histograms.add()
            for low in range(10):
                histogram.buckets.add(low_value=low, high_value=low + 1, sample_count=low * 3)
        feature = dataset.features.add(type=2)
        feature.path.step.append(HOSTILE if hostile else "island")
        stats = feature.string_stats
        stats.common_stats.num_non_missing = 200 - 100 * number
        stats.unique = 2
        labels = (HOSTILE if hostile else "Biscoe", "Dream")
        for rank, label in enumerate(labels):
            stats.top_values.add(value=label, frequency=100 - rank)
            stats.rank_histogram.buckets.add(
                low_rank=rank, high_rank=rank, label=label, sample_count=100 - rank
            )
        write_statistics(made, split_directory(statistics.uri, split))


@component
def Validate(
    statistics: Input[ExampleStatistics],
    anomalies: Output[ExampleAnomalies],
    drifted: str = "number_1",
    anomalous: str = "",
) -> None:
    """Write how far each split drifted, and an anomaly where one is asked for."""
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    from penstock.data.results.anomalies import write_anomalies
    from penstock.data.splits import encode_split_names, split_directory

    anomalies.split_names = encode_split_names(SPLITS)
    for split in SPLITS:
        made = anomalies_pb2.Anomalies()
        info = made.drift_skew_info.add()
        info.path.step.append(drifted)
        info.drift_measurements.add(type=2, value=0.21, threshold=0.25)
        if anomalous:
            found = made.anomaly_info[anomalous]
            found.path.step.append(anomalous)
            found.severity = anomalies_pb2.AnomalyInfo.ERROR
            found.reason.add(
                type=anomalies_pb2.AnomalyInfo.ENUM_TYPE_UNEXPECTED_STRING_VALUES,
                short_description="Unexpected string values",
                description=f"Examples contain values missing from the schema: {anomalous}.",
            )
        write_anomalies(made, split_directory(anomalies.uri, split))


@component
def Train(
    examples: Input[Examples],
    model: Output[Model],
    model_run: Output[ModelRun],
    steps: int = 5,
    fails: str = "",
    waits_for: str = "",
    fails_without: str = "",
) -> None:
    """Write a curve a split, or fail with a message, or without a file; wait for one before."""
    import time

    from tensorboard.compat.proto import event_pb2

    from penstock.data.records import TFRecordWriter

    print("learning", flush=True)
    while waits_for and not os.path.exists(waits_for):
        time.sleep(0.02)
    if fails or (fails_without and not os.path.exists(fails_without)):
        raise ValueError(fails or "the file is missing")
    for run in ("train", "validation"):
        folder = Path(model_run.uri, run)
        folder.mkdir(parents=True)
        with TFRecordWriter(folder / "events.out.tfevents.1.host") as writer:
            for step in range(steps):
                event = event_pb2.Event(step=step)
                value = event.summary.value.add(tag="epoch_loss")
                value.tensor.dtype = 1
                value.tensor.float_val.append(1 / (step + 1))
                writer.write(event.SerializeToString())
    Path(model.uri, "model").write_text("a model")


@component
def Evaluate(
    model: Input[Model],
    evaluation: Output[ModelEvaluation],
    blessing: Output[ModelBlessing],
    accuracy: float = 0.93,
    asked: float = 0.9,
    slices: int = 3,
    hostile: bool = False,
) -> None:
    """Write the metrics of slices as TFMA does, and bless the model if it is accurate enough."""
    from penstock.data.records import TFRecordWriter
    from penstock.data.results import evaluation_messages as messages

    names = [None, *(HOSTILE if hostile and not n else f"value {n}" for n in range(slices))]
    with TFRecordWriter(Path(evaluation.uri, "metrics-00000-of-00001.tfrecord")) as writer:
        for number, name in enumerate(names):
            made = messages.MetricsForSlice()
            if name is not None:
                key = made.slice_key.single_slice_keys.add(column="island")
                key.bytes_value = name.encode()
            value = accuracy - number / (10 * len(names))
            pair = made.metric_keys_and_values.add()
            pair.key.name = "accuracy"
            pair.value.double_value.value = value
            pair.confidence_interval.lower_bound.double_value.value = value - 0.02
            pair.confidence_interval.upper_bound.double_value.value = value + 0.02
            pair = made.metric_keys_and_values.add()
            pair.key.name = "example_count"
            pair.value.double_value.value = 100
            writer.write(made.SerializeToString())
    result = messages.ValidationResult(validation_ok=accuracy >= asked)
    if not result.validation_ok:
        failed = result.metric_validations_per_slice.add()
        failure = failed.failures.add()
        failure.metric_key.name = "accuracy"
        failure.metric_value.double_value.value = accuracy
        failure.metric_threshold.value_threshold.lower_bound.value = asked
    with TFRecordWriter(Path(evaluation.uri, "validations.tfrecord")) as writer:
        writer.write(result.SerializeToString())
    threshold = {"valueThreshold": {"lowerBound": asked}}
    config = {"metricsSpecs": [{"metrics": [{"className": "Accuracy", "threshold": threshold}]}]}
    Path(evaluation.uri, "eval_config.json").write_text(json.dumps({"evalConfig": config}))
    overall = {"metric": "accuracy", "value": accuracy, "lower": None, "upper": None}
    evaluation.set_string_custom_property("metrics", json.dumps([overall]))
    blessing.set_int_custom_property("blessed", int(result.validation_ok))


@component
def Push(
    model: Input[Model], model_blessing: Input[ModelBlessing], pushed_model: Output[PushedModel]
) -> None:
    """Say that a blessed model went to a place."""
    blessed = model_blessing.get_int_custom_property("blessed")
    pushed_model.set_int_custom_property("pushed", blessed)
    pushed_model.set_string_custom_property("pushed_destination", "serving/1" if blessed else "")


@pipeline
def reported(
    features: int = 3,
    hostile: bool = False,
    anomalous: str = "",
    steps: int = 5,
    fails: str = "",
    waits_for: str = "",
    fails_without: str = "",
    accuracy: float = 0.93,
    slices: int = 3,
) -> list[Any]:
    """Make all that a report shows."""
    made = MakeStatistics(features=features, hostile=hostile)
    checked = Validate(statistics=made.outputs["statistics"], anomalous=anomalous)
    trained = Train(
        examples=made.outputs["examples"],
        steps=steps,
        fails=fails,
        waits_for=waits_for,
        fails_without=fails_without,
    )
    evaluated = Evaluate(
        model=trained.outputs["model"], accuracy=accuracy, slices=slices, hostile=hostile
    )
    pushed = Push(model=trained.outputs["model"], model_blessing=evaluated.outputs["blessing"])
    return [checked, pushed]


class ReportedRuns:
    """A store with runs of the pipeline, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = str(folder / "metadata.sqlite")

    def run(self, **parameters: Any) -> Any:
        """Run it silently; a failure comes back as a result."""
        return self._runner().run(reported, parameters=parameters, raise_on_failure=False)

    def resume(self, run_id: str) -> Any:
        """Go on with a run that has failed."""
        return self._runner().resume(reported, run_id)

    def _runner(self) -> Any:
        from penstock import LocalRunner
        from penstock.runners.local.display import Silent

        return LocalRunner(
            pipeline_root=str(self.folder / "root"), metadata=self.address, display=Silent()
        )
