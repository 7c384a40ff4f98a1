"""ImportExampleGen of TFX by our engine: the same records in the same splits and metadata.

TFX shuffles the records of a split, so they are equal as multisets.
"""

from __future__ import annotations

import pytest

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
