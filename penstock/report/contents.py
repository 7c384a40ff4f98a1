"""A run with all that the store knows of it: its nodes, what they were given and what they made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from penstock.ir.reading import RUN_CONTEXT
from penstock.metadata.graph import ExecutionRecord, read_makers
from penstock.metadata.layout import run_folder
from penstock.metadata.protocol import Store
from penstock.metadata.reading import (
    ArtifactRecord,
    Link,
    links_of_executions,
    read_artifacts,
)
from penstock.metadata.run_requests import PlannedNode, run_environment, run_graph, run_root
from penstock.metadata.runs import NodeRecord, RunRecord, find_run

# How a node stands of which the store has no execution.
WAITING, NOT_RUN, NOT_ASKED = "waiting", "not run", "left out"


@dataclass(frozen=True)
class Output:
    """An artifact that a node made or found in the cache; `maker` is its true maker."""

    node_id: str
    key: str
    artifact: ArtifactRecord
    maker: ExecutionRecord | None = None


@dataclass(frozen=True)
class RunNode:
    """A node of a run's pipeline; `record` is None where it never began.

    `upstream` are the nodes that it waits for; `lent_by` the other runs that have made what it
    found in the cache or by resolving.
    """

    node_id: str
    state: str
    upstream: tuple[str, ...] = ()
    record: NodeRecord | None = None
    inputs: tuple[Output, ...] = ()
    outputs: tuple[Output, ...] = ()
    lent_by: tuple[str, ...] = ()

    @property
    def seconds(self) -> float | None:
        """How long its work took; None where it did none, or nobody knows yet."""
        if self.record is None or self.record.cached or self.state == "running":
            return None
        return float(self.record.measured.get("wall_seconds", self.record.seconds))


@dataclass(frozen=True)
class RunContents:
    """A run, its nodes in an order in which they can run, and where it keeps its logs."""

    run: RunRecord
    nodes: tuple[RunNode, ...]
    log_folder: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def outputs(self, type_name: str) -> Iterator[Output]:
        """Yield the artifacts of a type that nodes of this run made, or found in the cache.

        What a resolver or an importer hands on belongs to other runs.
        """
        for node in self.nodes:
            for output in node.outputs:
                maker = output.maker
                is_own = maker is None or maker.node.node_id == node.node_id
                if output.artifact.type_name == type_name and is_own:
                    yield output

    def node(self, node_id: str) -> RunNode | None:
        """Return a node by its name."""
        return next((node for node in self.nodes if node.node_id == node_id), None)


def read_run(store: Store, run_id: str) -> RunContents:
    """Read a run; `run_id` is as `find_run` takes it.

    Raises:
      RunError: there is no such run.
    """
    run = find_run(store, run_id)
    context = store.get_context_by_type_and_name(RUN_CONTEXT, run.run_id)
    # Of several executions of a node, tried again, the last one counts.
    records = {node.node_id: node for node in run.nodes}
    links = links_of_executions(store, [node.execution_id for node in records.values()])
    artifacts = read_artifacts(store, {link.artifact_id for link in links})
    makers = read_makers(store, artifacts)
    planned = run_graph(context) or _from_links(records, links)
    planned += [PlannedNode(name) for name in records if name not in {p.node_id for p in planned}]
    by_execution: dict[int, list[Link]] = {}
    for link in sorted(links, key=lambda link: (link.key, link.index)):
        by_execution.setdefault(link.execution_id, []).append(link)
    nodes = []
    for plan in planned:
        record = records.get(plan.node_id)
        own_links = by_execution.get(record.execution_id, []) if record else []
        inputs, outputs = (
            tuple(
                Output(plan.node_id, _key_of(link), artifacts[link.artifact_id],
                       makers.get(link.artifact_id))
                for link in own_links
                if link.is_output is is_output and link.artifact_id in artifacts
            )
            for is_output in (False, True)
        )  # fmt: skip
        lenders = {o.maker.run_id for o in outputs if o.maker} - {run.run_id}
        nodes.append(
            RunNode(
                plan.node_id,
                record.state if record else state_without_record(plan, run.state),
                plan.upstream,
                record,
                inputs,
                outputs,
                tuple(sorted(lenders)),
            )
        )
    root = run_root(context)
    return RunContents(
        run,
        tuple(nodes),
        run_folder(root, run.run_id) if root else "",
        run_environment(context),
    )


def state_without_record(plan: PlannedNode, run_state: str) -> str:
    """Return how a node stands that has not begun."""
    if not plan.takes_part:
        return NOT_ASKED
    return WAITING if run_state == "running" else NOT_RUN


def _from_links(records: Mapping[str, NodeRecord], links: list[Link]) -> list[PlannedNode]:
    """Return the graph of a run of another runner: who was given what others made."""
    names = {record.execution_id: name for name, record in records.items()}
    makers: dict[int, set[str]] = {}
    for link in links:
        if link.is_output:
            makers.setdefault(link.artifact_id, set()).add(names[link.execution_id])
    upstream: dict[str, set[str]] = {name: set() for name in records}
    for link in links:
        if not link.is_output:
            name = names[link.execution_id]
            # A resolver hands on what others made: where both have it, the maker counts.
            upstream[name] |= makers.get(link.artifact_id, set()) - {name}
    return [PlannedNode(name, tuple(sorted(before))) for name, before in upstream.items()]


def _key_of(link: Link) -> str:
    return f"{link.key}[{link.index}]" if link.index else link.key
