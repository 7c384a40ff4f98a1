"""Which workers do the parts of a node's work: those of this machine, or of a cluster."""

from __future__ import annotations

from penstock.data.parallel.workers import LocalWorkers, Workers
from penstock.project.clusters import Cluster, SparkOptions


def workers_of(cluster: Cluster | None) -> Workers:
    """Return the workers of a cluster; without one those of this machine."""
    if cluster is None:
        return LocalWorkers()
    if isinstance(cluster, SparkOptions):
        from penstock.data.parallel.on_spark import SparkWorkers

        return SparkWorkers(cluster)
    from penstock.data.parallel.on_ray import RayWorkers

    return RayWorkers(cluster)
