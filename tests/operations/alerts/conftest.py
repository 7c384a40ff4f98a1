"""Stores of every kind, and one in a file for what does not ask which."""

from __future__ import annotations

import pytest

from penstock.metadata.store import connect, connection_config
from penstock_support.store_fixtures import (  # noqa: F401  # found by their names
    mariadb,
    new_address,
    postgresql,
)


@pytest.fixture
def address(tmp_path) -> str:
    return str(tmp_path / "metadata.sqlite")


@pytest.fixture
def store(address):
    with connect(connection_config(address)) as metadata:
        yield metadata.store
