"""Running a part of a pipeline: which nodes run, and which only lend the outputs that they have.

The choice is written into the IR as TFX writes it: a node that does not run has the execution
option `skip`, with `reuse_artifacts` if others need what it made before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from penstock import ir
from penstock.errors import ParameterError, suggestion

# They do nothing but look up artifacts, which may have changed since.
_LOOKS_UP = (
    "tfx.dsl.components.common.importer.Importer",
    "tfx.dsl.components.common.resolver.Resolver",
)


def select_nodes(
    pipeline: Any,
    *,
    from_nodes: Collection[str] = (),
    to_nodes: Collection[str] = (),
    only: Collection[str] = (),
) -> Any:
    """Return a copy of the IR in which only some nodes run.

    `from_nodes` and `to_nodes` choose what lies between them, both included; `only` chooses just
    the nodes that it names. Importers and resolvers that the chosen nodes use run too.

    Raises:
      ParameterError: there is no such node, or nothing lies between them.
    """
    selected = type(pipeline)()
    selected.CopyFrom(pipeline)
    nodes = {node.node_info.id: node for node in ir.nodes(selected)}
    for option, names in (("--from", from_nodes), ("--to", to_nodes), ("--only", only)):
        for name in names:
            if name not in nodes:
                raise ParameterError(
                    f"{option}: pipeline {pipeline.pipeline_info.id} has no node {name!r}",
                    hint=suggestion(name, nodes, noun="node"),
                )
    if only and (from_nodes or to_nodes):
        raise ParameterError(
            "--only cannot stand beside --from or --to",
            hint="Name all nodes that are to run after --only.",
        )
    if not (from_nodes or to_nodes or only):
        return selected
    chosen = set(only) or _between(nodes, from_nodes, to_nodes)
    if not chosen:
        raise ParameterError(
            f"no node lies between --from {', '.join(from_nodes)} and --to {', '.join(to_nodes)}",
            hint="What is named after --to must depend on what is named after --from.",
        )
    _choose_lookups(nodes, chosen)
    lending = {name for node in chosen for name in producers(nodes[node])} - chosen
    for name, node in nodes.items():
        if name not in chosen:
            node.execution_options.skip.reuse_artifacts = name in lending
    return selected


def producers(node: Any) -> set[str]:
    """Return the nodes of the same pipeline whose outputs a node takes."""
    named = {
        channel.producer_node_query.id
        for spec in node.inputs.inputs.values()
        for channel in spec.channels
    }
    return named & set(node.upstream_nodes)


def chosen(pipeline: Any) -> list[str]:
    """Return the nodes of bound IR that are to run."""
    return [node.node_info.id for node in ir.nodes(pipeline) if not is_left_out(node)]


def is_left_out(node: Any) -> bool:
    """Whether a node of bound IR is not to run."""
    return bool(node.execution_options.HasField("skip"))


def lends(node: Any) -> bool:
    """Whether a node is not to run, but others need what it made before."""
    return is_left_out(node) and bool(node.execution_options.skip.reuse_artifacts)


def _between(
    nodes: Mapping[str, Any], from_nodes: Collection[str], to_nodes: Collection[str]
) -> set[str]:
    below = {name: node.downstream_nodes for name, node in nodes.items()}
    above = {name: node.upstream_nodes for name, node in nodes.items()}
    after = _reachable(from_nodes, below) if from_nodes else set(nodes)
    before = _reachable(to_nodes, above) if to_nodes else set(nodes)
    return after & before


def _reachable(start: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [other for other in edges[name] if other in edges]
    return found


def _choose_lookups(nodes: Mapping[str, Any], chosen: set[str]) -> None:
    waiting = list(chosen)
    while waiting:
        for name in producers(nodes[waiting.pop()]) - chosen:
            if nodes[name].node_info.type.name in _LOOKS_UP:
                chosen.add(name)
                waiting.append(name)
