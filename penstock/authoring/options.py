"""How a node is executed: with or without cache, how often, for how long, and when it starts."""

from __future__ import annotations

from typing import Any

from penstock import _tfx
from penstock.errors import ParameterError, suggestion
from penstock.project.clusters import Cluster
from penstock.project.intervals import parse_interval
from penstock.project.pods import PodOptions
from penstock.project.retrying import Retries

TRIGGERS = {
    "succeeded": "ALL_UPSTREAM_NODES_SUCCEEDED",
    "completed": "ALL_UPSTREAM_NODES_COMPLETED",
    "lazily_succeeded": "LAZILY_ALL_UPSTREAM_NODES_SUCCEEDED",
    "lazily_completed": "LAZILY_ALL_UPSTREAM_NODES_COMPLETED",
}
_CACHE = "penstock_cache"
_CACHE_SECONDS = "penstock_cache_seconds"
_POD = "penstock_pod"
_RETRIES = "penstock_retries"
_ACCELERATE = "penstock_accelerate"


def with_options(
    node: Any,
    *,
    cache: bool | str = True,
    retries: int | Retries = 0,
    timeout_seconds: int = 0,
    optional: bool = False,
    start: str = "succeeded",
    pod: PodOptions | None = None,
    accelerate: bool = True,
    cluster: Cluster | None = None,
) -> Any:
    """Set how a node is executed, and return it; for any node, ours or TFX's.

    `cache=False` runs it whatever earlier runs have made, and `cache="7d"` where they made it more
    than seven days ago (30m, 6h, 1d12h). A node that fails is tried again as often
    as `retries` says, which may also say after which failures, and when; `timeout_seconds` ends
    each try, 0 never. The failure of an `optional` node fails neither the run nor the nodes after
    it. `start` says what must have become of the nodes before it: "succeeded", or "completed" in
    whatever way; with "lazily_succeeded" and "lazily_completed" it also waits until a node after it
    waits for nothing else. `pod` is what the node asks of Kubernetes, where it runs there. With
    `accelerate=False` TFX's own executor does the work of a node of TFX's, also where Penstock has
    an engine for it. `cluster` is the Spark or Ray whose workers do the parts of its work.

    Raises:
      ParameterError: a value is not possible.
    """
    if start not in TRIGGERS:
        raise ParameterError(
            f"{node.id}.with_options: start {start!r} is not known",
            hint=suggestion(start, TRIGGERS),
        )
    if not isinstance(retries, Retries):
        try:
            retries = Retries(retries)
        except ParameterError as error:
            raise ParameterError(f"{node.id}.with_options: {error.message}") from None
    if type(timeout_seconds) is not int or timeout_seconds < 0:
        raise ParameterError(
            f"{node.id}.with_options: timeout_seconds should be a whole number from 0, got "
            f"{timeout_seconds!r}"
        )
    try:
        cache_seconds = parse_interval(cache) if isinstance(cache, str) else 0
    except ParameterError as error:
        raise ParameterError(
            f"{node.id}.with_options: cache should be True, False or how old what it takes may be: "
            f"{error.message}"
        ) from None
    node.node_execution_options = _tfx.NodeExecutionOptions(
        trigger_strategy=_tfx.pipeline_pb2.NodeExecutionOptions.TriggerStrategy.Value(
            TRIGGERS[start]
        ),
        success_optional=optional,
        max_execution_retries=retries.count,
        execution_timeout_sec=timeout_seconds,
    )
    setattr(node, _CACHE, bool(cache))
    setattr(node, _CACHE_SECONDS, cache_seconds)
    setattr(node, _ACCELERATE, accelerate)
    setattr(node, _RETRIES, retries)
    if pod is not None:
        setattr(node, _POD, pod)
    if cluster is not None:
        _set_cluster(node, cluster)
    return node


def _set_cluster(node: Any, cluster: Cluster) -> None:
    if not hasattr(node, "with_beam_pipeline_args"):
        raise ParameterError(
            f"{node.id}.with_options: its work has no parts that {cluster} could do",
            hint="Components whose function takes BeamOptions have.",
        )
    node.with_beam_pipeline_args(cluster.args)


def uses_cache(node: Any) -> bool:
    """Whether a node, as far as it has a say, may take what earlier runs have made."""
    return bool(getattr(node, _CACHE, True))


def cache_seconds_of(node: Any) -> int:
    """Return how old what a node takes from earlier runs may be, in seconds, 0 for any age."""
    return int(getattr(node, _CACHE_SECONDS, 0))


def may_accelerate(node: Any) -> bool:
    """Whether a node, as far as it has a say, may be worked by an engine of ours."""
    return bool(getattr(node, _ACCELERATE, True))


def retries_of(node: Any) -> Retries:
    """Return how a node is tried again, as far as it says so itself."""
    own = getattr(node, _RETRIES, Retries())
    return own if isinstance(own, Retries) else Retries()


def pod_options(node: Any) -> PodOptions | None:
    """Return what a node asks of Kubernetes, if it asks for anything."""
    return getattr(node, _POD, None)
