"""Running a part of a pipeline: which nodes run, and which only lend the outputs that they have.

The choice is written into the IR as TFX writes it: a node that does not run has the execution
option `skip`, which says whether the run must have what the node made before, or is to have it if
it is there: a later part of the pipeline may need it, and takes all from one run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from penstock import _tfx
from penstock.errors import ParameterError, suggestion
from penstock.ir.view import Node, view


def select_nodes(
    pipeline: _tfx.PipelineProto,
    *,
    from_nodes: Collection[str] = (),
    to_nodes: Collection[str] = (),
    only: Collection[str] = (),
) -> _tfx.PipelineProto:
    """Return a copy of the IR in which only some nodes run.

    `from_nodes` and `to_nodes` choose what lies between them, both included; `only` chooses just
    the nodes that it names. Importers and resolvers that the chosen nodes use run too.

    Raises:
      ParameterError: there is no such node, or nothing lies between them.
    """
    selected = type(pipeline)()
    selected.CopyFrom(pipeline)
    nodes = view(selected).nodes
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
    lending = {name for node in chosen for name in nodes[node].producers} - chosen
    # What a node of a loop has made is known by the items, which another one may have made.
    _choose_sources(nodes, chosen, lending)
    below = {name: node.proto.downstream_nodes for name, node in nodes.items()}
    stale = _reachable(chosen, below)
    for entry in selected.nodes:
        name = entry.pipeline_node.node_info.id
        if name not in chosen:
            skip = entry.pipeline_node.execution_options.skip
            skip.reuse_artifacts_mode = (
                skip.REQUIRED
                if name in lending
                else skip.OPTIONAL
                if name not in stale and _may_lend(nodes[name])
                else skip.NEVER
            )
    return selected


def without_deployment(pipeline: _tfx.PipelineProto) -> _tfx.PipelineProto:
    """Return a copy of the IR without the nodes that deploy, and without what comes after them.

    Those are the ones whose execution type is derived from TFX's Deploy: Pushers of all kinds, and
    registrars. What is left has the same fingerprints as in the whole.
    """
    reduced = type(pipeline)()
    reduced.CopyFrom(pipeline)
    nodes = view(reduced).nodes
    below = {name: node.proto.downstream_nodes for name, node in nodes.items()}
    deploying = [name for name, node in nodes.items() if node.deploys]
    gone = _reachable(deploying, below)
    kept = [entry for entry in reduced.nodes if entry.pipeline_node.node_info.id not in gone]
    del reduced.nodes[:]
    reduced.nodes.extend(kept)
    for entry in reduced.nodes:
        after = [name for name in entry.pipeline_node.downstream_nodes if name not in gone]
        entry.pipeline_node.downstream_nodes[:] = after
    return reduced


def _may_lend(node: Node) -> bool:
    """Whether a run is to have what a node made before though none of its nodes need it.

    Lookups are always made anew, and what was deployed is not deployed again.
    """
    return not (node.works_in_store or node.deploys)


def _between(
    nodes: Mapping[str, Node], from_nodes: Collection[str], to_nodes: Collection[str]
) -> set[str]:
    below = {name: node.proto.downstream_nodes for name, node in nodes.items()}
    above = {name: node.upstream for name, node in nodes.items()}
    after = _reachable(from_nodes, below) if from_nodes else set(nodes)
    before = _reachable(to_nodes, above) if to_nodes else set(nodes)
    return after & before


def _reachable(start: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [other for other in edges[name] if other in edges]
    return reached


def _choose_sources(nodes: Mapping[str, Node], chosen: set[str], lending: set[str]) -> None:
    waiting = list(lending)
    while waiting:
        for name in {p for loop in nodes[waiting.pop()].loops for p in loop.producers} - chosen:
            if name not in lending:
                lending.add(name)
                waiting.append(name)


def _choose_lookups(nodes: Mapping[str, Node], chosen: set[str]) -> None:
    waiting = list(chosen)
    while waiting:
        for name in nodes[waiting.pop()].producers - chosen:
            # It does nothing but look up artifacts, which may have changed since.
            if nodes[name].works_in_store:
                chosen.add(name)
                waiting.append(name)
