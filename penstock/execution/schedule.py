"""Which nodes can run next: pure bookkeeping over a pipeline's graph."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from penstock import ir
from penstock.errors import PipelineError


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


class Trigger(enum.Enum):
    """When a node starts; the values are the numbers of TFX's `TriggerStrategy`."""

    UPSTREAM_SUCCEEDED = 1
    UPSTREAM_COMPLETED = 2
    LAZILY_UPSTREAM_COMPLETED = 4
    LAZILY_UPSTREAM_SUCCEEDED = 5
    LIFETIME_END = 6

    @property
    def takes_failures(self) -> bool:
        """Whether the node starts also where nodes before it have failed or did not run."""
        return self not in (Trigger.UPSTREAM_SUCCEEDED, Trigger.LAZILY_UPSTREAM_SUCCEEDED)

    @property
    def lazy(self) -> bool:
        """Whether the node waits until somebody after it needs nothing else."""
        return self in (Trigger.LAZILY_UPSTREAM_COMPLETED, Trigger.LAZILY_UPSTREAM_SUCCEEDED)


@dataclass(frozen=True)
class Graph:
    """Who waits for whom.

    `upstream` has for every node those that it waits for; `required` has, of those, the sets of
    which at least one must have made something, because a required input comes from them alone.
    `triggers` has the nodes that do not start as usual; `lifetimes` has, for a node that ends the
    lifetime of a resource, the node that starts it. The failure of an `optional` node counts as
    success to those after it.
    """

    upstream: Mapping[str, frozenset[str]]
    required: Mapping[str, tuple[frozenset[str], ...]] = field(default_factory=dict)
    triggers: Mapping[str, Trigger] = field(default_factory=dict)
    lifetimes: Mapping[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()

    def trigger(self, name: str) -> Trigger:
        """Return when a node starts."""
        return self.triggers.get(name, Trigger.UPSTREAM_SUCCEEDED)

    def downstream(self, name: str) -> list[str]:
        """Return the nodes that wait for a node."""
        return [other for other, upstream in self.upstream.items() if name in upstream]


def read_graph(pipeline: ir.Pipeline) -> Graph:
    """Read the graph of a pipeline; nodes that are left out of the run are not in it.

    Raises:
      PipelineError: a node is to start in a way that is not known.
    """
    upstream, required, triggers, lifetimes, optional = {}, {}, {}, {}, set()
    taking_part = [node for node in pipeline if node.lends or not node.is_left_out]
    names = {node.id for node in taking_part}
    for node in taking_part:
        name = node.id
        upstream[name] = frozenset() if node.lends else frozenset(node.upstream) & names
        required[name] = tuple(
            producers
            for spec in node.proto.inputs.inputs.values()
            if spec.min_count > 0
            and (
                producers := frozenset(c.producer_node_query.id for c in spec.channels)
                & upstream[name]
            )
        )
        options = node.proto.execution_options
        if options.strategy:
            triggers[name] = _trigger(name, options.strategy)
        if options.resource_lifetime.lifetime_start:
            lifetimes[name] = options.resource_lifetime.lifetime_start
        if node.is_optional:
            optional.add(name)
    return Graph(upstream, required, triggers, lifetimes, frozenset(optional))


def _trigger(name: str, number: int) -> Trigger:
    try:
        return Trigger(number)
    except ValueError:
        raise PipelineError(
            f"node {name}: the trigger strategy {number} is not known",
            hint="Use ALL_UPSTREAM_NODES_SUCCEEDED or ALL_UPSTREAM_NODES_COMPLETED.",
        ) from None


def ready(graph: Graph, states: Mapping[str, State]) -> list[str]:
    """Return the waiting nodes that can start, in the pipeline's order."""
    return [
        name
        for name, upstream in graph.upstream.items()
        if states[name] is State.WAITING
        and all(states[u].final for u in upstream)
        and hopeless(graph, name, states) is None
        and not (graph.trigger(name).lazy and _can_wait(graph, name, states))
    ]


def hopeless(graph: Graph, name: str, states: Mapping[str, State]) -> str | None:
    """Return why a waiting node can never run, or None if it still can."""
    trigger = graph.trigger(name)
    for upstream in sorted(graph.upstream[name]):
        if states[upstream] is State.CANCELED:
            return f"{upstream} was canceled"
        failed = states[upstream] is State.FAILED and upstream not in graph.optional
        if failed and not trigger.takes_failures:
            return f"{upstream} failed"
    for producers in graph.required.get(name, ()):
        if all(states[p].final and not states[p].successful for p in producers):
            return f"{', '.join(sorted(producers))} did not run"
    start = graph.lifetimes.get(name)
    if start and states[start].final and not states[start].successful:
        return f"{start}, which begins its lifetime, did not run"
    # Only of those is it asked who waits for them, which is to look at the whole graph.
    users = graph.downstream(name) if trigger.lazy else []
    if users and all(states[user].final for user in users):
        return f"{', '.join(sorted(users))}, for which it runs, did not run"
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


def _can_wait(graph: Graph, name: str, states: Mapping[str, State]) -> bool:
    """Whether all nodes after a lazy one wait for others that are not lazy, too."""
    users = [user for user in graph.downstream(name) if not states[user].final]
    return bool(users) and all(
        any(
            not states[other].final and not graph.trigger(other).lazy
            for other in graph.upstream[user]
        )
        or (graph.trigger(user).lazy and _can_wait(graph, user, states))
        for user in users
    )


def _skipped_upstream(graph: Graph, name: str, settled: Collection[str]) -> str | None:
    if graph.trigger(name).takes_failures:
        return None
    for upstream in sorted(graph.upstream[name]):
        if upstream in settled:
            return f"{upstream} did not run"
    return None
