"""Which workers do the parts of a node's work: those of this machine, or of a cluster."""

from __future__ import annotations

import os
import sys

from penstock.data.parallel.ahead import WorkersAhead
from penstock.data.parallel.workers import LocalWorkers, Workers
from penstock.project.clusters import Cluster, SparkOptions

# Compressed data beyond which several processes are worth their start.
LARGE_BYTES = 8 << 20

# Each process has a model of its own, whose framework has threads of its own.
_MOST_MODELS = 4
_ACCELERATORS = ("/dev/nvidia0", "/dev/kfd", "/dev/accel0")


def workers_with_models(cluster: Cluster | None, data_bytes: int) -> Workers:
    """Return who asks a model about data of some size, each for itself.

    On this machine that is one process where there is little to do, or an accelerator, whose
    memory a framework takes as its own.
    """
    return workers_of(cluster, _models_here(data_bytes))


def workers_ahead(cluster: Cluster | None, data_bytes: int) -> Workers:
    """Return who does the parts of some work in the course of which TensorFlow starts here.

    On this machine they are forked where their block begins, before that: as many as would each
    have a model, since each starts TensorFlow too.
    """
    return workers_of(cluster) if cluster is not None else WorkersAhead(_models_here(data_bytes))


def _models_here(data_bytes: int) -> int:
    is_one = data_bytes <= LARGE_BYTES or any(map(os.path.exists, _ACCELERATORS))
    return 1 if is_one else _MOST_MODELS


def workers_of(cluster: Cluster | None, at_most: int = sys.maxsize) -> Workers:
    """Return the workers of a cluster; without one those of this machine, `at_most` so many."""
    if cluster is None:
        return LocalWorkers(at_most)
    if isinstance(cluster, SparkOptions):
        from penstock.data.parallel.on_spark import SparkWorkers

        return SparkWorkers(cluster)
    from penstock.data.parallel.on_ray import RayWorkers

    return RayWorkers(cluster)
