"""What an artifact was made from, and what was made from it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from penstock.errors import LineageError, RunError, suggestion
from penstock.metadata.graph import ExecutionRecord, Graph, read_ancestors, read_descendants
from penstock.metadata.protocol import Store
from penstock.metadata.reading import (
    ArtifactRecord,
    Link,
    links_of_executions,
    number_of,
    to_records,
)
from penstock.metadata.runs import find_run


@dataclass(frozen=True)
class Row:
    """A line of a tree of artifacts.

    `key` is the input under which what stands above was given this, or the output as which it was
    made from what stands above. What is `repeated` has its branches where it comes first, and so
    has what was made `along_with` another artifact. `others` is how many more artifacts the line
    stands for: all that were made from several artifacts are drawn below the first of these.
    """

    depth: int
    key: str
    artifact: ArtifactRecord
    maker: ExecutionRecord | None
    is_last: bool
    repeated: bool = False
    along_with: ArtifactRecord | None = None
    others: int = 0


@dataclass(frozen=True)
class _Branch:
    key: str
    artifact_id: int


@dataclass(frozen=True)
class _Group:
    """Branches that stand together; those with a name are drawn once."""

    branches: list[_Branch]
    name: tuple[int, int] | None = None


@dataclass(frozen=True)
class Lineage:
    """An artifact with all that it was made from, or with all that was made from it."""

    artifact: ArtifactRecord
    is_down: bool
    graph: Graph

    @property
    def maker(self) -> ExecutionRecord | None:
        """The execution that really made the artifact, in whichever run."""
        return self.graph.maker(self.artifact.artifact_id)

    def rows(self) -> Iterator[Row]:
        """Yield the tree from its root: each artifact's branches once, each execution's too."""
        tree = _Descending(self.graph) if self.is_down else _Ascending(self.graph)
        seen: set[int] = set()
        drawn: set[tuple[int, int]] = set()
        root = _Group([_Branch("", self.artifact.artifact_id)])
        waiting = [(0, root, True)]
        while waiting:
            depth, group, is_last = waiting.pop()
            if group.name is None and len(group.branches) == 1:
                [branch] = group.branches
                row = self._row(depth, branch, is_last, seen, tree)
                yield row
                if not row.repeated:
                    below = tree.below(branch.artifact_id)
                    waiting += _in_order(depth + 1, below, is_last=True)
            elif group.name in drawn:
                first = self._row(depth, group.branches[0], is_last, seen, tree)
                yield replace(first, repeated=True, others=len(group.branches) - 1)
            else:
                if group.name is not None:
                    drawn.add(group.name)
                waiting += _in_order(depth, [_Group([b]) for b in group.branches], is_last=is_last)

    def _row(self, depth: int, branch: _Branch, is_last: bool, seen: set[int], tree: _Tree) -> Row:
        artifact = self.graph.artifacts[branch.artifact_id]
        maker = self.graph.maker(branch.artifact_id)
        if branch.artifact_id in seen:
            return Row(depth, branch.key, artifact, maker, is_last, repeated=True)
        seen.add(branch.artifact_id)
        first = tree.drawn_with(branch.artifact_id)
        along_with = None if first is None else self.graph.artifacts[first]
        return Row(depth, branch.key, artifact, maker, is_last, along_with=along_with)

    def artifacts(self) -> list[ArtifactRecord]:
        """Return the artifacts of the tree, each once, the artifact itself first."""
        return list({row.artifact.artifact_id: row.artifact for row in self.rows()}.values())


def _in_order(depth: int, groups: list[_Group], *, is_last: bool) -> list[tuple[int, _Group, bool]]:
    """Return groups as they are put on a stack; `is_last` says whether the last has none after."""
    count = len(groups)
    return [(depth, groups[n], is_last and n == count - 1) for n in reversed(range(count))]


class _Tree(Protocol):
    def drawn_with(self, artifact_id: int) -> int | None: ...

    def below(self, artifact_id: int) -> list[_Group]: ...


class _Ascending:
    """Branches are what an artifact's maker was given, below the first that it made."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.first_of: dict[int, int] = {}

    def drawn_with(self, artifact_id: int) -> int | None:
        maker = self.graph.makers.get(artifact_id)
        if maker is None or not self.graph.inputs.get(maker):
            return None
        first = self.first_of.setdefault(maker, artifact_id)
        return None if first == artifact_id else first

    def below(self, artifact_id: int) -> list[_Group]:
        if self.drawn_with(artifact_id) is not None:
            return []
        inputs = _merged(self.graph.inputs_of(artifact_id))
        return [_Group(inputs)] if inputs else []


class _Descending:
    """Branches are what was made by those who were given an artifact, below the first of these."""

    def __init__(self, graph: Graph) -> None:
        self.inputs = {e: {link.artifact_id for link in links} for e, links in graph.inputs.items()}
        self.consumers: dict[int, list[int]] = {}
        for execution_id in sorted(self.inputs):
            for artifact_id in self.inputs[execution_id]:
                self.consumers.setdefault(artifact_id, []).append(execution_id)
        self.outputs: dict[int, dict[int, list[Link]]] = {}
        for execution_id, links in graph.outputs.items():
            by_maker = self.outputs.setdefault(execution_id, {})
            for link in links:
                maker = graph.makers.get(link.artifact_id, execution_id)
                by_maker.setdefault(maker, []).append(link)

    def drawn_with(self, artifact_id: int) -> int | None:
        return None

    def below(self, artifact_id: int) -> list[_Group]:
        groups = []
        for execution_id in self.consumers.get(artifact_id, ()):
            for maker, links in self.outputs.get(execution_id, {}).items():
                # What came from the cache stands below what its true maker was given.
                if maker != execution_id and artifact_id in self.inputs.get(maker, ()):
                    continue
                groups.append(_Group(_merged(tuple(links)), (execution_id, maker)))
        return groups


def _merged(links: tuple[Link, ...]) -> list[_Branch]:
    """Return artifacts once each, with all the keys that they have."""
    keys: dict[int, list[str]] = {}
    for link in links:
        keys_of_artifact = keys.setdefault(link.artifact_id, [])
        if link.key not in keys_of_artifact:
            keys_of_artifact.append(link.key)
    return [_Branch(", ".join(names), artifact_id) for artifact_id, names in keys.items()]


def ancestors(store: Store, artifact_id: int) -> Lineage:
    """Return an artifact with all that it was made from.

    Raises:
      LineageError: the store has no such artifact.
    """
    return _lineage(artifact_id, read_ancestors(store, [artifact_id]), is_down=False)


def descendants(store: Store, artifact_id: int) -> Lineage:
    """Return an artifact with all that was made from it.

    Raises:
      LineageError: the store has no such artifact.
    """
    return _lineage(artifact_id, read_descendants(store, [artifact_id]), is_down=True)


def _lineage(artifact_id: int, graph: Graph, *, is_down: bool) -> Lineage:
    if artifact_id not in graph.artifacts:
        raise LineageError(f"the store has no artifact {artifact_id}")
    return Lineage(graph.artifacts[artifact_id], is_down, graph)


def find_artifact(store: Store, named: str) -> ArtifactRecord:
    """Return an artifact by its id, its URI or path, a file in it, or as RUN/NODE/KEY.

    RUN is as in `find_run`; RUN/NODE is enough for a node with one output, and RUN/NODE/KEY/1
    stands for the second of several.

    Raises:
      LineageError: there is no such artifact.
    """
    if named.isdecimal():
        number = number_of(named)
        protos = [] if number is None else store.get_artifacts_by_id([number])
        if not protos:
            raise LineageError(
                f"the store has no artifact {named}",
                hint="penstock show RUN has the ids of a run's artifacts.",
            )
        return next(iter(to_records(store, protos).values()))
    artifact = _by_path(store, named)
    if artifact is None and not os.path.exists(named):
        artifact = _by_run(store, named)
    if artifact is None:
        raise LineageError(
            f"{named!r} is not an artifact that the store knows",
            hint="Name it by its id, by its path or that of a file in it, or as RUN/NODE/KEY; "
            "penstock show RUN has all of them.",
        )
    return artifact


def _by_path(store: Store, named: str) -> ArtifactRecord | None:
    """Find the artifact whose address is a path or a folder above it; the newest that is live."""
    if "://" in named:
        starts = [named.rstrip("/")]
    else:
        starts = list(dict.fromkeys([os.path.normpath(named), os.path.abspath(named)]))
        starts += [real for real in [os.path.realpath(named)] if real not in starts]
    for start in starts:
        path = start
        while path and path not in (os.sep, "."):
            protos = store.get_artifacts_by_uri(path)
            if protos:
                records = to_records(store, protos).values()
                return max(records, key=lambda a: (a.state == "live", a.artifact_id))
            path = os.path.dirname(path)
    return None


def _by_run(store: Store, named: str) -> ArtifactRecord | None:
    parts = named.split("/")
    if not 2 <= len(parts) <= 4 or not all(parts):
        return None
    try:
        run = find_run(store, parts[0])
    except RunError as error:
        if "fits several" in error.message:
            raise
        return None
    nodes = {node.node_id: node for node in run.nodes}
    if parts[1] not in nodes:
        raise LineageError(
            f"run {run.run_id} has no node {parts[1]!r}",
            hint=suggestion(parts[1], nodes, noun="node"),
        )
    links = links_of_executions(store, [nodes[parts[1]].execution_id])
    outputs = sorted(
        (link for link in links if link.is_output), key=lambda link: (link.key, link.index)
    )
    keys = sorted({link.key for link in outputs})
    key = parts[2] if len(parts) > 2 else keys[0] if len(keys) == 1 else ""
    chosen = [link for link in outputs if link.key == key]
    if len(chosen) > 1 and len(parts) < 4:
        raise LineageError(
            f"run {run.run_id}: node {parts[1]} has {len(chosen)} of {key!r}",
            hint=f"Say which: {'/'.join(parts[:2])}/{key}/0 to {len(chosen) - 1}.",
        )
    index = int(parts[3]) if len(parts) > 3 and parts[3].isdecimal() else 0
    if index >= len(chosen):
        node = f"run {run.run_id}: node {parts[1]} ({nodes[parts[1]].state})"
        if chosen:
            raise LineageError(f"{node} has {len(chosen)} of {key!r}; they count from 0")
        outputs_named = f"no output {key!r}" if key else f"{len(keys)} outputs"
        raise LineageError(f"{node} has {outputs_named}", hint=suggestion(key, keys, noun="output"))
    protos = store.get_artifacts_by_id([chosen[index].artifact_id])
    return next(iter(to_records(store, protos).values()))
