"""ImportExampleGen of TFX by our engine: the same records in the same splits and metadata.

TFX shuffles the records of a split, so they are equal as multisets.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

ACCELERATED = ("ByKey", "Bytes", "InputSplits", "Parted")
pytestmark = pytest.mark.needs("tensorflow")


@pytest.fixture(scope="module")
def imported(run_both):
    return run_both("imported")


@pytest.mark.parametrize("node", ACCELERATED)
def test_records_are_in_the_splits_of_tfx_s(imported, node):
    ours = imported.ours[node].records_by_split()
    assert sum(map(len, ours.values())) > 0
    assert ours == imported.tfx[node].records_by_split()


@pytest.mark.parametrize("node", ACCELERATED)
def test_they_leave_the_metadata_of_tfx_s(imported, node):
    ours, theirs = imported.ours[node], imported.tfx[node]
    assert ours.done_by == "accelerated"
    assert (ours.execution, ours.artifacts, ours.events) == (
        theirs.execution,
        theirs.artifacts,
        theirs.events,
    )


def test_data_views_are_made_and_used_by_tfx_s_executors(imported):
    def features(node):
        [uri] = node.uris["statistics"]
        [file] = Path(uri).glob("Split-train/*")
        read = statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read_bytes())
        return [(f.path.step[0], f.type) for f in read.datasets[0].features]

    ours, theirs = imported.ours["StatisticsGen"], imported.tfx["StatisticsGen"]
    assert ours.done_by == "TFX's executor: the examples are FORMAT_PROTO"
    assert features(ours) == features(theirs)
    assert [name for name, _ in features(ours)] == ["sparse_tensor"]
