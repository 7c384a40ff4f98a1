"""Fixtures of stores of every kind. Servers are started once, when the first test asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count

import pytest

from penstock_support import metadata_servers, servers

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[servers.Server]:
    with servers.mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[servers.Server]:
    with servers.postgresql() as server:
        yield server


@pytest.fixture(scope="session", params=["mariadb", "postgresql"])
def server(request) -> servers.Server:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module", params=["sqlite", "mariadb", "postgresql", "grpc"])
def new_address(request, tmp_path_factory):
    """Return a function that gives the address of a store that does not exist yet."""
    with ExitStack() as running:

        def address() -> str:
            name = f"store_{next(_NUMBERS)}"
            if request.param in ("sqlite", "grpc"):
                path = str(tmp_path_factory.mktemp("store") / f"{name}.sqlite")
                if request.param == "sqlite":
                    return path
                served = running.enter_context(metadata_servers.serving(path))
                return f"grpc://localhost:{served.port}"
            return request.getfixturevalue(request.param).address(name)

        yield address
