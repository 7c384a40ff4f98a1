"""Statistics of slices beside those of all examples."""

from __future__ import annotations

import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.data.results.statistics import example_count, of_all_examples

pytestmark = pytest.mark.core


def statistics(*datasets: tuple[str, int]) -> statistics_pb2.DatasetFeatureStatisticsList:
    result = statistics_pb2.DatasetFeatureStatisticsList()
    for name, rows in datasets:
        result.datasets.add(name=name, num_examples=rows)
    return result


def test_all_examples_are_found_wherever_they_stand():
    of_slices = statistics(("city_Oslo", 10), ("All Examples", 10), ("city_Rome", 0))
    assert of_all_examples(of_slices).name == "All Examples"


def test_the_only_data_set_may_have_any_name():
    assert of_all_examples(statistics(("", 5))).num_examples == 5


def test_no_data_set_is_no_examples():
    assert example_count(statistics()) == 0
