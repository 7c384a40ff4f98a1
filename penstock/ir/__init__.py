"""A pipeline as TFX's intermediate representation (IR), and reading it.

The IR is `tfx.orchestration.Pipeline`, made by TFX's own compiler. What runs, plans or translates
a pipeline reads this and nothing else. A pipeline parameter inside a structured value is a
structural runtime parameter there, of type STRING, bound to the value's JSON text under the name
`{parameter}@{type}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock import _tfx
from penstock.authoring.options import pod_options, uses_cache
from penstock.authoring.pipeline import PipelineDefinition
from penstock.authoring.values import PARAMETER_KEY
from penstock.errors import ParameterError, PipelineError, suggestion
from penstock.project.pods import PodOptions
from penstock.project.tables import as_table, read_table

PIPELINE_ROOT = "pipeline-root"
RUN_ID = "pipeline-run-id"

# Under which a node's platform config holds its options for pods.
_POD_KEY = "pod"

_TYPES = {"str": str, "int": int, "float": float, "bool": bool}
_PROTO_TYPES = {1: int, 2: float, 3: str}


@dataclass(frozen=True)
class RunParameter:
    """A parameter of a run; one without a default must be given."""

    name: str
    type: type
    default: Any = None
    has_default: bool = False


def compile_pipeline(
    pipeline: Any,
    *,
    pipeline_root: str | None = None,
    metadata_connection_config: Any = None,
    beam_args: Iterable[str] = (),
) -> Any:
    """Return the IR of a pipeline: one of ours, a TFX `Pipeline`, or IR already.

    Root, metadata store and Beam arguments are what a TFX pipeline has of its own where they are
    not given.

    Raises:
      PipelineError: it is no pipeline, or it does not hold together.
    """
    if isinstance(pipeline, _tfx.pipeline_pb2.Pipeline):
        copied = _tfx.pipeline_pb2.Pipeline()
        copied.CopyFrom(pipeline)
        return copied
    defined = None
    if isinstance(pipeline, PipelineDefinition):
        defined = pipeline
        pipeline = pipeline.build(
            pipeline_root=pipeline_root or "",
            metadata_connection_config=metadata_connection_config,
            beam_args=beam_args,
        )
    if not isinstance(pipeline, _tfx.Pipeline):
        raise PipelineError(
            f"expected a pipeline, got {pipeline!r} ({type(pipeline).__name__})",
            hint="Pass a function decorated with @pipeline, or a TFX Pipeline.",
        )
    ir = _tfx.Compiler().compile(pipeline)
    uncached = {node.id for node in pipeline.components if not uses_cache(node)}
    for entry in ir.nodes:
        if entry.pipeline_node.node_info.id in uncached:
            entry.pipeline_node.execution_options.caching_options.enable_cache = False
    _add_pod_options(ir, pipeline.components)
    for value in _values(ir):
        _expand_references(value)
    if defined is not None:
        _keep_falsy_defaults(ir, defined)
    return ir


def run_parameters(ir: Any) -> dict[str, RunParameter]:
    """Return the parameters that a run of the pipeline takes, by name."""
    found: dict[str, RunParameter] = {}
    for parameter in _runtime_parameters(ir):
        name, _, kind = parameter.name.partition("@")
        if name in (PIPELINE_ROOT, RUN_ID):
            continue
        has_default = parameter.HasField("default_value")
        default = _proto_value(parameter.default_value) if has_default else None
        if kind:
            default = json.loads(default or "null")
        if name not in found or (has_default and not found[name].has_default):
            proto_type = _TYPES[kind] if kind else _PROTO_TYPES[parameter.type]
            found[name] = RunParameter(name, proto_type, default, has_default)
    return found


def bind(ir: Any, *, run_id: str, parameters: Mapping[str, Any]) -> Any:
    """Return a copy of the IR in which every runtime parameter has its value.

    Raises:
      ParameterError: a parameter is unknown, missing or of the wrong type.
    """
    known = run_parameters(ir)
    bindings: dict[str, Any] = {RUN_ID: run_id}
    for name, value in effective_parameters(ir, parameters).items():
        bindings[name] = value
        bindings[f"{name}@{known[name].type.__name__}"] = json.dumps(value)
    bound = _tfx.pipeline_pb2.Pipeline()
    bound.CopyFrom(ir)
    for parameter in _runtime_parameters(bound):
        name, _, kind = parameter.name.partition("@")
        if (
            not kind
            and name in bindings
            and parameter.type == _tfx.pipeline_pb2.RuntimeParameter.DOUBLE
        ):
            bindings[name] = float(bindings[name])
    _tfx.runtime_parameter_utils.substitute_runtime_parameter(bound, bindings)
    return bound


def effective_parameters(ir: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of all parameters of a run, defaults included.

    Raises:
      ParameterError: a parameter is unknown, missing or of the wrong type.
    """
    check_parameters(ir, given)
    known = run_parameters(ir)
    pipeline = ir.pipeline_info.id
    values = {}
    for parameter in known.values():
        if parameter.name in given:
            values[parameter.name] = parameter.type(given[parameter.name])
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


def check_parameters(ir: Any, given: Mapping[str, Any]) -> None:
    """Check parameters that are given to a run.

    Raises:
      ParameterError: one is unknown or of the wrong type.
    """
    known = run_parameters(ir)
    pipeline = ir.pipeline_info.id
    for name, value in given.items():
        if name not in known:
            raise ParameterError(
                f"pipeline {pipeline} has no parameter {name!r}",
                hint=suggestion(name, known, noun="parameter"),
            )
        expected = known[name].type
        fits = type(value) is expected or (expected is float and type(value) is int)
        if not fits:
            raise ParameterError(
                f"pipeline {pipeline}, parameter {name!r}: expected {expected.__name__}, got "
                f"{value!r} ({type(value).__name__})"
            )


def nodes(ir: Any) -> list[Any]:
    """Return the nodes in topological order.

    Raises:
      PipelineError: a pipeline stands inside the pipeline.
    """
    for entry in ir.nodes:
        if entry.HasField("sub_pipeline"):
            raise PipelineError(
                f"pipeline {ir.pipeline_info.id} contains the pipeline "
                f"{entry.sub_pipeline.pipeline_info.id}, which cannot be run in place",
                hint="Put its nodes into the outer pipeline, or run it on its own.",
            )
    return [entry.pipeline_node for entry in ir.nodes]


def node_ids(ir: Any) -> list[str]:
    """Return the names of the nodes in topological order."""
    return [node.node_info.id for node in nodes(ir)]


def deployment(ir: Any) -> Any:
    """Return how the nodes are executed: TFX's IntermediateDeploymentConfig.

    Raises:
      PipelineError: the IR says it in another form.
    """
    config = _tfx.pipeline_pb2.IntermediateDeploymentConfig()
    if not ir.deployment_config.Unpack(config):
        raise PipelineError(
            f"pipeline {ir.pipeline_info.id}: expected an IntermediateDeploymentConfig, got "
            f"{ir.deployment_config.type_url}"
        )
    return config


def executor_spec(ir: Any, node_id: str) -> Any | None:
    """Return the executable spec of a node, or None for importers and resolvers."""
    return _spec(deployment(ir).executor_specs, node_id)


def driver_spec(ir: Any, node_id: str) -> Any | None:
    """Return the spec of a node's custom driver, if it has one."""
    return _spec(deployment(ir).custom_driver_specs, node_id)


def _spec(packed: Any, node_id: str) -> Any | None:
    if node_id not in packed:
        return None
    specs = _tfx.executable_spec_pb2
    for kind in (
        specs.PythonClassExecutableSpec,
        specs.BeamExecutableSpec,
        specs.ContainerExecutableSpec,
    ):
        spec = kind()
        if packed[node_id].Unpack(spec):
            return spec
    raise PipelineError(
        f"node {node_id}: executable specs of type {packed[node_id].type_url} are not known"
    )


def platform_config(ir: Any, node_id: str) -> Any | None:
    """Return what the pipeline says of the platform that a node runs on, packed, if it does."""
    return deployment(ir).node_level_platform_configs.get(node_id)


def pod_options_of(ir: Any, node_id: str) -> PodOptions:
    """Return what the pipeline itself asks of Kubernetes for a node."""
    from google.protobuf import json_format, struct_pb2

    packed, table = platform_config(ir, node_id), struct_pb2.Struct()
    if packed is None or not packed.Unpack(table):
        return PodOptions()
    return read_table(PodOptions, json_format.MessageToDict(table)[_POD_KEY], key=node_id)


def _add_pod_options(ir: Any, components: Iterable[Any]) -> None:
    """Write the nodes' options for pods into the IR; TFX's own runners refuse a config like this.

    Raises:
      PipelineError: a node has a platform config beside them.
    """
    from google.protobuf import struct_pb2

    asked = {node.id: pod_options(node) for node in components if pod_options(node) is not None}
    if not asked:
        return
    config = deployment(ir)
    for node_id, options in sorted(asked.items()):
        if node_id in config.node_level_platform_configs:
            raise PipelineError(
                f"node {node_id} has options for its pod and a platform config of TFX's",
                hint="Say it all in with_options(node, pod=PodOptions(...)).",
            )
        table = struct_pb2.Struct()
        table.update({_POD_KEY: as_table(options)})
        config.node_level_platform_configs[node_id].Pack(table)
    ir.deployment_config.Pack(config)


def class_path(spec: Any | None) -> str | None:
    """Return the import path of the Python class that an executable spec names, if any."""
    if spec is None:
        return None
    python = getattr(spec, "python_executor_spec", spec)
    return getattr(python, "class_path", None) or None


def metadata_connection(ir: Any) -> Any | None:
    """Return the connection to ML Metadata that the pipeline itself names, if it does."""
    packed = deployment(ir).metadata_connection_config
    for kind in (
        _tfx.metadata_store_pb2.ConnectionConfig,
        _tfx.metadata_store_pb2.MetadataStoreClientConfig,
    ):
        config = kind()
        if packed.Unpack(config):
            return config
    return None


def placeholder_keys(expression: Any) -> Iterator[str]:
    """Yield the keys of all placeholders in an expression of the IR."""
    if isinstance(expression, _tfx.placeholder_pb2.Placeholder):
        yield expression.key
    for described, content in expression.ListFields():
        if described.message_type is not None:
            for part in [content] if hasattr(content, "ListFields") else content:
                yield from placeholder_keys(part)


def _values(message: Any) -> Iterator[Any]:
    """Yield every `Value` in a message of the IR, once."""
    if isinstance(message, _tfx.pipeline_pb2.Value):
        yield message
        return
    for field, content in message.ListFields():
        if field.message_type is None or field.message_type.full_name == "google.protobuf.Any":
            continue
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is not None:
                for key in content:
                    yield from _values(content[key])
        elif hasattr(content, "ListFields"):
            yield from _values(content)
        else:
            for item in content:
                yield from _values(item)


def _runtime_parameters(ir: Any) -> Iterator[Any]:
    for value in _values(ir):
        which = value.WhichOneof("value")
        if which == "runtime_parameter":
            yield value.runtime_parameter
        elif which == "structural_runtime_parameter":
            for part in value.structural_runtime_parameter.parts:
                if part.HasField("runtime_parameter"):
                    yield part.runtime_parameter


def _expand_references(value: Any) -> None:
    """Turn JSON text that refers to pipeline parameters into a structural runtime parameter."""
    text = value.field_value.string_value if value.WhichOneof("value") == "field_value" else ""
    opening = f'{{"{PARAMETER_KEY}": '
    if opening not in text:
        return
    parts = _tfx.pipeline_pb2.StructuralRuntimeParameter()
    decoder = json.JSONDecoder()
    while opening in text:
        before, _, _ = text.partition(opening)
        reference, length = decoder.raw_decode(text[len(before) :])
        if before:
            parts.parts.add().constant_value = before
        described = reference[PARAMETER_KEY]
        parameter = parts.parts.add().runtime_parameter
        parameter.name = f"{described['name']}@{described['type']}"
        parameter.type = _tfx.pipeline_pb2.RuntimeParameter.STRING
        if described["default"] is not None:
            parameter.default_value.string_value = json.dumps(described["default"])
        text = text[len(before) + length :]
    if text:
        parts.parts.add().constant_value = text
    value.structural_runtime_parameter.CopyFrom(parts)


def _keep_falsy_defaults(ir: Any, defined: PipelineDefinition) -> None:
    """Restore the defaults 0, 0.0 and "", which TFX's compiler takes for no default."""
    for parameter in _runtime_parameters(ir):
        declared = defined.parameters.get(parameter.name)
        if declared is None or declared.name in defined.required or declared.default:
            continue
        field = {int: "int_value", float: "double_value", str: "string_value"}[declared.type]
        setattr(parameter.default_value, field, declared.default)


def _proto_value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))
