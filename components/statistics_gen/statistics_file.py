"""Statistics on disk: one binary `DatasetFeatureStatisticsList` a split, as TFX writes it."""

from __future__ import annotations

import os

from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.errors import DataError

FILE_NAME = "FeatureStats.pb"


def read_statistics(split_directory: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Read the statistics of one split.

    Raises DataError when the file is missing or is not a `DatasetFeatureStatisticsList`.
    """
    path = os.path.join(split_directory, FILE_NAME)
    statistics = statistics_pb2.DatasetFeatureStatisticsList()
    try:
        with open(path, "rb") as file:
            statistics.ParseFromString(file.read())
    except FileNotFoundError as error:
        raise DataError(
            "Expected the statistics of a split, but there is no such file",
            path=path,
            hint="Check that StatisticsGen did not exclude this split.",
        ) from error
    except DecodeError as error:
        raise DataError(
            f"Expected a binary DatasetFeatureStatisticsList, but it does not parse: {error}",
            path=path,
        ) from error
    return statistics


def write_statistics(
    statistics: statistics_pb2.DatasetFeatureStatisticsList, split_directory: str
) -> str:
    """Write the statistics of one split and return the file's path."""
    os.makedirs(split_directory, exist_ok=True)
    path = os.path.join(split_directory, FILE_NAME)
    with open(path, "wb") as file:
        file.write(statistics.SerializeToString(deterministic=True))
    return path


def example_count(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> int:
    """Return the number of examples that the statistics were computed over."""
    return max((dataset.num_examples for dataset in statistics.datasets), default=0)
