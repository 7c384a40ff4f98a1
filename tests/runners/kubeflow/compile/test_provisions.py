"""What pods are not given, and what is said of it when a pipeline is compiled."""

from __future__ import annotations

from dataclasses import replace

from penstock.pods import Secret
from penstock_support import pod_components
from penstock_support.kubeflow_pipelines import STORE_PASSWORD, cluster


def test_pods_that_cannot_read_what_a_resolver_finds_are_told_with_the_keys(compiled):
    profile = replace(cluster(), pipeline_root="minio://mlpipeline/v2")
    made = compiled(pod_components.small, profile=profile)
    [warning] = made.warnings
    assert warning.startswith("Resolver, Trains read artifacts of earlier runs, and their")
    assert 'secret = "mlpipeline-minio-artifact", key = "accesskey"' in warning


def test_pods_with_the_keys_of_the_store_are_not_told_of(compiled):
    keys = [
        Secret("mlpipeline-minio-artifact", key=key, env=env)
        for key, env in (
            ("accesskey", "AWS_ACCESS_KEY_ID"),
            ("secretkey", "AWS_SECRET_ACCESS_KEY"),
        )
    ]
    profile = replace(cluster(secrets=(STORE_PASSWORD, *keys)), pipeline_root="")
    assert compiled(pod_components.small, profile=profile).warnings == ()


def test_a_service_account_is_not_known_to_the_store_that_kubeflow_brings(compiled):
    profile = replace(cluster(service_account="pipeline-runner"), pipeline_root="")
    [warning] = compiled(pod_components.small, profile=profile).warnings
    assert warning.endswith("the store of a cloud that knows the pods' service account")


def test_a_store_of_a_cloud_may_know_the_pods(compiled):
    profile = replace(cluster(), pipeline_root="gs://artifacts/runs")
    assert compiled(pod_components.small, profile=profile).warnings == ()
