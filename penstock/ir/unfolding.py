"""A node of a loop becomes one node for each item, and those after it take what all have made."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from penstock import _tfx
from penstock.errors import PipelineError
from penstock.ir.loops import GIVEN, LoopSpec, Source, references, with_item
from penstock.ir.view import Item, Node, Pipeline

_SHOWN = 60


@dataclass(frozen=True)
class LoopValue:
    """What a loop gives to the nodes that run for an item: a value, or the id of an artifact."""

    item: Item
    value: Any = None
    artifact_id: int | None = None


def value_items(values: Sequence[Any]) -> list[LoopValue]:
    """Return the items of a list of values."""
    texts = [json.dumps(value, sort_keys=True, ensure_ascii=False) for value in values]
    shown = [text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..." for text in texts]
    items = numbered(shown, texts)
    return [LoopValue(item, value) for item, value in zip(items, values, strict=True)]


def numbered(texts: Iterable[str], contents: Iterable[str]) -> list[Item]:
    """Return items that are told apart by their contents, those of one content by their order."""
    seen: Counter[str] = Counter()
    items = []
    for index, (text, content) in enumerate(zip(texts, contents, strict=True)):
        digest = hashlib.sha256(json.dumps([content, seen[content]]).encode()).hexdigest()
        seen[content] += 1
        items.append(Item(index, text, digest))
    return items


def waiting_loops(pipeline: Pipeline) -> dict[tuple[str, str], LoopSpec]:
    """Return the loops whose items are not known yet, those within other loops left out."""
    return {node.loops[0].key: node.loops[0] for node in pipeline if node.loops}


def body_of(pipeline: Pipeline, loop: LoopSpec) -> list[Node]:
    """Return the nodes of a loop that is not within another one."""
    return [node for node in pipeline if node.loops and node.loops[0].key == loop.key]


def unfold_given(pipeline: Pipeline) -> Pipeline:
    """Return a pipeline without loops over items that are given with it; it is bound.

    Raises:
      PipelineError: an item is not what a node takes.
    """
    while True:
        given = [loop for loop in waiting_loops(pipeline).values() if loop.kind == GIVEN]
        if not given:
            return pipeline
        pipeline = unfold(pipeline, given[0], value_items(given_items(pipeline, given[0])))


def given_items(pipeline: Pipeline, loop: LoopSpec) -> list[Any]:
    """Return the items of a loop that are given with the pipeline.

    Raises:
      PipelineError: they are no list.
    """
    node = body_of(pipeline, loop)[0]
    items = json.loads(node.written(loop.parameter))
    if not isinstance(items, list):
        raise PipelineError(
            f"{loop.name} is to go over a list, and got {items!r} ({type(items).__name__})",
            hint="Write the list as [...].",
        )
    return items


def unfold(pipeline: Pipeline, loop: LoopSpec, given: Sequence[LoopValue]) -> Pipeline:
    """Return a pipeline in which a loop's nodes are there once for each item.

    Raises:
      PipelineError: an item is not what a node takes, or a node has the name that one would get.
    """
    body = {node.id for node in body_of(pipeline, loop)}
    everybody = {name: [_numbered(name, one) for one in given] for name in body}
    nodes: dict[str, Node] = {}
    for node in pipeline:
        if node.id in body:
            made = [_for_item(node, loop, one, body) for one in given]
        else:
            made = [_after(node, everybody)]
        for one in made:
            if one.id in nodes or (node.id in body and one.id in pipeline.nodes):
                raise PipelineError(
                    f"the node {node.id} in {loop.name} is called {one.id} for an item, and so is "
                    "another node",
                    hint='Give one of them another name: .with_id("another_name").',
                )
            nodes[one.id] = one
    return replace(pipeline, nodes=MappingProxyType(nodes))


def _numbered(name: str, given: LoopValue) -> str:
    return f"{name}.{given.item.index}"


def _for_item(node: Node, loop: LoopSpec, given: LoopValue, body: set[str]) -> Node:
    proto, index = node.copied(), given.item.index
    renamed = {name: [_numbered(name, given)] for name in body}
    old = proto.node_info.id
    proto.node_info.id = _numbered(old, given)
    for context in proto.contexts.contexts:
        if context.type.name == "node" and context.name.HasField("field_value"):
            context.name.field_value.string_value = f"{node.pipeline}.{proto.node_info.id}"
    own = node.loops[0]
    for key in own.inputs:
        if key not in proto.inputs.inputs:
            continue
        spec = proto.inputs.inputs[key]
        del spec.channels[:]
        spec.static_inputs.artifact_ids.append(given.artifact_id or 0)
    parameters = proto.parameters.parameters
    if own.parameter in parameters:
        del parameters[own.parameter]
    for name in list(parameters):
        text = parameters[name].field_value.string_value
        if references(text):
            value = with_item(text, loop.name, given.value)
            _tfx.data_types_utils.set_metadata_value(parameters[name].field_value, value)
    _rename(proto, renamed)
    return replace(
        node,
        proto=proto,
        loops=tuple(
            replace(inner, within=f"{inner.within}.{index}", sources=_sources(inner, renamed))
            for inner in node.loops[1:]
        ),
        items=(*node.items, given.item),
        template=node.template or old,
    )


def _after(node: Node, everybody: Mapping[str, Sequence[str]]) -> Node:
    """Return a node outside of the loop, which takes what is made for each of the items."""
    loops = tuple(replace(own, sources=_sources(own, everybody)) for own in node.loops)
    names = {query for names in node.producers_by_input.values() for query in names}
    if not everybody.keys() & {*names, *node.upstream, *node.proto.downstream_nodes}:
        return replace(node, loops=loops) if loops != node.loops else node
    proto = node.copied()
    _rename(proto, everybody)
    return replace(node, proto=proto, loops=loops)


def _sources(loop: LoopSpec, renamed: Mapping[str, Sequence[str]]) -> tuple[Source, ...]:
    return tuple(
        Source(name, source.key)
        for source in loop.sources
        for name in renamed.get(source.node, (source.node,))
    )


def _rename(proto: _tfx.NodeProto, renamed: Mapping[str, Sequence[str]]) -> None:
    """Let a node take from other nodes, each of which stands in the place of one, or several."""
    for around in (proto.upstream_nodes, proto.downstream_nodes):
        around[:] = [name for old in around for name in renamed.get(old, (old,))]
    for spec in proto.inputs.inputs.values():
        channels = list(spec.channels)
        taken = [channel.producer_node_query.id for channel in channels]
        if not renamed.keys() & set(taken):
            continue
        several = any(len(renamed.get(name, (name,))) != 1 for name in taken)
        del spec.channels[:]
        for channel in channels:
            old = channel.producer_node_query.id
            for name in renamed.get(old, (old,)):
                _add_channel(spec, channel, old, name)
        if several:
            # What is made for no item, or for some only, is a shorter list.
            spec.min_count = 0
        if not spec.channels:
            spec.static_inputs.SetInParent()
    start = proto.execution_options.resource_lifetime.lifetime_start
    if start in renamed:
        [proto.execution_options.resource_lifetime.lifetime_start] = renamed[start]


def _add_channel(spec: _tfx.InputSpec, channel: _tfx.Channel, old: str, name: str) -> None:
    added = spec.channels.add()
    added.CopyFrom(channel)
    added.producer_node_query.id = name
    for query in added.context_queries:
        text = query.name.field_value.string_value
        if query.type.name == "node" and text.endswith(f".{old}"):
            query.name.field_value.string_value = text.removesuffix(old) + name
