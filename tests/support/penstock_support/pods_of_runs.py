"""The work of a strict server's runs, done on this machine by the time somebody asks for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from penstock.operations.starting.preparing import prepare
from penstock.project.config import Config
from penstock.testing import Silent
from penstock.testing.kubeflow import FakePipelines


@dataclass
class Pods:
    """Does the work of each run once, under its id, in the store of a profile.

    The server's runs, which have to be played with `hold`, come to their end with that.
    """

    config: Config
    server: FakePipelines
    pipeline: str = "flights"
    profile: str = "pods"
    done: set[str] = field(default_factory=set)

    def __call__(self, *_: Any) -> None:
        """Do the work of all runs that have none yet, without the nodes that deploy."""
        for run in self.server.runs:
            if run["run_id"] in self.done:
                continue
            self.done.add(run["run_id"])
            prepared = prepare(
                self.config.load_pipeline(self.pipeline),
                self.pipeline,
                self.config.profile(self.profile),
                {},
                display=Silent(),
                without_deployment=True,
            )
            result = prepared.runner.run(
                prepared.compiled, run_id=run["run_id"], raise_on_failure=False
            )
            self.server.set_state(run["run_id"], "SUCCEEDED" if result.succeeded else "FAILED")


def cluster_tables(host: str, store: str) -> str:
    """Return what penstock.toml says of an environment `cluster`, and of its pods."""
    return f"""
[environments.cluster]
profile = "cluster"
infra = false

[environments.cluster.gates.auc]
not_worse_than = "champion"

[environments.cluster.schedules.flights]
cron = "0 6 * * 1"

[profiles.cluster]
pipeline_root = "s3://bucket/root"
metadata = "{store}"

[profiles.cluster.kubeflow]
host = "{host}"
image = "registry.example/x:1"

[profiles.pods]
pipeline_root = "pods"
metadata = "{store}"
"""
