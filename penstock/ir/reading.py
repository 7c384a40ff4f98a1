"""Reading IR: `tfx.orchestration.Pipeline`, made by TFX's own compiler."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from penstock import _tfx
from penstock.errors import PipelineError

# The type of the context that all executions of a run are in.
RUN_CONTEXT = "pipeline_run"


def node_protos(ir: _tfx.PipelineProto) -> list[_tfx.NodeProto]:
    """Return the nodes in topological order; pipelines in it have been inlined before."""
    return [entry.pipeline_node for entry in ir.nodes]


def deployment(ir: _tfx.PipelineProto) -> _tfx.DeploymentConfig:
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


def unpacked_spec(packed: Any, node_id: str) -> _tfx.ExecutableSpec:
    """Return an executable spec, which a deployment config has in a `google.protobuf.Any`.

    Raises:
      PipelineError: it is of a kind that is not known.
    """
    specs = _tfx.executable_spec_pb2
    for kind in (
        specs.PythonClassExecutableSpec,
        specs.BeamExecutableSpec,
        specs.ContainerExecutableSpec,
    ):
        spec = kind()
        if packed.Unpack(spec):
            return spec
    raise PipelineError(f"node {node_id}: executable specs of type {packed.type_url} are not known")


def class_path(spec: _tfx.ExecutableSpec | None) -> str | None:
    """Return the import path of the Python class that an executable spec names, if any."""
    if spec is None:
        return None
    python = getattr(spec, "python_executor_spec", spec)
    return getattr(python, "class_path", None) or None


def metadata_connection(ir: _tfx.PipelineProto) -> _tfx.Connection | None:
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


def placeholder_keys(expression: _tfx.Expression) -> Iterator[str]:
    """Yield the keys of all placeholders in an expression of the IR."""
    return (placeholder.key for placeholder in placeholders(expression))


def placeholders(expression: _tfx.Expression) -> Iterator[Any]:
    """Yield all placeholders in an expression of the IR."""
    if isinstance(expression, _tfx.placeholder_pb2.Placeholder):
        yield expression
    for described, content in expression.ListFields():
        if described.message_type is not None:
            for part in [content] if hasattr(content, "ListFields") else content:
                yield from placeholders(part)


def values(message: Any) -> Iterator[_tfx.ValueProto]:
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
                    yield from values(content[key])
        elif hasattr(content, "ListFields"):
            yield from values(content)
        else:
            for item in content:
                yield from values(item)


def runtime_parameters(ir: _tfx.PipelineProto) -> Iterator[Any]:
    """Yield every `RuntimeParameter` of the IR, also those inside structured values."""
    for value in values(ir):
        which = value.WhichOneof("value")
        if which == "runtime_parameter":
            yield value.runtime_parameter
        elif which == "structural_runtime_parameter":
            for part in value.structural_runtime_parameter.parts:
                if part.HasField("runtime_parameter"):
                    yield part.runtime_parameter
