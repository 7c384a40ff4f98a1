"""A pipeline's IR reduced to one node, as a pod is told it.

What is in it goes into Kubeflow's cache key. So nothing stands there that others decide: the nodes
before and after this one, how often Kubeflow tries it, and where the pipeline was compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from google.protobuf import struct_pb2

from penstock import _tfx, ir
from penstock.safety import secrets


def node_alone(
    pipeline: ir.Pipeline,
    node: ir.Node,
    relocate: Callable[[str], str],
    *,
    inputs: Iterable[str] | None = None,
) -> _tfx.PipelineProto:
    """Return a copy of the IR with one node, in which paths are places; `inputs` are kept of it.

    Neither the pipeline's own root nor its own metadata store is in it: those of a pod are others,
    and the second may hold a password.
    """
    alone = _tfx.pipeline_pb2.Pipeline()
    alone.pipeline_info.CopyFrom(node.info)
    alone.execution_mode = pipeline.proto.execution_mode
    alone.runtime_spec.CopyFrom(node.runtime)
    alone.runtime_spec.pipeline_root.runtime_parameter.ClearField("default_value")
    copied = alone.nodes.add().pipeline_node
    copied.CopyFrom(secrets.map_texts(node.proto, relocate))
    for field in ("upstream_nodes", "downstream_nodes", "execution_options"):
        copied.ClearField(field)
    caching = node.proto.execution_options.caching_options
    copied.execution_options.caching_options.CopyFrom(caching)
    if inputs is not None:
        for key in set(copied.inputs.inputs) - set(inputs):
            del copied.inputs.inputs[key]
    config = _tfx.pipeline_pb2.IntermediateDeploymentConfig()
    for specs, spec in (
        (config.executor_specs, node.executor),
        (config.custom_driver_specs, node.driver),
    ):
        if spec is not None:
            specs[node.id].Pack(secrets.map_texts(spec, relocate))
    if node.cache_seconds:
        table = struct_pb2.Struct()
        table.update({ir.CACHE_SECONDS_KEY: node.cache_seconds})
        config.node_level_platform_configs[node.id].Pack(table)
    alone.deployment_config.Pack(config)
    return alone
