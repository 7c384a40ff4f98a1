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
from typing import Any

from penstock.errors import ParameterError
from penstock.project import cron
from penstock.project.intervals import parse_interval
from penstock.project.pods import PodOptions


@dataclass(frozen=True)
class ClusterSchedule:
    """A pipeline that `penstock apply` has a cluster run, by `cron` or `every` so often, as "6h".

    Without an `experiment` it is the profile's. One that is not `enabled` stands there and waits.
    """

    pipeline: str = ""
    cron: str = ""
    every: str = ""
    experiment: str = ""
    concurrency: int = 1
    catch_up: bool = False
    enabled: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.pipeline:
            raise ParameterError("the schedule names no pipeline", hint='pipeline = "NAME"')
        if bool(self.cron) == bool(self.every):
            raise ParameterError("expected either cron or every")
        if not 1 <= self.concurrency <= 10:
            raise ParameterError(f"concurrency should be 1 to 10, got {self.concurrency}")
        if self.cron:
            cron.parse(self.cron)
        else:
            parse_interval(self.every)


@dataclass(frozen=True)
class KubeflowOptions(PodOptions):
    """A profile's table `kubeflow`: where it is, and what pods have where `nodes` says no other.

    `core_image` is for nodes that need no more than Penstock's core; without it all have `image`.
    `project_folder` is where the image holds the folder of penstock.toml. `token_file` is where the
    token is, if it is a file's, which is read anew for each request. `cookies` are those of a
    session, where there is no token; `ca_certificate` is the file of an authority that the server's
    certificate is from; `pages` is the address of the server's pages, where it is not `host`.
    With `share_pods` small nodes that follow others share their pods; `small_nodes` are the names
    of those to take for small beside those that are known to be. `experiments`, `versions`
    (pipelines) and `schedules` are what `penstock apply` has the server
    have, and `project` is whose they are there, by default the name of the project's folder.
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
    share_pods: bool = False
    small_nodes: tuple[str, ...] = ()
    nodes: Mapping[str, PodOptions] = field(default_factory=dict)
    project: str = ""
    experiments: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    schedules: Mapping[str, ClusterSchedule] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.project_folder.startswith("/"):
            raise ParameterError(f"project_folder should be absolute, got {self.project_folder!r}")
        if self.small_nodes and not self.share_pods:
            raise ParameterError(
                f"small_nodes names {', '.join(self.small_nodes)}, and no nodes share pods",
                hint="Add share_pods = true.",
            )
        if self.token and self.token_file:
            raise ParameterError("there is a token and a token_file", hint="Leave one of them out.")

    def pod_of(self, node_id: str, own: PodOptions) -> PodOptions:
        """Return the options of a node's pod; `own` is what the pipeline itself says of it."""
        return self.overridden_by(own).overridden_by(self.nodes.get(node_id, PodOptions()))
