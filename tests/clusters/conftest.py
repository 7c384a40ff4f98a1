"""A Spark and a Ray, started once: tests that kill a part of one start their own."""

from __future__ import annotations

import os

import pytest

from penstock.data.parallel.choosing import workers_of
from penstock_support.clusters import connect_jar, ray_cluster, spark_cluster, spark_connect


@pytest.fixture(scope="session", autouse=True)
def without_tokens():
    """Let Ray talk to the Ray of these tests without tokens, which are the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "RAY_AUTH_MODE", "disabled")
        yield


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    with spark_cluster(tmp_path_factory.mktemp("spark")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def ray(tmp_path_factory):
    with ray_cluster(tmp_path_factory.mktemp("ray")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def connect(tmp_path_factory):
    with spark_connect(tmp_path_factory.mktemp("connect")) as cluster:
        yield cluster


@pytest.fixture(
    params=[
        "spark",
        "ray",
        pytest.param(
            "connect",
            marks=pytest.mark.skipif(
                connect_jar() is None,
                reason="there is no server of Spark Connect: `make more-services-beam` fetches it",
            ),
        ),
    ]
)
def cluster(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def workers(cluster):
    with workers_of(cluster.options) as started:
        yield started
