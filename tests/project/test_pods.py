from __future__ import annotations

import pytest

from penstock.config import read_config
from penstock.errors import ConfigError, ParameterError
from penstock.pods import Gpu, PodOptions, Secret, Toleration, Volume
from penstock.project.kubeflow import KubeflowOptions

FULL = """
[profiles.cluster.kubeflow]
host = "https://kubeflow.example/pipeline"
token = "${env:KUBEFLOW_TOKEN}"
image = "registry.example/taxi:1"
image_pull_secrets = ["registry"]
memory = "4Gi"
node_selector = { pool = "cpu" }
tolerations = [{ key = "spot", operator = "Exists", effect = "NoExecute", seconds = 60 }]
secrets = [{ secret = "store", key = "password", env = "STORE_PASSWORD" }]
volumes = [{ claim = "raw-data", path = "/data" }]

[profiles.cluster.kubeflow.nodes.Trainer]
memory = "16Gi"
gpu = { count = 2 }
node_selector = { pool = "gpu" }
secrets = [{ secret = "hub", path = "/etc/hub" }]
"""


@pytest.fixture
def options(tmp_path):
    def read(text: str) -> KubeflowOptions:
        path = tmp_path / "penstock.toml"
        path.write_text(text)
        return read_config(path).profile("cluster").kubeflow

    return read


def test_a_profile_has_a_table_for_kubeflow(options):
    found = options(FULL)
    assert found.host == "https://kubeflow.example/pipeline"
    assert found.token == "${env:KUBEFLOW_TOKEN}"
    assert found.tolerations == (Toleration("spot", "Exists", "", "NoExecute", 60),)
    assert found.volumes == (Volume("raw-data", "/data"),)


def test_what_a_profile_says_of_a_node_wins_over_the_pipeline_and_that_over_all_nodes(options):
    pod = options(FULL).pod_of("Trainer", PodOptions(memory="8Gi", cpu="2"))
    assert (pod.memory, pod.cpu, pod.gpu) == ("16Gi", "2", Gpu("nvidia.com/gpu", 2))
    assert pod.node_selector == {"pool": "gpu"}
    assert options(FULL).pod_of("Pusher", PodOptions()).memory == "4Gi"


def test_lists_of_a_node_are_added_to_those_of_all_nodes(options):
    pod = options(FULL).pod_of("Trainer", PodOptions())
    assert [secret.secret for secret in pod.secrets] == ["store", "hub"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('imgae = "a"', "the key 'imgae' is not known.*profiles.cluster.kubeflow.*'image'"),
        ("memory = 4", "expected text, got 4.*profiles.cluster.kubeflow.memory"),
        ('memory = "4 Gb"', "memory should be a Kubernetes quantity, got '4 Gb'"),
        ('image_pull_policy = "never"', "image_pull_policy 'never' is not known.*'Never'"),
        ('volumes = [{ claim = "raw" }]', r"the key 'path' is missing.*kubeflow.volumes\[0\]"),
        ('volumes = [{ claim = "raw", path = "data" }]', "path should be absolute, got 'data'"),
        ('secrets = [{ secret = "a", key = "b" }]', "the secret 'a' should have key and env"),
        ('tolerations = [{ operator = "exists" }]', "operator 'exists' is not known.*'Exists'"),
        ("gpu = { count = 0 }", r"count should be 1 or more, got 0.*kubeflow.gpu"),
        ('nodes = { Trainer = { cpus = "1" } }', "'cpus' is not known.*kubeflow.nodes.Trainer"),
        ('token = "s3cret"', "a token is written down.*kubeflow.token"),
        ('project_folder = "app"', "project_folder should be absolute, got 'app'"),
    ],
)
def test_a_wrong_line_is_told_with_its_place(options, line, told):
    with pytest.raises(ConfigError, match=told):
        options(f"[profiles.cluster.kubeflow]\n{line}\n")


def test_options_in_python_are_checked_too():
    with pytest.raises(ParameterError, match="cpu should be a Kubernetes quantity, got 'two'"):
        PodOptions(cpu="two")
    with pytest.raises(ParameterError, match="the secret 'a' should have key and env"):
        Secret("a")
