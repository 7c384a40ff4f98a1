"""TFX's `ForEach`, read as a loop of ours: TFX's IR has it as a function of a node's inputs.

The function takes the artifacts of one input apart, and TFX lets a node run for each of them. A
node in such a loop becomes one of ours over these artifacts, and what it takes of an item takes
them from where the function's input does.
"""

from __future__ import annotations

from typing import Any

from penstock import _tfx
from penstock.ir.loops import ARTIFACTS, LoopSpec, Source
from penstock.ir.reading import placeholder_keys

_UNNEST = "tfx.internal.Unnest"


def unnest(ir: _tfx.PipelineProto) -> dict[str, tuple[LoopSpec, ...]]:
    """Let inputs that TFX takes apart be those of loops of ours; return the loops by their node.

    What else TFX does with artifacts before it takes them apart stays as it is.
    """
    loops: dict[str, tuple[LoopSpec, ...]] = {}
    for entry in ir.nodes:
        node = entry.pipeline_node
        graphs = node.inputs.input_graphs
        taken_apart = {name: key for name, graph in graphs.items() if (key := _unnested(graph))}
        if len(taken_apart) == 1:
            [(name, key)] = taken_apart.items()
            loop = _unnest_inputs(node, name, key)
            if loop is not None:
                loops[node.node_info.id] = (loop,)
    return loops


def _unnested(graph: Any) -> str:
    """Return the input whose artifacts a function takes apart, "" if it does anything else."""
    last = graph.nodes.get(graph.result_node)
    if last is None or last.op_node.op_type != _UNNEST or len(last.op_node.args) != 1:
        return ""
    parts = graph.nodes[last.op_node.args[0].node_id].dict_node.node_ids
    if len(parts) != 1 or len(graph.nodes) != 3:
        return ""
    [part] = parts.values()
    return str(graph.nodes[part].input_node.input_key)


def _unnest_inputs(node: _tfx.NodeProto, graph: str, key: str) -> LoopSpec | None:
    inputs = node.inputs.inputs
    taken = [key, *inputs[key].mixed_inputs.input_keys]
    channels = [channel for name in taken for channel in inputs[name].channels]
    sources = tuple(Source(c.producer_node_query.id, c.output_key) for c in channels)
    if not sources or not all(source.node and source.key for source in sources):
        return None  # artifacts of other pipelines
    items = [name for name, spec in inputs.items() if spec.input_graph_ref.graph_id == graph]
    for name in items:
        spec = inputs[name]
        spec.ClearField("input_graph_ref")
        spec.channels.extend(channels)
    looked_at = {
        name
        for condition in node.inputs.conditionals.values()
        for name in placeholder_keys(condition.placeholder_expression)
    }
    for name in taken:
        if inputs[name].hidden and name not in looked_at:
            del inputs[name]
    del node.inputs.input_graphs[graph]
    shown = " and ".join(f"{source.node}.{source.key}" for source in sources)
    name = f"ForEach({shown}) of {node.node_info.id}"
    return LoopSpec(name, ARTIFACTS, sources, tuple(sorted(items)))
