"""Connections to a server for tests that are as hasty as tests should be."""

from __future__ import annotations

from dataclasses import replace

from penstock.runners.kubeflow.contract import documents
from penstock.runners.kubeflow.server import connecting, operations, submission, versions
from penstock.runners.kubeflow.server.service import Patience, Service
from penstock_support.kubeflow_specs import GREETING

HASTY = Patience(
    connecting=5, reading=30, pauses=(0, 0), settling=(0, 0, 0), interval=0, sleep=lambda _: None
)


def begin_greeting(host: str) -> tuple[Service, str]:
    """Start a run of the pipeline `greeting` with n = 5; return the connection and its id."""
    service = connecting.connect(host)
    version = versions.upload(service, documents.read(GREETING))
    asked = submission.Request(
        source={"pipeline_version_reference": version.reference()},
        parameters={"n": 5},
        experiment_id=versions.experiment_id(service, "tests"),
        name="greeting",
    )
    return service, submission.submit(service, asked, "some-token").run_id


def await_end(service: Service, run_id: str) -> None:
    """Wait until a run has ended."""
    operations.wait(replace(service, patience=HASTY), run_id)
