"""Database servers that tests take away."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from penstock_support import servers
from penstock_support.outages import Proxy, proxy_to

_NUMBERS = count(1)


@pytest.fixture(scope="session", params=["mariadb", "postgresql"])
def started(request) -> Iterator[servers.Instance]:
    start = {"mariadb": servers.mariadb_instance, "postgresql": servers.postgresql_instance}
    with start[request.param]() as started:
        yield started


@pytest.fixture
def instance(started) -> Iterator[servers.Instance]:
    """A server that the test may take away; it is there again for the next one."""
    yield started
    if not started.runs:
        started.start()


@pytest.fixture
def address(instance) -> str:
    return instance.server.address(f"outage_{next(_NUMBERS)}")


@pytest.fixture
def proxy(instance) -> Iterator[Proxy]:
    with proxy_to(instance.server.port) as proxy:
        yield proxy


@pytest.fixture
def cut_address(instance, proxy) -> str:
    """The address of a database whose network the test may cut."""
    address = instance.server.address(f"outage_{next(_NUMBERS)}")
    return address.replace(f":{instance.server.port}/", f":{proxy.port}/")
