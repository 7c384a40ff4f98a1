"""A project that is deployed, and a look into the store that it is deployed to."""

from __future__ import annotations

import pytest

from penstock.metadata.store import connect
from penstock_support import delivered_project as project
from penstock_support.delivered_project import deploying


@pytest.fixture
def config(tmp_path):
    return project.write(tmp_path)


@pytest.fixture
def look(config):
    """Return a function that reads something of the production store."""

    def read(function, *arguments):
        with connect(deploying(config).connection) as metadata:
            return function(metadata.store, *arguments)

    return read
