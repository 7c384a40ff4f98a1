"""Servers of stores, each started once, when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from penstock_support import servers

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[servers.Server]:
    with servers.mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[servers.Server]:
    with servers.postgresql() as server:
        yield server


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
