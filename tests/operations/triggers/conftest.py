"""Servers of stores, each started once, when the first test asks for it."""

from __future__ import annotations

from itertools import count

import pytest

from penstock_support import servers
from penstock_support.store_fixtures import mariadb, postgresql  # noqa: F401  # found by name

_NUMBERS = count(1)


@pytest.fixture(params=["sqlite", "mariadb", "postgresql"])
def metadata(request, monkeypatch) -> str:
    """The address of a store that does not exist yet, as penstock.toml may have it."""
    if request.param == "sqlite":
        return "metadata.sqlite"
    monkeypatch.setenv("STORE_PASSWORD", servers.PASSWORD)
    server = request.getfixturevalue(request.param)
    reference = "${env:STORE_PASSWORD}"
    host = f"127.0.0.1:{server.port}"
    return f"{server.scheme}://{servers.USER}:{reference}@{host}/triggers_{next(_NUMBERS)}"
