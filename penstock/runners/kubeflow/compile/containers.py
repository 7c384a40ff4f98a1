"""Components that are containers of their own: TFX's placeholders in their commands as Kubeflow's.

Paths take the place of URIs: the launcher brings inputs and takes outputs away, whatever the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock import _tfx, ir
from penstock.errors import PipelineError
from penstock.project.kubernetes import check_no_braces

_PLACEHOLDER = _tfx.placeholder_pb2.Placeholder
_INPUT, _OUTPUT = _PLACEHOLDER.INPUT_ARTIFACT, _PLACEHOLDER.OUTPUT_ARTIFACT
_PROPERTY = _PLACEHOLDER.EXEC_PROPERTY

# What stands for a value in Kubeflow's placeholders, by the type and key of TFX's.
_Names = Mapping[tuple[int, str], str]


def command_lines(
    node: ir.Node,
    spec: Any,
    *,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    items: Mapping[str, str],
) -> tuple[list[str], list[str]]:
    """Return the command and the arguments of a node's container.

    `inputs` and `outputs` have the names in the task of the node's keys, `items` those of the
    parameters that take an item of a loop, or a part of one.

    Raises:
      PipelineError: a placeholder stands for what a container in Kubeflow cannot be told.
    """
    names = {
        **{(_INPUT, key): f"inputs.artifacts['{inputs[key]}']" for key in inputs},
        **{(_OUTPUT, key): f"outputs.artifacts['{outputs[key]}']" for key in outputs},
        **{(_PROPERTY, key): f"inputs.parameters['{items[key]}']" for key in items},
    }
    return (
        [_text(node, expression, names) for expression in spec.commands],
        [_text(node, expression, names) for expression in spec.args],
    )


def _text(node: ir.Node, expression: Any, names: _Names) -> str:
    which = expression.WhichOneof("expression_type")
    if which == "value":
        return _constant(node, expression.value)
    if which == "placeholder" and expression.placeholder.type == _PROPERTY:
        item = names.get((_PROPERTY, expression.placeholder.key))
        return f"{{{{$.{item}}}}}" if item else _parameter(node, expression.placeholder.key)
    operator = expression.operator
    kind = operator.WhichOneof("operator_type")
    if kind == "concat_op":
        return "".join(_text(node, part, names) for part in operator.concat_op.expressions)
    if kind == "artifact_uri_op" and not operator.artifact_uri_op.split:
        return _path(node, operator.artifact_uri_op.expression, names)
    raise PipelineError(
        f"node {node.id}: the command of its container has a placeholder "
        f"({kind or which}) that Kubeflow Pipelines cannot fill in",
        hint="Pass parameters and the URIs of artifacts, which become paths; read values from "
        "their files.",
    )


def _path(node: ir.Node, expression: Any, names: _Names) -> str:
    while expression.WhichOneof("expression_type") == "operator":
        index = expression.operator.index_op
        if index.index:
            raise PipelineError(
                f"node {node.id}: the command of its container asks for artifact "
                f"{index.index} of an input, and Kubeflow Pipelines passes one",
                hint="Put the artifacts into one folder in a component before it.",
            )
        expression = index.expression
    placeholder = expression.placeholder
    return f"{{{{$.{names[placeholder.type, placeholder.key]}.path}}}}"


def _parameter(node: ir.Node, key: str) -> str:
    value = node.proto.parameters.parameters[key]
    which = value.WhichOneof("value")
    if which == "field_value":
        return _constant(node, value.field_value)
    if which == "runtime_parameter":
        return _runtime_parameter(value.runtime_parameter)
    if which == "structural_runtime_parameter":
        return "".join(
            _runtime_parameter(part.runtime_parameter)
            if part.HasField("runtime_parameter")
            else _without_braces(node, part.constant_value)
            for part in value.structural_runtime_parameter.parts
        )
    raise PipelineError(
        f"node {node.id}: the parameter {key!r} of its container comes from another "
        "node, and Kubeflow Pipelines cannot read an artifact's value for it",
        hint="Pass the artifact itself, and read its file in the container.",
    )


def _runtime_parameter(parameter: Any) -> str:
    return f"{{{{$.inputs.parameters['{parameter.name.partition('@')[0]}']}}}}"


def _constant(node: ir.Node, value: Any) -> str:
    return _without_braces(node, str(getattr(value, value.WhichOneof("value"))))


def _without_braces(node: ir.Node, text: str) -> str:
    # Argo and the launcher read the command of a container, and nobody there takes escapes back.
    check_no_braces(text, f"node {node.id}, the command of its container")
    return text
