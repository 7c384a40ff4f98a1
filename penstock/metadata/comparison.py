"""Two runs side by side: what was asked for, what they read, which code ran, what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from penstock.metadata.evaluations import metrics_of
from penstock.metadata.graph import read_makers
from penstock.metadata.protocol import Store
from penstock.metadata.reading import ArtifactRecord, Link, links_of_executions, read_artifacts
from penstock.metadata.runs import NodeRecord, RunRecord, find_run

_DATA_PROPERTIES = ("span", "version", "input_fingerprint")
# A node's time is told where it differs by more than noise.
_SECONDS, _SHARE = 1.0, 0.2


@dataclass(frozen=True)
class Difference:
    """Something that both runs could have, as each has it; None where it has not."""

    name: str
    first: Any
    second: Any
    is_different: bool


@dataclass(frozen=True)
class MetricDifference:
    """A metric of both runs; `difference` is the second less the first, where both have it."""

    name: str
    first: float | None
    second: float | None

    @property
    def difference(self) -> float | None:
        """The second less the first."""
        if self.first is None or self.second is None:
            return None
        return self.second - self.first

    @property
    def is_different(self) -> bool:
        """Whether the two differ at all."""
        return self.first != self.second


@dataclass(frozen=True)
class NodeComparison:
    """A node as each run had it; None where it did not run."""

    node_id: str
    first: NodeRecord | None
    second: NodeRecord | None

    @property
    def is_different(self) -> bool:
        """Whether their states differ, or their times by more than noise."""
        if self.first is None or self.second is None or self.first.state != self.second.state:
            return True
        times = sorted((seconds_of(self.first), seconds_of(self.second)))
        return times[1] - times[0] > max(_SECONDS, _SHARE * times[0])


@dataclass(frozen=True)
class RunComparison:
    """Two runs and how they differ.

    `parameters` are the pipeline's, `node_parameters` those of its nodes as `node.parameter`.
    `data` is what ExampleGens read; `code` the digests of files and components as `node: file`;
    `artifacts` what nodes made, and what they were given from outside of their run.
    """

    first: RunRecord
    second: RunRecord
    parameters: tuple[Difference, ...]
    node_parameters: tuple[Difference, ...]
    data: tuple[Difference, ...]
    code: tuple[Difference, ...]
    artifacts: tuple[Difference, ...]
    metrics: tuple[MetricDifference, ...]
    nodes: tuple[NodeComparison, ...]


def seconds_of(node: NodeRecord) -> float:
    """Return how long a node worked, or was in the store's books if nobody measured."""
    return float(node.measured.get("wall_seconds", node.seconds))


def compare_runs(store: Store, first: str, second: str) -> RunComparison:
    """Compare two runs, named as `find_run` takes them.

    Raises:
      RunError: one of them is not there.
    """
    one, other = (_Contents(store, find_run(store, name)) for name in (first, second))
    node_ids = list(dict.fromkeys([*one.nodes, *other.nodes]))
    return RunComparison(
        one.run,
        other.run,
        _differences(one.run.parameters, other.run.parameters),
        _differences(one.node_parameters(), other.node_parameters()),
        _differences(one.data(), other.data()),
        _differences(one.code(), other.code()),
        _artifact_differences(one.artifacts(), other.artifacts()),
        tuple(
            MetricDifference(name, values[0], values[1])
            for name, values in _pairs(one.metrics(), other.metrics()).items()
        ),
        tuple(NodeComparison(n, one.nodes.get(n), other.nodes.get(n)) for n in node_ids),
    )


class _Contents:
    """A run with the artifacts that its nodes made and were given."""

    def __init__(self, store: Store, run: RunRecord) -> None:
        self.run = run
        # Of several executions of a node, tried again, the last one counts.
        self.nodes = {node.node_id: node for node in run.nodes}
        ids = {node.execution_id: node.node_id for node in self.nodes.values()}
        self.links: dict[str, list[Link]] = {}
        links = links_of_executions(store, ids)
        for link in sorted(links, key=lambda link: (link.key, link.index)):
            self.links.setdefault(ids[link.execution_id], []).append(link)
        self.records = read_artifacts(store, {link.artifact_id for link in links})
        self.produced = {link.artifact_id for link in links if link.is_output}
        self._take_over_from_makers(store)

    def _take_over_from_makers(self, store: Store) -> None:
        """Give a cached node the parameters that only its maker computed, as fingerprints."""
        outputs = {
            link.artifact_id: node_id
            for node_id, links in self.links.items()
            for link in links
            if link.is_output and self.nodes[node_id].cached
        }
        for artifact_id, maker in read_makers(store, outputs).items():
            node = self.nodes[outputs[artifact_id]]
            parameters = {**maker.node.parameters, **node.parameters}
            self.nodes[node.node_id] = replace(node, parameters=parameters)

    def node_parameters(self) -> dict[str, Any]:
        return {
            f"{node.node_id}.{name}": value
            for node in self.nodes.values()
            for name, value in node.parameters.items()
            if name not in _DATA_PROPERTIES
        }

    def code(self) -> dict[str, str]:
        return {
            f"{node.node_id}: {file}": digest
            for node in self.nodes.values()
            for file, digest in node.code.items()
        }

    def data(self) -> dict[str, Any]:
        figures: dict[str, Any] = {}
        for node_id, key, record in self._outputs():
            if record.type_name == "Examples" and "input_fingerprint" in record.properties:
                for name in _DATA_PROPERTIES:
                    if name in record.properties:
                        figures[f"{node_id}.{key} {name}"] = record.properties[name]
        return figures

    def artifacts(self) -> dict[str, ArtifactRecord]:
        records = {f"{node_id}.{key}": record for node_id, key, record in self._outputs()}
        for node_id, links in self.links.items():
            for link in links:
                if not link.is_output and link.artifact_id not in self.produced:
                    name = f"{node_id}, given {_key_of(link)}"
                    records[name] = self.records[link.artifact_id]
        return records

    def metrics(self) -> dict[str, float]:
        evaluations = [
            (node_id, record)
            for node_id, _, record in self._outputs()
            if record.type_name == "ModelEvaluation"
        ]
        several = len(evaluations) > 1
        return {
            f"{node_id}.{metric.name}" if several else metric.name: metric.value
            for node_id, record in evaluations
            for metric in metrics_of(record)
        }

    def _outputs(self) -> Iterable[tuple[str, str, ArtifactRecord]]:
        for node_id, links in self.links.items():
            for link in links:
                if link.is_output:
                    yield node_id, _key_of(link), self.records[link.artifact_id]


def _key_of(link: Link) -> str:
    return f"{link.key}[{link.index}]" if link.index else link.key


def _pairs(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (first.get(name), second.get(name)) for name in [*first, *second]}


def _differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[Difference, ...]:
    return tuple(
        Difference(name, one, other, _recorded_text(one) != _recorded_text(other))
        for name, (one, other) in _pairs(first, second).items()
    )


def _recorded_text(value: Any) -> Any:
    """Return a truth value as TFX may have recorded it: a finished node's as such, else as JSON."""
    return json.dumps(value) if isinstance(value, bool) else value


def _artifact_differences(
    first: Mapping[str, ArtifactRecord], second: Mapping[str, ArtifactRecord]
) -> tuple[Difference, ...]:
    return tuple(
        Difference(name, one, other, not _is_same(one, other))
        for name, (one, other) in _pairs(first, second).items()
    )


def _is_same(one: ArtifactRecord | None, other: ArtifactRecord | None) -> bool:
    if one is None or other is None:
        return one is other
    if one.digest and other.digest:
        return one.digest == other.digest
    return one.artifact_id == other.artifact_id
