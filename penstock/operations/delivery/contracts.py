"""Whether what the nodes of a pipeline give each other is what they take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from penstock import _tfx, ir
from penstock.operations.delivery.checks import Check, State
from penstock.report.wording import counted

NAME = "contracts"
# What is made to be looked at, to decide, or to be used elsewhere: nobody has to take it.
_ENDS = (
    "ExampleAnomalies",
    "InfraBlessing",
    "ModelBlessing",
    "ModelEvaluation",
    "ModelRun",
    "PushedModel",
)


def check_contracts(pipeline: ir.Pipeline, name: str) -> list[Check]:
    """Return what does not fit in a pipeline's wiring, or one check that has passed.

    An input that nothing gives and a type that does not fit are failures. A node with work that
    nobody takes is a warning; single outputs that nobody takes are told.
    """
    checks = [
        replace(check, pipeline=name)
        for node in pipeline
        for check in (*_inputs(pipeline, node), *_idle(pipeline, node))
    ]
    if checks:
        return checks
    untaken = [
        f"{node.id}.{key}"
        for node in pipeline
        for key in _untaken(pipeline, node)
        if node.proto.outputs.outputs[key].artifact_spec.type.name not in (*_ENDS, *_VALUES)
    ]
    told = f"; nothing takes {', '.join(untaken)}" if untaken else ""
    message = f"the inputs of {counted(len(pipeline.nodes), 'node')} are given, and fit{told}"
    return [Check(NAME, State.PASSED, message, name)]


def _inputs(pipeline: ir.Pipeline, node: ir.Node) -> Iterator[Check]:
    declared = _declared(node)
    for key, port in declared.items():
        if not getattr(port, "optional", False) and key not in node.proto.inputs.inputs:
            yield _failure(
                f"nothing gives {node.id} its input {key} ({_type_name(port.type)})",
                node,
                f"Pass it: {node.id}({key}=…).",
            )
    for key, spec in node.proto.inputs.inputs.items():
        for channel in spec.channels:
            yield from _channel(pipeline, node, key, channel, declared.get(key))


def _channel(
    pipeline: ir.Pipeline, node: ir.Node, key: str, channel: _tfx.Channel, port: Any
) -> Iterator[Check]:
    producer = channel.producer_node_query.id
    if not producer or producer not in node.upstream:
        return  # what comes from the store, or from another pipeline
    maker = pipeline.nodes.get(producer)
    if maker is None or channel.output_key not in _given(maker):
        what = f"{producer} has no output {channel.output_key}" if maker else f"no node {producer}"
        yield _failure(f"nothing gives {node.id} its input {key}: {what}", node, "")
        return
    given = _given(maker)[channel.output_key] or str(channel.artifact_query.type.name)
    if port is None or _fits(given, port.type):
        return
    expected = _type_name(port.type)
    yield _failure(
        f"{node.id} takes {expected} as its input {key}, and {producer}.{channel.output_key} is "
        f"{given}",
        node,
        f"Give it an output of type {expected}.",
    )


def _given(maker: ir.Node) -> dict[str, str]:
    """Return the types of what a node gives; a resolver gives its inputs, and says no type."""
    if maker.works_in_store and not maker.is_importer:
        return dict.fromkeys(maker.proto.inputs.inputs, "")
    outputs = maker.proto.outputs.outputs.items()
    return {key: str(spec.artifact_spec.type.name) for key, spec in outputs}


def _failure(message: str, node: ir.Node, hint: str) -> Check:
    return Check(NAME, State.FAILED, message, where=f"node {node.id}", hint=hint)


def _declared(node: ir.Node) -> dict[str, Any]:
    """Return the inputs that a node's class declares; none for classes that say nothing."""
    if node.works_in_store:
        return {}
    try:
        kind = _tfx.import_class_by_path(node.kind)
    except (ImportError, AttributeError, ValueError):
        return {}
    specification = getattr(kind, "SPEC_CLASS", None)
    return dict(getattr(specification, "INPUTS", None) or {})


def _type_name(kind: Any) -> str:
    return str(getattr(kind, "TYPE_NAME", None) or getattr(kind, "__name__", kind))


def _fits(given: str, declared: Any) -> bool:
    """Whether an artifact's type is the declared one, or is derived from it."""
    if _type_name(declared) in (given, "Artifact"):
        return True
    waiting = [declared]
    while waiting:
        kind = waiting.pop()
        if _type_name(kind) == given:
            return True
        waiting += kind.__subclasses__() if isinstance(kind, type) else []
    return False


def _untaken(pipeline: ir.Pipeline, node: ir.Node) -> list[str]:
    taken = {
        channel.output_key
        for other in pipeline
        for spec in other.proto.inputs.inputs.values()
        for channel in spec.channels
        if channel.producer_node_query.id == node.id
    }
    return [key for key in node.output_keys if key not in taken]


def _idle(pipeline: ir.Pipeline, node: ir.Node) -> Iterator[Check]:
    """Warn of a node of which nobody takes anything, and that other nodes do not wait for."""
    untaken = _untaken(pipeline, node)
    types = {key: spec.artifact_spec.type.name for key, spec in node.proto.outputs.outputs.items()}
    is_waited_for = any(node.id in other.upstream for other in pipeline)
    is_end = node.deploys or is_waited_for or any(name in _ENDS for name in types.values())
    is_value = all(kind in _VALUES for kind in types.values())
    if is_end or is_value or not untaken or len(untaken) < len(types):
        return
    made = ", ".join(f"{key} ({types[key]})" for key in untaken)
    yield Check(
        NAME,
        State.WARNED,
        f"nothing takes what {node.id} makes: {made}",
        where=f"node {node.id}",
        hint="Pass it to the node that was meant to have it, or leave the node out.",
    )


_VALUES = ("Boolean", "Bytes", "Float", "Integer", "JsonValue", "String")
