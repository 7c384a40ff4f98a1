"""What was deployed and approved, as the store has it."""

from __future__ import annotations

import pytest

from penstock.errors import ParameterError
from penstock.metadata import journal
from penstock.metadata.store import connect, connection_config
from penstock.operations.delivery import records

pytestmark = pytest.mark.core

ONE, OTHER = "ab" * 12, "ab" * 4 + "cd" * 8


@pytest.fixture
def store(tmp_path):
    """A store in which two fingerprints of the pipeline were deployed."""
    with connect(connection_config(str(tmp_path / "metadata.sqlite"))) as metadata:
        entry = None
        for fingerprint in (ONE, OTHER):
            intent = {"kind": records.DEPLOY, "fingerprint": fingerprint}
            name = records.journal_of("staging", "flights")
            entry = journal.append(metadata.store, name, intent, after=entry, who="ann")
        yield metadata.store


def test_a_fingerprint_is_known_by_its_beginning(store):
    assert records.whole_fingerprint(store, "flights", ONE[:12]) == ONE


def test_a_whole_fingerprint_may_be_of_what_was_never_deployed(store):
    assert records.whole_fingerprint(store, "flights", "0" * 24) == "0" * 24


@pytest.mark.parametrize(
    ("pipeline", "beginning", "came"),
    [
        ("flights", ONE[:8], "2 of its deployments have one that begins with 'abababab'"),
        ("flights", "0123", "none of its deployments has one that begins with '0123'"),
        ("penguins", ONE[:12], "expected the fingerprint of a deployment of penguins"),
    ],
)
def test_what_begins_no_fingerprint_is_not_approved(store, pipeline, beginning, came):
    with pytest.raises(ParameterError, match=came):
        records.whole_fingerprint(store, pipeline, beginning)
