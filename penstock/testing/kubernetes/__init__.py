"""A strict API of Kubernetes for tests, with KServe's InferenceServices and with ConfigMaps.

    with KubernetesServer() as server:
        services = InferenceServices.connect("flights", "models", "sklearn", url=server.url)

It checks objects by their schemas, keeps versions of resources and generations, and splits callers
between revisions as KServe does on Knative.
"""

from __future__ import annotations

from penstock.testing.kubernetes.server import KubernetesServer

__all__ = ["KubernetesServer"]
