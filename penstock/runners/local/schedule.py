"""Which nodes can run next: pure bookkeeping over a pipeline's graph."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock import ir


class State(enum.Enum):
    """What has become of a node so far."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CACHED = "cached"
    FAILED = "failed"
    CANCELED = "canceled"
    SKIPPED = "skipped"

    @property
    def final(self) -> bool:
        """Whether the node will change no more."""
        return self not in (State.WAITING, State.RUNNING)

    @property
    def successful(self) -> bool:
        """Whether the node's outputs can be used."""
        return self in (State.DONE, State.CACHED)


@dataclass(frozen=True)
class Graph:
    """Who waits for whom.

    `upstream` has for every node those that it waits for; `required` has, of those, the sets of
    which at least one must have made something, because a required input comes from them alone.
    """

    upstream: Mapping[str, frozenset[str]]
    required: Mapping[str, tuple[frozenset[str], ...]] = field(default_factory=dict)


def read_graph(pipeline: Any) -> Graph:
    """Read the graph of a pipeline's IR."""
    upstream, required = {}, {}
    names = set(ir.node_ids(pipeline))
    for node in ir.nodes(pipeline):
        name = node.node_info.id
        upstream[name] = frozenset(node.upstream_nodes) & names
        required[name] = tuple(
            producers
            for spec in node.inputs.inputs.values()
            if spec.min_count > 0
            and (
                producers := frozenset(c.producer_node_query.id for c in spec.channels)
                & upstream[name]
            )
        )
    return Graph(upstream, required)


def ready(graph: Graph, states: Mapping[str, State]) -> list[str]:
    """Return the waiting nodes whose upstream nodes are all through, in the pipeline's order."""
    return [
        name
        for name, upstream in graph.upstream.items()
        if states[name] is State.WAITING
        and all(states[u].final for u in upstream)
        and hopeless(graph, name, states) is None
    ]


def hopeless(graph: Graph, name: str, states: Mapping[str, State]) -> str | None:
    """Return why a waiting node can never run, or None if it still can."""
    for upstream in sorted(graph.upstream[name]):
        if states[upstream] is State.FAILED:
            return f"{upstream} failed"
        if states[upstream] is State.CANCELED:
            return f"{upstream} was canceled"
    for producers in graph.required.get(name, ()):
        if all(states[p] is State.SKIPPED for p in producers):
            return f"{', '.join(sorted(producers))} did not run"
    return None


def settle(graph: Graph, states: Mapping[str, State]) -> dict[str, str]:
    """Return the waiting nodes that can never run, with the reason, following all consequences."""
    settled: dict[str, str] = {}
    current = dict(states)
    changed = True
    while changed:
        changed = False
        for name in graph.upstream:
            if current[name] is not State.WAITING:
                continue
            reason = hopeless(graph, name, current) or _skipped_upstream(graph, name, settled)
            if reason:
                settled[name] = reason
                current[name] = State.SKIPPED
                changed = True
    return settled


def _skipped_upstream(graph: Graph, name: str, settled: Collection[str]) -> str | None:
    for upstream in sorted(graph.upstream[name]):
        if upstream in settled:
            return f"{upstream} did not run"
    return None
