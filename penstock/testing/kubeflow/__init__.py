"""A server of Kubeflow Pipelines for tests: real HTTP on this machine, no cluster.

    with FakePipelines() as server:
        client = kfp.Client(host=server.host)
        ...
        server.faults.append(Fault(FaultKind.DROP_AFTER, "POST", "/runs"))

It answers to the paths of API v2beta1 that clients use, and is stricter than the real one where
that lets mistakes pass: fields, paths and documents that it does not know are refused. Runs go on
with every look at them, so that tests need not wait.
"""

from __future__ import annotations

from penstock.testing.kubeflow.playing import Play
from penstock.testing.kubeflow.server import FakePipelines, Fault, FaultKind

__all__ = ["FakePipelines", "Fault", "FaultKind", "Play"]
