"""Pipelines that stand in a pipeline as its nodes: their nodes are put in their place.

TFX's compiler writes such a pipeline as a sub-pipeline with a node for its begin, which hands on
what the pipeline takes, and one for its end, which hands on what it puts out. Who takes from these
takes from whom they have it; what they wait for, and under which conditions, holds for each node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock import _tfx
from penstock.authoring.for_each import OF_LOOP
from penstock.ir.loops import Source
from penstock.ir.parameters import RUN_ID
from penstock.ir.reading import RUN_CONTEXT, deployment, placeholders

_BEGIN, _END = "_begin", "_end"
# Between the name of a pipeline and that of a node in it.
SEPARATOR = "."


def inline(ir: _tfx.PipelineProto) -> dict[tuple[str, str], tuple[Source, ...]]:
    """Put the nodes of all pipelines that are in the pipeline in their place, named `INNER.NODE`.

    Return by pipeline and key whose outputs those of the pipelines in it are.

    Raises:
      PipelineError: one says in an unknown way how its nodes are executed.
    """
    if not any(entry.HasField("sub_pipeline") for entry in ir.nodes):
        return {}
    config = deployment(ir)
    pieces = [
        _Inner.of(entry.sub_pipeline, config) if entry.HasField("sub_pipeline") else entry
        for entry in ir.nodes
    ]
    inner = {piece.name: piece for piece in pieces if isinstance(piece, _Inner)}
    nodes: list[_tfx.NodeProto] = []
    for piece in pieces:
        nodes += piece.nodes if isinstance(piece, _Inner) else [piece.pipeline_node]
    for node in nodes:
        _take_from_producers(node, inner)
        _wait_for_nodes(node, inner)
    homes = {node.node_info.id: piece.name for piece in inner.values() for node in piece.nodes}
    has_runs = ir.execution_mode != _tfx.pipeline_pb2.Pipeline.ASYNC
    for node in nodes:
        _put_into(ir.pipeline_info.id, node, homes, has_runs=has_runs)
    _tell_neighbours(nodes)
    del ir.nodes[:]
    for node in nodes:
        ir.nodes.add().pipeline_node.CopyFrom(node)
    ir.deployment_config.Pack(config)
    return {
        (name, key): tuple(
            Source(channel.producer_node_query.id, channel.output_key)
            for channel in _followed(spec.channels, inner)
        )
        for name, pipeline in inner.items()
        for key, spec in pipeline.outputs.items()
    }


@dataclass(frozen=True)
class _Inner:
    """A pipeline in another one, its nodes named as they will be.

    `outputs` are the inputs of its end, which has what the pipeline puts out.
    """

    name: str
    nodes: Sequence[_tfx.NodeProto]
    outputs: Any
    last: frozenset[str]

    @classmethod
    def of(cls, ir: _tfx.PipelineProto, config: _tfx.DeploymentConfig) -> _Inner:
        """Make it, and put into the outer pipeline's `config` how its nodes are executed."""
        inner = _tfx.pipeline_pb2.Pipeline()
        inner.CopyFrom(ir)
        inline(inner)
        name = inner.pipeline_info.id
        at = {entry.pipeline_node.node_info.id: entry.pipeline_node for entry in inner.nodes}
        begin, end = at.pop(name + _BEGIN), at.pop(name + _END, None)
        names = {node_id: f"{name}{SEPARATOR}{node_id}" for node_id in at}
        for node_id, node in at.items():
            node.node_info.id = names[node_id]
            _take_from_begin(node, begin, names)
        if end is not None:
            _take_from_begin(end, begin, names)
        own = deployment(inner)
        for field in ("executor_specs", "custom_driver_specs", "node_level_platform_configs"):
            for node_id, packed in getattr(own, field).items():
                getattr(config, field)[names[node_id]].CopyFrom(packed)
        waited_for = {before for node in at.values() for before in node.upstream_nodes}
        last = frozenset(names.values()) - waited_for
        return cls(name, tuple(at.values()), {} if end is None else end.inputs.inputs, last)


def _take_from_begin(node: _tfx.NodeProto, begin: _tfx.NodeProto, names: dict[str, str]) -> None:
    """Let a node of an inner pipeline take and wait for what the pipeline's begin does."""
    begin_id = begin.node_info.id
    for spec in node.inputs.inputs.values():
        _replace_channels(
            spec,
            lambda channel: (
                begin.inputs.inputs[channel.output_key].channels
                if channel.producer_node_query.id == begin_id
                else [_renamed(channel, names)]
            ),
        )
    before = [names[u] for u in node.upstream_nodes if u in names]
    if not before or begin_id in node.upstream_nodes:
        before += begin.upstream_nodes
    node.upstream_nodes[:] = list(dict.fromkeys(before))
    _add_conditions(node, begin)
    retries = begin.execution_options.max_execution_retries
    if retries and not node.execution_options.max_execution_retries:
        node.execution_options.max_execution_retries = retries


def _renamed(channel: Any, names: dict[str, str]) -> Any:
    producer = channel.producer_node_query.id
    channel.producer_node_query.id = names.get(producer, producer)
    return channel


def _add_conditions(node: _tfx.NodeProto, begin: _tfx.NodeProto) -> None:
    """Let the conditions of a pipeline be those of one of its nodes, with what they look at."""
    mine = begin.node_info.id
    for key, condition in begin.inputs.conditionals.items():
        added = node.inputs.conditionals[f"{mine}{SEPARATOR}{key}"]
        added.CopyFrom(condition)
        for placeholder in placeholders(added.placeholder_expression):
            looked_at = f"_{mine}{SEPARATOR}{placeholder.key}"
            node.inputs.inputs[looked_at].CopyFrom(begin.inputs.inputs[placeholder.key])
            placeholder.key = looked_at


def _take_from_producers(node: _tfx.NodeProto, inner: Mapping[str, _Inner]) -> None:
    """Let a node take from whom the ends of inner pipelines have what they put out."""
    for spec in node.inputs.inputs.values():
        _replace_channels(spec, lambda channel: _followed([channel], inner))


def _followed(channels: Iterable[Any], inner: Mapping[str, _Inner]) -> Iterator[Any]:
    """Yield channels, in the place of those of ends what comes into these."""
    for channel in channels:
        pipeline = inner.get(channel.producer_node_query.id.removesuffix(_END))
        if pipeline is None:
            yield channel
            continue
        # What stands for an item of a loop has the loop behind the key.
        key, mark, loop = channel.output_key.partition(OF_LOOP)
        for produced in _followed(pipeline.outputs[key].channels, inner):
            followed = type(produced).FromString(produced.SerializeToString())
            followed.output_key += mark + loop
            yield followed


def _wait_for_nodes(node: _tfx.NodeProto, inner: dict[str, _Inner]) -> None:
    """Let a node that waits for an inner pipeline wait for the nodes that are its last."""
    before: list[str] = []
    for name in node.upstream_nodes:
        before += sorted(inner[name].last) if name in inner else [name]
    node.upstream_nodes[:] = list(dict.fromkeys(before))


def _replace_channels(spec: Any, replaced: Callable[[Any], Iterable[Any]]) -> None:
    channels = [each for channel in spec.channels for each in replaced(channel)]
    copies = [type(channel).FromString(channel.SerializeToString()) for channel in channels]
    del spec.channels[:]
    spec.channels.extend(copies)


def _put_into(
    pipeline: str, node: _tfx.NodeProto, homes: Mapping[str, str], *, has_runs: bool
) -> None:
    """Let a node be of the contexts of the outer pipeline, and ask for what is in these.

    `homes` are the inner pipelines of the nodes that were in one.
    """
    home = homes.get(node.node_info.id)
    if home is not None:
        del node.contexts.contexts[:]
        contexts = _contexts(pipeline, node.node_info.id, has_runs=has_runs)
        node.contexts.contexts.extend(contexts)
    for spec in node.inputs.inputs.values():
        for channel in spec.channels:
            producer = channel.producer_node_query.id
            if producer and (home is not None or producer in homes):
                del channel.context_queries[:]
                for context in _contexts(pipeline, producer, has_runs=has_runs):
                    channel.context_queries.add(type=context.type, name=context.name)
            for query in channel.context_queries:
                named = query.name.field_value
                if query.type.name == "pipeline" and named.string_value == home:
                    named.string_value = pipeline


def _contexts(pipeline: str, node_id: str, *, has_runs: bool) -> Iterator[Any]:
    """Yield the contexts of a node, as TFX's compiler writes them."""
    kinds = {"pipeline": pipeline, RUN_CONTEXT: "", "node": f"{pipeline}.{node_id}"}
    for kind, name in kinds.items():
        context = _tfx.pipeline_pb2.ContextSpec()
        context.type.name = kind
        if name:
            context.name.field_value.string_value = name
        elif has_runs:
            context.name.runtime_parameter.name = RUN_ID
            context.name.runtime_parameter.type = _tfx.pipeline_pb2.RuntimeParameter.STRING
        else:
            continue
        yield context


def _tell_neighbours(nodes: Sequence[_tfx.NodeProto]) -> None:
    """Let nodes wait for whom they take from, and know who waits for them."""
    known = {node.node_info.id for node in nodes}
    for node in nodes:
        specs = node.inputs.inputs.values()
        producers = [channel.producer_node_query.id for s in specs for channel in s.channels]
        before = [*node.upstream_nodes, *(name for name in producers if name in known)]
        node.upstream_nodes[:] = sorted(set(before))
    for node in nodes:
        after = [n.node_info.id for n in nodes if node.node_info.id in n.upstream_nodes]
        node.downstream_nodes[:] = after
