"""How a node is tied to others: artifacts of this run, conditions, and what Kubeflow cannot do."""

from __future__ import annotations

from dataclasses import dataclass

from penstock import ir
from penstock.errors import PipelineError
from penstock.execution.schedule import Graph, Trigger, read_graph
from penstock.ir.reading import RUN_CONTEXT


@dataclass(frozen=True)
class Link:
    """An artifact of this run that a node takes under a key of its inputs."""

    key: str
    producer: str
    output: str
    type: str


def links(node: ir.Node) -> list[Link]:
    """Return what a node takes from other nodes of its run; the rest it finds in the store."""
    return [
        Link(
            key,
            channel.producer_node_query.id,
            channel.output_key,
            channel.artifact_query.type.name,
        )
        for key, spec in sorted(node.proto.inputs.inputs.items())
        for channel in spec.channels
        if any(query.type.name == RUN_CONTEXT for query in channel.context_queries)
        and channel.producer_node_query.id
    ]


def exit_handler(pipeline: ir.Pipeline) -> str | None:
    """Return the node that runs after all others, whatever has become of them, if there is one.

    Raises:
      PipelineError: Kubeflow cannot start a node as it asks for.
    """
    graph = read_graph(pipeline)
    handler = None
    for node in pipeline:
        node_id = node.id
        _refuse_what_never_works(graph, node)
        if graph.trigger(node_id) is Trigger.UPSTREAM_COMPLETED:
            if handler is not None:
                raise PipelineError(
                    f"nodes {handler} and {node_id} both start after others have completed in "
                    "whatever way, and Kubeflow Pipelines has one exit handler",
                    hint="Do the work of both in one node.",
                )
            handler = node_id
            _check_exit_handler(graph, node)
    if handler is not None and len(graph.upstream) == 1:
        raise PipelineError(f"node {handler} is the exit handler of a pipeline without other nodes")
    return handler


def _check_exit_handler(graph: Graph, node: ir.Node) -> None:
    node_id = node.id
    if node.conditions:
        raise PipelineError(
            f"node {node_id} starts after failures too, and only on a condition: Kubeflow "
            "Pipelines starts its exit handler always",
            hint="Decide inside the component.",
        )
    if after := graph.downstream(node_id):
        raise PipelineError(
            f"node {node_id} starts after failures too, and {', '.join(sorted(after))} after it: "
            "in Kubeflow Pipelines only the last node of a run can start after failures",
            hint=f"Let nothing depend on {node_id}, or start it when others have succeeded.",
        )
    if taken := links(node):
        raise PipelineError(
            f"node {node_id} starts after failures too, but takes {taken[0].key!r} from "
            f"{taken[0].producer}, which may not have made it",
            hint="Let it wait for nodes with add_upstream_node, and read what it needs from the "
            "metadata store.",
        )


def _refuse_what_never_works(graph: Graph, node: ir.Node) -> None:
    node_id = node.id
    trigger = graph.trigger(node_id)
    if trigger not in (Trigger.UPSTREAM_SUCCEEDED, Trigger.UPSTREAM_COMPLETED):
        raise PipelineError(
            f"node {node_id} starts {trigger.name.lower().replace('_', ' ')}: Kubeflow Pipelines "
            "starts a task as soon as those before it have ended",
            hint='Use start="succeeded", or start="completed" for the last node.',
        )
    if node_id in graph.optional and graph.downstream(node_id):
        raise PipelineError(
            f"node {node_id} is optional, and {', '.join(sorted(graph.downstream(node_id)))} after "
            "it: in Kubeflow Pipelines nothing runs after a failure but the exit handler",
            hint="Catch the failure inside the component and put out a value that says so.",
        )
    if node_id in graph.optional:
        raise PipelineError(
            f"node {node_id} is optional: in Kubeflow Pipelines a failed task fails its run",
            hint="Catch the failure inside the component.",
        )
    if node_id in graph.lifetimes:
        raise PipelineError(
            f"node {node_id} ends the lifetime of a resource, which Kubeflow Pipelines cannot do",
            hint='Let one node clean up at the end: with_options(node, start="completed").',
        )
    for graph_of_inputs in node.proto.inputs.input_graphs.values():
        for step in graph_of_inputs.nodes.values():
            if step.op_node.op_type.endswith("Unnest"):
                raise PipelineError(
                    f"node {node_id} runs once for each of several artifacts by TFX's ForEach, of "
                    "which Kubeflow Pipelines knows nothing",
                    hint="Write penstock's own: from penstock import ForEach.",
                )


def check_conditions(pipeline: ir.Pipeline) -> None:
    """Check that a node after one with a condition is skipped with it, as Kubeflow would do.

    Raises:
      PipelineError: it would run elsewhere.
    """
    graph = read_graph(pipeline)
    conditions = {node.id: node.conditions for node in pipeline}
    for name, own in conditions.items():
        if graph.trigger(name).takes_failures:
            continue
        for before in sorted(graph.upstream[name]):
            needed = frozenset([before]) in graph.required.get(name, ())
            if conditions[before] - own and not needed:
                raise PipelineError(
                    f"node {name} runs even if {before} is skipped for its condition: in Kubeflow "
                    "Pipelines what comes after a skipped task is skipped",
                    hint=f"Put {name} under the same condition, or take it out of the order after "
                    f"{before}.",
                )
