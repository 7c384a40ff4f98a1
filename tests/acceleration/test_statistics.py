"""StatisticsGen of TFX by our engine: the same statistics, and the same metadata.

TFX reads the rows of a split in no order of its own and adds up means and deviations in it, so two
of its own runs differ in their last digits; ours differ from TFX's in the same way and no more. The
quantiles of very many distinct numbers come from sketches, whose answer depends on the batches in
which rows come; it is within TFDV's epsilon of the true rank.
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


def test_quantiles_of_very_many_numbers_are_as_near_as_tfdv_promises(tmp_path):
    import apache_beam as beam
    import numpy as np
    import pyarrow as pa
    import tensorflow_data_validation as tfdv

    from penstock.components.statistics_gen.in_process import statistics_of_batches

    numbers = np.random.default_rng(0).gamma(2.0, size=200_000)

    def batches(size: int) -> list[pa.RecordBatch]:
        return [
            pa.RecordBatch.from_arrays(
                [pa.array(part.reshape(-1, 1).tolist(), pa.list_(pa.float64()))], ["x"]
            )
            for part in np.array_split(numbers, len(numbers) // size)
        ]

    options = tfdv.StatsOptions()
    path = str(tmp_path / "FeatureStats.pb")
    with beam.Pipeline() as pipeline:
        _ = (
            pipeline
            | beam.Create(batches(1_000))
            | tfdv.GenerateStatistics(options)
            | tfdv.WriteStatisticsToBinaryFile(path)
        )
    ordered = np.sort(numbers)
    ranks = []
    for found in (statistics_of_batches(batches(20_000), options), read_statistics(str(tmp_path))):
        [quantiles] = [
            h for h in found.datasets[0].features[0].num_stats.histograms if h.type == h.QUANTILES
        ]
        edges = [bucket.high_value for bucket in quantiles.buckets]
        ranks.append(np.searchsorted(ordered, edges) / len(ordered))
    ours, theirs = ranks
    assert len(ours) == len(theirs)
    assert np.abs(ours - theirs).max() < 2 * options.epsilon
