"""Part of the graph of artifacts and executions, read level by level.

ML Metadata's own `get_lineage_subgraph` would be one call, but it stops after a hundred hops
without saying so: a model that was trained on from another, night after night, has more ancestors
than that. Here a level takes three calls, however many artifacts are in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.metadata.protocol import Store
from penstock.metadata.reading import (
    ArtifactRecord,
    Link,
    Place,
    links_of_artifacts,
    links_of_executions,
    places_of,
    read_artifacts,
    read_executions,
)
from penstock.metadata.runs import NodeRecord, read_node


@dataclass(frozen=True)
class ExecutionRecord:
    """An execution with the run that it belongs to."""

    node: NodeRecord
    run_id: str = ""
    pipeline_name: str = ""
    type_name: str = ""

    @property
    def execution_id(self) -> int:
        """Its id in the store."""
        return self.node.execution_id


@dataclass(frozen=True)
class Graph:
    """Artifacts and executions by id, and the links between them by the execution's id."""

    artifacts: Mapping[int, ArtifactRecord] = field(default_factory=dict)
    executions: Mapping[int, ExecutionRecord] = field(default_factory=dict)
    inputs: Mapping[int, tuple[Link, ...]] = field(default_factory=dict)
    outputs: Mapping[int, tuple[Link, ...]] = field(default_factory=dict)
    makers: Mapping[int, int] = field(default_factory=dict)

    def maker(self, artifact_id: int) -> ExecutionRecord | None:
        """Return the execution that really made an artifact, not one that found it in the cache."""
        return self.executions.get(self.makers.get(artifact_id, 0))

    def inputs_of(self, artifact_id: int) -> tuple[Link, ...]:
        """Return what the maker of an artifact was given."""
        return self.inputs.get(self.makers.get(artifact_id, 0), ())

    def nearest_first(self, artifact_id: int) -> Iterator[ArtifactRecord]:
        """Yield an artifact and all that it was made from, the nearest first."""
        level, seen = [artifact_id], {artifact_id}
        while level:
            above: list[int] = []
            for artifact in level:
                if artifact in self.artifacts:
                    yield self.artifacts[artifact]
                for link in self.inputs_of(artifact):
                    if link.artifact_id not in seen:
                        seen.add(link.artifact_id)
                        above.append(link.artifact_id)
            level = above

    def is_ingested(self, examples: ArtifactRecord) -> bool:
        """Return whether examples came from outside, and not from other examples."""
        inputs = self.inputs_of(examples.artifact_id)
        return not any(self.artifacts[link.artifact_id].type_name == "Examples" for link in inputs)


def read_ancestors(store: Store, artifact_ids: Iterable[int]) -> Graph:
    """Read all that artifacts were made from, with all that was made along with it."""
    reading = _Reading(store)
    level = set(artifact_ids)
    reached = set(level)
    while level:
        makers = reading.find_makers(level)
        reading.read_links(makers)
        level = {
            link.artifact_id
            for execution_id in makers
            for link in reading.links[execution_id]
            if not link.is_output
        } - reached
        reached |= level
    return reading.graph()


def read_descendants(store: Store, artifact_ids: Iterable[int]) -> Graph:
    """Read all that was made from artifacts; what only stands in the cache has its maker too."""
    reading = _Reading(store)
    level = set(artifact_ids)
    reached = set(level)
    while level:
        reading.find_makers(level)
        consumers = {
            link.execution_id
            for artifact_id in level
            for link in reading.touching[artifact_id]
            if not link.is_output
        }
        reading.read_links(consumers)
        level = {
            link.artifact_id
            for execution_id in consumers
            for link in reading.links[execution_id]
            if link.is_output
        } - reached
        reached |= level
    reading.read_links(set(reading.makers.values()))
    return reading.graph()


def read_makers(store: Store, artifact_ids: Iterable[int]) -> dict[int, ExecutionRecord]:
    """Return which executions really made artifacts, by the artifacts' ids."""
    reading = _Reading(store)
    reading.find_makers(set(artifact_ids))
    graph = reading.graph()
    return {a: graph.executions[maker] for a, maker in graph.makers.items()}


class _Reading:
    """What was read so far."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.touching: dict[int, list[Link]] = {}
        self.links: dict[int, list[Link]] = {}
        self.protos: dict[int, Any] = {}
        self.makers: dict[int, int] = {}

    def find_makers(self, artifact_ids: set[int]) -> set[int]:
        for artifact_id in artifact_ids:
            self.touching.setdefault(artifact_id, [])
        for link in links_of_artifacts(self.store, artifact_ids):
            self.touching[link.artifact_id].append(link)
        claimed = {a: claiming(self.touching[a]) for a in artifact_ids}
        self.read_protos(e for executions in claimed.values() for e in executions)
        true_makers = {a: true_maker(executions, self.protos) for a, executions in claimed.items()}
        self.makers.update({a: maker for a, maker in true_makers.items() if maker})
        return {maker for maker in true_makers.values() if maker}

    def read_links(self, execution_ids: set[int]) -> None:
        new = execution_ids - self.links.keys()
        for execution_id in new:
            self.links[execution_id] = []
        for link in links_of_executions(self.store, new):
            self.links[link.execution_id].append(link)
        self.read_protos(new)

    def read_protos(self, execution_ids: Iterable[int]) -> None:
        new = set(execution_ids) - self.protos.keys()
        self.protos.update(read_executions(self.store, new))

    def graph(self) -> Graph:
        mentioned = {link.artifact_id for links in self.links.values() for link in links}
        for execution_id, links in self.links.items():
            if self.protos[execution_id].last_known_state != self.protos[execution_id].CACHED:
                for link in links:
                    if link.is_output:
                        self.makers.setdefault(link.artifact_id, execution_id)
        return make_graph(
            read_artifacts(self.store, mentioned | self.touching.keys()),
            self.protos,
            places_of(self.store, self.protos),
            [link for links in self.links.values() for link in links],
            self.makers,
        )


def claiming(links: Iterable[Link]) -> list[int]:
    """Return the executions that say that an artifact is their output, oldest first."""
    return sorted({link.execution_id for link in links if link.is_output})


def true_maker(executions: list[int], protos: Mapping[int, Any]) -> int:
    """Return the first of some executions that did not find its output in the cache, or 0."""
    recorded = [e for e in executions if e in protos]
    uncached = [e for e in recorded if protos[e].last_known_state != protos[e].CACHED]
    return (uncached or recorded or [0])[0]


def make_graph(
    artifacts: Mapping[int, ArtifactRecord],
    protos: Mapping[int, Any],
    places: Mapping[int, Place],
    links: Iterable[Link],
    makers: Mapping[int, int],
) -> Graph:
    """Put together what was read."""
    executions = {}
    for execution_id, proto in protos.items():
        place = places.get(execution_id, Place())
        executions[execution_id] = ExecutionRecord(
            read_node(place.node_id, proto), place.run_id, place.pipeline_name, proto.type
        )
    inputs: dict[int, list[Link]] = {}
    outputs: dict[int, list[Link]] = {}
    for link in sorted(links, key=lambda link: (link.execution_id, link.key, link.index)):
        (outputs if link.is_output else inputs).setdefault(link.execution_id, []).append(link)
    return Graph(
        artifacts,
        executions,
        {execution_id: tuple(own_links) for execution_id, own_links in inputs.items()},
        {execution_id: tuple(own_links) for execution_id, own_links in outputs.items()},
        dict(makers),
    )
