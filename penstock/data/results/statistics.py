"""Statistics on disk: one binary `DatasetFeatureStatisticsList` a split, as TFX writes it."""

from __future__ import annotations

import os
from typing import Any

from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.data.results.messages import read_message

FILE_NAME = "FeatureStats.pb"

# How TFDV names the data set of all examples where there are others.
_ALL_EXAMPLES = "All Examples"


def read_statistics(split_directory: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Read the statistics of one split.

    Raises:
      DataError: the file is missing or is not a `DatasetFeatureStatisticsList`.
    """
    return read_message(
        os.path.join(split_directory, FILE_NAME),
        statistics_pb2.DatasetFeatureStatisticsList(),
        noun="the statistics of a split",
        hint="Check that StatisticsGen did not exclude this split.",
    )


def write_statistics(
    statistics: statistics_pb2.DatasetFeatureStatisticsList, split_directory: str
) -> str:
    """Write the statistics of one split and return the file's path."""
    os.makedirs(split_directory, exist_ok=True)
    path = os.path.join(split_directory, FILE_NAME)
    with open(path, "wb") as file:
        file.write(statistics.SerializeToString(deterministic=True))
    return path


def feature_name(path: Any, name: str) -> str:
    """Return what TFDV's messages call a feature: its path if there is one, else its name."""
    return ".".join(path.step) or name


def of_all_examples(
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
) -> statistics_pb2.DatasetFeatureStatistics:
    """Return the statistics of all the examples; those of slices may stand beside them."""
    for dataset in statistics.datasets:
        if dataset.name == _ALL_EXAMPLES:
            return dataset
    return max(
        statistics.datasets,
        key=lambda dataset: dataset.num_examples,
        default=statistics_pb2.DatasetFeatureStatistics(),
    )


def example_count(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> int:
    """Return the number of examples that the statistics were computed over."""
    return int(of_all_examples(statistics).num_examples)
