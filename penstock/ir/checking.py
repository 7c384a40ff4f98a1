"""Whether IR that others have written holds together, before anything is made of it.

What TFX's compiler writes does. A file that was compiled, kept and edited need not, and TFX's own
functions would fall over it one by one, in a run that has begun.
"""

from __future__ import annotations

import graphlib
import json
from collections.abc import Iterator
from typing import Any

from penstock import _tfx
from penstock.errors import PipelineError
from penstock.ir.reading import RUN_CONTEXT, node_protos, runtime_parameters, values

_HINT = "Compile the pipeline again: what TFX's compiler writes holds together."
# By the number of a runtime parameter's type, the fields that a default of it can be in.
_DEFAULTS = {
    1: ("int_value",),
    2: ("double_value", "int_value"),
    3: ("string_value",),
}
_STRUCTURED = ("str", "int", "float", "bool", "list")
_OF_RUNS = ("pipeline-root", "pipeline-run-id")


def check(ir: _tfx.PipelineProto) -> None:
    """Check that the nodes of IR have names, types and values, and do not wait for each other.

    Raises:
      PipelineError: something is missing or contradicts the rest; the error names node and field.
    """
    for fault in _faults(ir):
        raise PipelineError(f"pipeline {ir.pipeline_info.id}: {fault}", hint=_HINT)


def _faults(ir: _tfx.PipelineProto) -> Iterator[str]:
    """Yield what is wrong."""
    nodes = node_protos(ir)
    if not nodes:
        yield "there is no node in it"
    seen: set[str] = set()
    for node in nodes:
        name = node.node_info.id
        if not name:
            yield "a node has no name (node_info.id)"
        if name in seen:
            yield f"two nodes are called {name!r}"
        seen.add(name)
        for fault in _faults_of_node(node, of_a_run=ir.runtime_spec.HasField("pipeline_run_id")):
            yield f"node {name}: {fault}"
    try:
        graphlib.TopologicalSorter({n.node_info.id: n.upstream_nodes for n in nodes}).prepare()
    except graphlib.CycleError as error:
        circle = ", ".join(error.args[1][1:])
        yield f"these nodes wait for each other (upstream_nodes): {circle}"
    for parameter in runtime_parameters(ir):
        yield from _faults_of_parameter(parameter)


def _faults_of_node(node: _tfx.NodeProto, *, of_a_run: bool) -> Iterator[str]:
    if not node.node_info.type.name:
        yield "it has no type (node_info.type.name)"
    for context in node.contexts.contexts:
        if not context.type.name:
            yield "one of its contexts has no type (contexts.type.name)"
    if of_a_run and RUN_CONTEXT not in [context.type.name for context in node.contexts.contexts]:
        yield f"it belongs to no run: it has no context of the type {RUN_CONTEXT}"
    for key, output in node.outputs.outputs.items():
        if not output.artifact_spec.type.name:
            yield f"its output {key!r} has no type (artifact_spec.type.name)"
    for key, value in node.parameters.parameters.items():
        if not _has_value(value):
            yield f"its parameter {key!r} has no value"
    if not all(map(_has_value, values(node))):
        yield "a value in its inputs, outputs or contexts is none"


def _has_value(value: _tfx.ValueProto) -> bool:
    which = value.WhichOneof("value")
    return which is not None and (
        which != "field_value" or value.field_value.WhichOneof("value") is not None
    )


def _faults_of_parameter(parameter: Any) -> Iterator[str]:
    name, _, structured = parameter.name.partition("@")
    what = f"the runtime parameter {name!r}"
    if not name:
        yield "a runtime parameter has no name"
    if parameter.type not in _DEFAULTS or (name in _OF_RUNS and parameter.type != 3):
        yield f"{what} has the type {parameter.type}, which none of its values has"
        return
    if structured and (parameter.type != 3 or structured not in _STRUCTURED):
        yield f"{what} is to be text that stands for {structured}, which is none of its types"
    if not parameter.HasField("default_value"):
        return
    field = parameter.default_value.WhichOneof("value")
    if field not in _DEFAULTS[parameter.type]:
        yield f"the default of {what} is not of its type"
    elif structured and not _is_json(parameter.default_value.string_value):
        yield f"the default of {what} is no JSON"


def _is_json(text: str) -> bool:
    try:
        json.loads(text or "null")
    except ValueError:
        return False
    return True
