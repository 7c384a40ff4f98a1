"""Where a pod finds minio://: as the launcher does, of whichever release it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.runners.kubeflow.pod.object_store import ServiceAccount, find_minio
from penstock.testing.kubernetes import KubernetesServer

MODEL = "minio://mlpipeline/v2/artifacts/flights/run-1/trainer/model"
NOBODY = ServiceAccount(Path("/nowhere"))


@pytest.fixture
def cluster(tmp_path):
    """An API, and a pod's account there, in the namespace `team`."""
    (tmp_path / "namespace").write_text("team")
    (tmp_path / "token").write_text("let me in\n")
    with KubernetesServer(token="let me in") as server:
        yield server, ServiceAccount(tmp_path, server.url)


def configured(cluster, providers):
    server, account = cluster
    name = "kfp-launcher"
    server.objects["ConfigMap", "team", name] = {
        "metadata": {"name": name},
        "data": {"defaultPipelineRoot": "", "providers": providers},
    }
    return find_minio([MODEL], {}, account, lambda _: False)


def test_the_launcher_s_configuration_says_where_it_is(cluster):
    providers = "minio: {default: {endpoint: 'minio.data:9000', disableSSL: true}}"
    assert configured(cluster, providers) == "http://minio.data:9000"


def test_a_store_is_asked_over_tls_unless_the_configuration_says_no(cluster):
    assert configured(cluster, "minio: {default: {endpoint: minio.data}}") == "https://minio.data"


def test_what_is_said_of_a_bucket_and_prefix_counts_first(cluster):
    providers = """
minio:
  default: {endpoint: minio.data, disableSSL: true}
  Overrides:
    - {bucketName: mlpipeline, keyPrefix: v1, endpoint: old.data}
    - {bucketName: mlpipeline, keyPrefix: v2/artifacts, endpoint: new.data}
    - {bucketName: mlpipeline, endpoint: other.data}
"""
    assert configured(cluster, providers) == "http://new.data"


@pytest.mark.parametrize("providers", ["", "s3: {default: {endpoint: x}}", "minio: [1", "minio: 7"])
def test_without_one_it_is_the_service_that_there_is(cluster, providers):
    assert configured(cluster, providers) == "http://seaweedfs.kubeflow:9000"


def test_a_configuration_that_may_not_be_read_is_none():
    assert find_minio([MODEL], {}, NOBODY, lambda _: True) == "http://seaweedfs.kubeflow:9000"


def test_older_releases_bring_minio():
    endpoint = find_minio([MODEL], {}, NOBODY, lambda host: host.startswith("minio-service"))
    assert endpoint == "http://minio-service.kubeflow:9000"


def test_a_service_of_the_pod_s_own_namespace_counts_before_that_of_kubeflow():
    environment = {"MINIO_SERVICE_SERVICE_HOST": "10.0.0.7"}
    assert find_minio([MODEL], environment, NOBODY, lambda _: True) == "http://10.0.0.7:9000"


def test_nobody_looks_where_the_environment_says_it():
    environment = {"AWS_ENDPOINT_URL": "http://minio"}
    assert find_minio([MODEL], environment, NOBODY, lambda _: True) == ""


def test_nobody_looks_for_artifacts_elsewhere():
    assert find_minio(["s3://bucket/model"], {}, NOBODY, lambda _: True) == ""
