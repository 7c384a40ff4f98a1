"""ImportExampleGen of TFX by our engine: the same records in the same splits and metadata.

TFX shuffles the records of a split, so they are equal as multisets.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.data.coding.example_proto import example_class
from penstock.data.data_files import record_files
from penstock.data.records import read_serialized

ACCELERATED = ("ByKey", "Bytes", "InputSplits", "Parted")
pytestmark = pytest.mark.needs("tensorflow")


@pytest.fixture(scope="module")
def imported(run_both):
    return run_both("imported")


def records_by_split(node) -> dict[str, list[bytes]]:
    [uri] = node.uris["examples"]

    def canonical(record: bytes) -> bytes:
        return example_class().FromString(record).SerializeToString(deterministic=True)

    return {
        folder.name: sorted(map(canonical, read_serialized(record_files(str(folder)))))
        for folder in Path(uri).iterdir()
    }


@pytest.mark.parametrize("node", ACCELERATED)
def test_records_are_in_the_splits_of_tfx_s(imported, node):
    ours = records_by_split(imported.ours[node])
    assert sum(map(len, ours.values())) > 0
    assert ours == records_by_split(imported.tfx[node])


@pytest.mark.parametrize("node", ACCELERATED)
def test_they_leave_the_metadata_of_tfx_s(imported, node):
    ours, theirs = imported.ours[node], imported.tfx[node]
    assert ours.done_by == "accelerated"
    assert (ours.execution, ours.artifacts, ours.events) == (
        theirs.execution,
        theirs.artifacts,
        theirs.events,
    )
