"""The table `kubeflow` of a profile: a Kubeflow Pipelines installation, and what pods there have.

[profiles.cluster.kubeflow]
host = "https://kubeflow.example/pipeline"
token = "${env:KUBEFLOW_TOKEN}"
namespace = "team"
image = "registry.example/team/flights@sha256:…"
core_image = "registry.example/team/flights@sha256:…"
cpu = "1"
memory = "4Gi"
secrets = [{ secret = "metadata", key = "password", env = "STORE_PASSWORD" }]

[profiles.cluster.kubeflow.nodes.Trainer]
cpu = "8"
gpu = { type = "nvidia.com/gpu", count = 1 }
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock.errors import ParameterError
from penstock.project.pods import PodOptions


@dataclass(frozen=True)
class KubeflowOptions(PodOptions):
    """A profile's table `kubeflow`: where it is, and what pods have where `nodes` says no other.

    `core_image` is for nodes that need no more than Penstock's core; without it all have `image`.
    `project_folder` is where the image holds the folder of penstock.toml. `token_file` is where the
    token is, if it is a file's, which is read anew for each request. `cookies` are those of a
    session, where there is no token; `ca_certificate` is the file of an authority that the server's
    certificate is from; `pages` is the address of the server's pages, where it is not `host`.
    """

    host: str = ""
    token: str = ""
    token_file: str = ""
    cookies: str = ""
    ca_certificate: str = ""
    pages: str = ""
    namespace: str = ""
    experiment: str = ""
    service_account: str = ""
    project_folder: str = "/app"
    core_image: str = ""
    nodes: Mapping[str, PodOptions] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.project_folder.startswith("/"):
            raise ParameterError(f"project_folder should be absolute, got {self.project_folder!r}")
        if self.token and self.token_file:
            raise ParameterError("there is a token and a token_file", hint="Leave one of them out.")

    def pod_of(self, node_id: str, own: PodOptions) -> PodOptions:
        """Return the options of a node's pod; `own` is what the pipeline itself says of it."""
        return self.overridden_by(own).overridden_by(self.nodes.get(node_id, PodOptions()))
