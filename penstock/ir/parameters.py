"""The parameters of a run: which a pipeline takes, and their values in its IR.

A pipeline parameter inside a structured value is a structural runtime parameter, of type STRING,
bound to the value's JSON text under the name `{parameter}@{type}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from penstock import _tfx
from penstock.errors import ParameterError, suggestion
from penstock.ir.reading import RUN_CONTEXT, runtime_parameters

PIPELINE_ROOT = "pipeline-root"
RUN_ID = "pipeline-run-id"

_TYPES = {"str": str, "int": int, "float": float, "bool": bool, "list": list}
_PROTO_TYPES = {1: int, 2: float, 3: str}


@dataclass(frozen=True)
class RunParameter:
    """A parameter of a run; one without a default must be given."""

    name: str
    type: type
    default: Any = None
    has_default: bool = False


def run_parameters(ir: _tfx.PipelineProto) -> dict[str, RunParameter]:
    """Return the parameters that a run of the pipeline takes, by name."""
    parameters: dict[str, RunParameter] = {}
    for parameter in runtime_parameters(ir):
        name, _, kind = parameter.name.partition("@")
        if name in (PIPELINE_ROOT, RUN_ID):
            continue
        has_default = parameter.HasField("default_value")
        default = _proto_value(parameter.default_value) if has_default else None
        if kind:
            default = json.loads(default or "null")
        if name not in parameters or (has_default and not parameters[name].has_default):
            proto_type = _TYPES[kind] if kind else _PROTO_TYPES[parameter.type]
            parameters[name] = RunParameter(name, proto_type, default, has_default)
    return parameters


def bind(
    ir: _tfx.PipelineProto, *, run_id: str, parameters: Mapping[str, Any]
) -> _tfx.PipelineProto:
    """Return a copy of the IR in which every runtime parameter has its value.

    An asynchronous pipeline has no runs of its own; it gets one.

    Raises:
      ParameterError: a parameter is unknown, missing or of the wrong type.
    """
    declared = run_parameters(ir)
    bindings: dict[str, Any] = {RUN_ID: run_id}
    for name, value in effective_parameters(ir, parameters).items():
        bindings[name] = value
        bindings[f"{name}@{declared[name].type.__name__}"] = json.dumps(value)
    bound = _tfx.pipeline_pb2.Pipeline()
    bound.CopyFrom(ir)
    if not bound.runtime_spec.HasField("pipeline_run_id"):
        _make_runs(bound, run_id)
    for parameter in runtime_parameters(bound):
        name, _, kind = parameter.name.partition("@")
        if (
            not kind
            and name in bindings
            and parameter.type == _tfx.pipeline_pb2.RuntimeParameter.DOUBLE
        ):
            bindings[name] = float(bindings[name])
    _tfx.runtime_parameter_utils.substitute_runtime_parameter(bound, bindings)
    return bound


def _make_runs(bound: _tfx.PipelineProto, run_id: str) -> None:
    """Let the nodes of an asynchronous pipeline be nodes of a run.

    What they take stays as it is: whatever any run has made.
    """
    bound.runtime_spec.pipeline_run_id.field_value.string_value = run_id
    for entry in bound.nodes:
        context = entry.pipeline_node.contexts.contexts.add()
        context.type.name = RUN_CONTEXT
        context.name.field_value.string_value = run_id


def effective_parameters(ir: _tfx.PipelineProto, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of all parameters of a run, defaults included.

    Raises:
      ParameterError: a parameter is unknown, missing or of the wrong type.
    """
    check_parameters(ir, arguments)
    declared = run_parameters(ir)
    pipeline = ir.pipeline_info.id
    values = {}
    for parameter in declared.values():
        if parameter.name in arguments:
            values[parameter.name] = parameter.type(arguments[parameter.name])
        elif parameter.has_default:
            values[parameter.name] = parameter.default
        else:
            raise ParameterError(
                f"pipeline {pipeline} needs the parameter {parameter.name!r} "
                f"({parameter.type.__name__})",
                hint=f"Give it as -p {parameter.name}=VALUE, in the profile, or as "
                f"run(parameters={{{parameter.name!r}: ...}}).",
            )
    return values


def check_parameters(ir: _tfx.PipelineProto, arguments: Mapping[str, Any]) -> None:
    """Check parameters that are given to a run.

    Raises:
      ParameterError: one is unknown or of the wrong type.
    """
    declared = run_parameters(ir)
    pipeline = ir.pipeline_info.id
    for name, value in arguments.items():
        if name not in declared:
            raise ParameterError(
                f"pipeline {pipeline} has no parameter {name!r}",
                hint=suggestion(name, declared, noun="parameter"),
            )
        expected = declared[name].type
        fits = type(value) is expected or (expected is float and type(value) is int)
        if not fits:
            raise ParameterError(
                f"pipeline {pipeline}, parameter {name!r}: expected {expected.__name__}, got "
                f"{value!r} ({type(value).__name__})"
            )


def check_used(pipeline: Any, ir: _tfx.PipelineProto, names: Iterable[str]) -> None:
    """Check that what is given to a run is for parameters that some node uses.

    `pipeline` is what the IR was compiled from: IR knows no other parameters.

    Raises:
      ParameterError: one is declared, and no node uses it.
    """
    used, declared = run_parameters(ir), getattr(pipeline, "parameters", {})
    for name in names:
        if name in declared and name not in used:
            raise ParameterError(
                f"pipeline {ir.pipeline_info.id} declares the parameter {name!r}, but no node uses "
                "it: it would change nothing",
                hint="Pass it on to a component, or leave it out.",
            )


def _proto_value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))
