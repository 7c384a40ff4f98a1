"""StatisticsGen of TFX by our engine: the same statistics, and the same metadata.

TFX reads the rows of a split in no order of its own and adds up means and deviations in it, so two
of its own runs differ in their last digits; ours differ from TFX's in the same way and no more.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.data.results.statistics import read_statistics

ACCELERATED = (
    "PlainOptions",
    "PlainStatistics",
    "PlainTrainOnly",
    "TaxiOptions",
    "TaxiStatistics",
    "TaxiTrainOnly",
)
pytestmark = pytest.mark.needs("tensorflow_data_validation")


@pytest.fixture(scope="module")
def statistics(run_both):
    return run_both("statistics")


def by_split(node):
    [uri] = node.uris["statistics"]
    return {folder.name: read_statistics(str(folder)) for folder in Path(uri).iterdir()}


def without_sums(statistics):
    """Return statistics without what depends on the order in which numbers are added up."""
    stripped = type(statistics)()
    stripped.CopyFrom(statistics)
    for dataset in stripped.datasets:
        for feature in dataset.features:
            feature.num_stats.ClearField("mean")
            feature.num_stats.ClearField("std_dev")
    return stripped


@pytest.mark.parametrize("node", ACCELERATED)
def test_accelerated_statistics_are_those_of_tfx_s(statistics, node):
    ours, theirs = by_split(statistics.ours[node]), by_split(statistics.tfx[node])
    assert ours.keys() == theirs.keys()
    for split in theirs:
        assert without_sums(ours[split]) == without_sums(theirs[split])


@pytest.mark.parametrize("node", ACCELERATED)
def test_means_and_deviations_differ_in_the_last_digits_alone(statistics, node):
    ours, theirs = by_split(statistics.ours[node]), by_split(statistics.tfx[node])
    for split in theirs:
        for one, other in zip(
            ours[split].datasets[0].features, theirs[split].datasets[0].features, strict=True
        ):
            assert one.num_stats.mean == pytest.approx(other.num_stats.mean, rel=1e-9)
            assert one.num_stats.std_dev == pytest.approx(other.num_stats.std_dev, rel=1e-9)


@pytest.mark.parametrize("node", ACCELERATED)
def test_accelerated_statistics_leave_the_metadata_of_tfx_s(statistics, node):
    ours, theirs = statistics.ours[node], statistics.tfx[node]
    assert ours.done_by == "accelerated"
    assert (ours.execution, ours.artifacts, ours.events) == (
        theirs.execution,
        theirs.artifacts,
        theirs.events,
    )


def test_a_sample_by_chance_is_left_to_tfx(statistics):
    assert statistics.ours["Sampled"].done_by == (
        "TFX's executor: the sample_rate of stats_options is set"
    )
