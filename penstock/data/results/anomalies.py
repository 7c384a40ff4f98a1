"""Anomalies: on disk a binary `Anomalies` a split, as TFX writes it; for people, a table."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tensorflow_metadata.proto.v0 import anomalies_pb2

from penstock.data.results.messages import read_message
from penstock.data.results.statistics import feature_name
from penstock.data.splits import split_directory
from penstock.errors import DataError

FILE_NAME = "SchemaDiff.pb"
# How the folders begin that TFX's DistributionValidator has for pairs of splits.
PAIR = "SplitPair-"

# What TFX stores in the custom property `blessed` of an ExampleAnomalies artifact.
BLESSED = 1
NOT_BLESSED = 0


@dataclass(frozen=True)
class Anomaly:
    """One way in which statistics do not conform to a schema.

    `feature` is the feature's path, with dots between the steps, or "" where the whole data set
    is meant. `kind` is a name of `AnomalyInfo.Type`, such as "ENUM_TYPE_UNEXPECTED_STRING_VALUES",
    and `severity` one of `AnomalyInfo.Severity`: "ERROR", "WARNING" or "UNKNOWN".
    """

    feature: str
    kind: str
    severity: str
    short: str
    long: str


@dataclass(frozen=True)
class Measurement:
    """How far a feature's values are from those they were compared with.

    `comparison` is "drift" (previous statistics) or "skew" (serving statistics); `measure` a name
    of `DriftSkewInfo.Measurement.Type`: "L_INFTY" or "JENSEN_SHANNON_DIVERGENCE".
    """

    feature: str
    comparison: str
    measure: str
    value: float
    threshold: float


class AnomaliesError(DataError):
    """Data does not conform to its schema; `anomalies` has the anomalies of every split."""

    def __init__(
        self, message: str, *, anomalies: Mapping[str, list[Anomaly]], hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.anomalies = dict(anomalies)

    def __str__(self) -> str:
        return f"{self.message}\n\n{self.hint}" if self.hint else self.message


def describe_anomalies(anomalies: anomalies_pb2.Anomalies) -> list[Anomaly]:
    """Return every anomaly of a split, the data set's first, then by feature.

    A feature with several reasons is there once for each of them.
    """
    described = []
    if anomalies.data_missing:
        described.append(
            Anomaly("", "DATA_MISSING", "ERROR", "No examples", "The split has no examples.")
        )
    if anomalies.HasField("dataset_anomaly_info"):
        described.extend(_reasons("", anomalies.dataset_anomaly_info))
    for name in sorted(anomalies.anomaly_info):
        info = anomalies.anomaly_info[name]
        described.extend(_reasons(feature_name(info.path, name), info))
    return described


def _reasons(feature: str, info: anomalies_pb2.AnomalyInfo) -> Iterable[Anomaly]:
    severity = anomalies_pb2.AnomalyInfo.Severity.Name(info.severity)
    if not info.reason:
        yield Anomaly(
            feature, "UNKNOWN_TYPE", severity, info.short_description, info.description.strip()
        )
    for reason in info.reason:
        yield Anomaly(
            feature,
            anomalies_pb2.AnomalyInfo.Type.Name(reason.type),
            severity,
            reason.short_description,
            reason.description.strip(),
        )


def describe_measurements(anomalies: anomalies_pb2.Anomalies) -> list[Measurement]:
    """Return what was measured of drift and skew, within the thresholds or not."""
    types = anomalies_pb2.DriftSkewInfo.Measurement.Type
    return [
        Measurement(
            ".".join(info.path.step),
            comparison,
            types.Name(measured.type),
            measured.value,
            measured.threshold,
        )
        for info in anomalies.drift_skew_info
        for comparison, measurements in (
            ("drift", info.drift_measurements),
            ("skew", info.skew_measurements),
        )
        for measured in measurements
    ]


def is_blessed(anomalies: anomalies_pb2.Anomalies) -> bool:
    """Return whether TFX calls the split blessed: no feature and no data set has an anomaly."""
    return not anomalies.anomaly_info and not anomalies.HasField("dataset_anomaly_info")


def table_of(anomalies: Mapping[str, Sequence[Anomaly]]) -> str:
    """Return a table for a log: a line for every anomaly of every split."""
    rows = [
        (split, anomaly.feature or "(data set)", anomaly.severity, anomaly.short, anomaly.long)
        for split, described in anomalies.items()
        for anomaly in described
    ]
    return _table(("split", "feature", "severity", "anomaly", "description"), rows)


def table_of_measurements(measurements: Mapping[str, list[Measurement]]) -> str:
    """Return a table for a log: a line for every measured drift and skew of every split."""
    rows = [
        (
            split,
            measured.feature,
            measured.comparison,
            measured.measure,
            f"{measured.value:.4g}",
            f"{measured.threshold:g}",
        )
        for split, measured_features in measurements.items()
        for measured in measured_features
    ]
    return _table(("split", "feature", "comparison", "measure", "value", "threshold"), rows)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def read_anomalies(split_directory: str) -> anomalies_pb2.Anomalies:
    """Read the anomalies of one split.

    Raises:
      DataError: the file is missing or is not an `Anomalies` message.
    """
    return read_message(
        os.path.join(split_directory, FILE_NAME),
        anomalies_pb2.Anomalies(),
        noun="the anomalies of a split",
        hint="Check that ExampleValidator did not exclude this split.",
    )


def anomalies_directory(uri: str, split: str) -> str:
    """Return the folder of the anomalies of a split, or of a pair of splits.

    Raises:
      DataError: its name would lead elsewhere.
    """
    directory = split_directory(uri, split)
    of_pair = os.path.join(uri, f"{PAIR}{split}")
    return of_pair if os.path.isdir(of_pair) and not os.path.isdir(directory) else directory


def write_anomalies(anomalies: anomalies_pb2.Anomalies, split_directory: str) -> str:
    """Write the anomalies of one split and return the file's path."""
    os.makedirs(split_directory, exist_ok=True)
    path = os.path.join(split_directory, FILE_NAME)
    with open(path, "wb") as file:
        file.write(anomalies.SerializeToString(deterministic=True))
    return path
