"""Loops of a pipeline, as they are written into its IR and read from it.

TFX's IR knows loops over artifacts only, whose nodes it lets its resolver count. Ours stand in the
options of their nodes, so that a node of a loop is one node of the IR, whose parameters refer to
the item by JSON text. Items that are given with the pipeline, or by a parameter of it, stand in a
parameter of each node of the loop, which has the loop's name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, starmap
from typing import Any

from penstock import _tfx
from penstock.authoring import values
from penstock.authoring.for_each import ITEM_KEY, OF_LOOP, Loop, loops_of
from penstock.errors import PipelineError
from penstock.ir.reading import placeholder_keys

GIVEN, RETURNED, ARTIFACTS = "given", "returned", "artifacts"


@dataclass(frozen=True)
class Source:
    """An output that loops take their items from."""

    node: str
    key: str


@dataclass(frozen=True)
class LoopSpec:
    """A loop, as a node in it knows it.

    `kind` says whether its items are given with the pipeline, returned by a node as one list, or
    the artifacts of outputs; `sources` are these outputs, `inputs` the node's inputs that take an
    item. `within` tells the loop apart from itself in other items of a loop around it.
    """

    name: str
    kind: str = GIVEN
    sources: tuple[Source, ...] = ()
    inputs: tuple[str, ...] = ()
    within: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What tells it apart from all other loops of the pipeline."""
        return self.name, self.within

    @property
    def parameter(self) -> str:
        """The parameter of its nodes that has the items which are given with the pipeline."""
        return OF_LOOP + self.name

    @property
    def producers(self) -> frozenset[str]:
        """The nodes that make its items."""
        return frozenset(source.node for source in self.sources)


def write_loops(
    ir: _tfx.PipelineProto,
    pipeline: _tfx.Pipeline,
    outputs: Mapping[tuple[str, str], tuple[Source, ...]],
) -> Mapping[str, tuple[LoopSpec, ...]]:
    """Write into IR what the nodes of loops take of an item; return their loops by node.

    `outputs` are those of pipelines in the pipeline, by their names and keys.

    Raises:
      PipelineError: something is not possible in a loop, or only there.
    """
    protos = {entry.pipeline_node.node_info.id: entry.pipeline_node for entry in ir.nodes}
    loops = {
        node.id: loops_of(node, pipeline.dsl_context_registry)
        for node in _without_pipelines(pipeline)
    }
    specs = {}
    for node_id, around in loops.items():
        proto = protos[node_id]
        taken = _mark_items(proto, pipeline.id)
        for value in proto.parameters.parameters.values():
            _expand_item(value)
        _check_conditions(proto, around, loops)
        for name in taken.keys() - {loop.name for loop in around}:
            raise PipelineError(
                f"node {node_id} takes the item of {name}, and stands outside of it",
                hint="Write it below: with ForEach(...) as item:.",
            )
        if around:
            specs[node_id] = tuple(
                _spec(loop, taken.get(loop.name, ()), outputs) for loop in around
            )
        for loop, spec in zip(around, specs.get(node_id, ()), strict=True):
            if loop.producer is None:
                proto.parameters.parameters[spec.parameter].field_value.string_value = loop.text
    return specs


def _without_pipelines(pipeline: _tfx.Pipeline) -> Iterator[_tfx.BaseNode]:
    """Yield the nodes of a pipeline that are no pipelines.

    Raises:
      PipelineError: a pipeline in it stands in a loop, or has one.
    """
    registry = pipeline.dsl_context_registry
    for node in pipeline.components:
        if not isinstance(node, _tfx.Pipeline):
            yield node
            continue
        of_nodes = ((inner, node.dsl_context_registry) for inner in _without_pipelines(node))
        for loop in chain.from_iterable(starmap(loops_of, [(node, registry), *of_nodes])):
            raise PipelineError(
                f"{loop.name} and the pipeline {node.id} stand in each other",
                hint="Put the nodes of the loop into the outer pipeline.",
            )


def _spec(
    loop: Loop,
    inputs: tuple[str, ...],
    outputs: Mapping[tuple[str, str], tuple[Source, ...]],
) -> LoopSpec:
    if loop.producer is None:
        return LoopSpec(loop.name)
    source = Source(loop.producer.id, loop.items.output_key)
    kind = ARTIFACTS if loop.takes_artifacts else RETURNED
    return LoopSpec(loop.name, kind, outputs.get((source.node, source.key), (source,)), inputs)


def _mark_items(proto: _tfx.NodeProto, pipeline: str) -> dict[str, tuple[str, ...]]:
    """Let the inputs that take an item be those of the output; return them by the loop's name."""
    taken: dict[str, tuple[str, ...]] = {}
    for key, spec in proto.inputs.inputs.items():
        for channel in spec.channels:
            output, is_item, loop = channel.output_key.partition(OF_LOOP)
            if is_item:
                channel.output_key = output
                [node] = [query for query in channel.context_queries if query.type.name == "node"]
                name = node.name.field_value.string_value
                channel.producer_node_query.id = name.removeprefix(f"{pipeline}.")
                taken[loop] = (*taken.get(loop, ()), key)
    return taken


def _expand_item(value: _tfx.ValueProto) -> None:
    """Turn what stands for an item in a scalar parameter into the text that refers to it."""
    if value.WhichOneof("value") != "runtime_parameter":
        return
    name = value.runtime_parameter.name
    if name.startswith(ITEM_KEY):
        reference = {ITEM_KEY: json.loads(name.removeprefix(ITEM_KEY))}
        value.Clear()
        value.field_value.string_value = json.dumps(reference, sort_keys=True)


def _check_conditions(
    proto: _tfx.NodeProto, around: list[Loop], loops: Mapping[str, list[Loop]]
) -> None:
    """Check that the conditions of a node are decided on by one artifact each.

    Raises:
      PipelineError: one is decided on by a node that runs once for each item of a loop.
    """
    keys = {
        key
        for conditional in proto.inputs.conditionals.values()
        for key in placeholder_keys(conditional.placeholder_expression)
    }
    for key in sorted(keys):
        for channel in proto.inputs.inputs[key].channels:
            name = channel.producer_node_query.id
            for loop in loops.get(name, ()):
                if loop not in around:
                    raise PipelineError(
                        f"node {proto.node_info.id} runs on a condition on {name}, which runs once "
                        f"for each item of {loop.name}: they may differ",
                        hint="Write the Cond inside the ForEach, or let a component decide that "
                        "takes all of them as Input[list[...]].",
                    )


def references(text: str) -> bool:
    """Whether a text refers to an item."""
    return f'{{"{ITEM_KEY}": ' in text


def loops_referred_to(text: str) -> set[str]:
    """Return the names of the loops to whose items a text refers."""
    if not references(text):
        return set()
    found: set[str] = set()

    def look(part: dict[str, Any]) -> dict[str, Any]:
        if set(part) == {ITEM_KEY}:
            found.add(part[ITEM_KEY]["loop"])
        return part

    json.loads(text, object_hook=look)
    return found


def with_item(text: str, loop: str, item: Any) -> Any:
    """Return a text with an item in the places that refer to it; a scalar where it is one."""
    try:
        content = json.loads(text)
    except ValueError:
        return text
    if isinstance(content, dict) and set(content) == {ITEM_KEY} and "type" in content[ITEM_KEY]:
        reference = content[ITEM_KEY]
        return _part(item, reference) if reference["loop"] == loop else text
    return json.dumps(_replaced(content, loop, item), sort_keys=True)


def _replaced(content: Any, loop: str, item: Any) -> Any:
    if isinstance(content, dict):
        if set(content) == {ITEM_KEY} and content[ITEM_KEY]["loop"] == loop:
            return _part(item, content[ITEM_KEY])
        return {key: _replaced(value, loop, item) for key, value in content.items()}
    if isinstance(content, list):
        return [_replaced(value, loop, item) for value in content]
    return content


def _part(item: Any, reference: Mapping[str, Any]) -> Any:
    """Return the part of an item that is referred to, as the parameter has it.

    Raises:
      PipelineError: there is no such part, or it is of another type.
    """
    part, where = item, f"the item {values.shown(item)} of {reference['loop']}"
    for key in reference["path"]:
        if not isinstance(part, Mapping) or key not in part:
            raise PipelineError(f"{where} has no {key!r}, which a parameter takes of it")
        part = part[key]
    if "type" not in reference:
        return part
    kind = {"str": str, "int": int, "float": float}[reference["type"]]
    return values.convert(part, kind, where)
