"""Names of what travels: TFX's IR, ML Metadata's records, and TFX's own objects of them.

Their classes are made by protobuf when they are imported, so for a type checker they are opaque.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from penstock._tfx.core import (
    data_types,
    executable_spec_pb2,
    execution_result_pb2,
    metadata_store_pb2,
    ml_metadata,
    pipeline_pb2,
    placeholder_pb2,
    types,
)

PipelineProto: TypeAlias = pipeline_pb2.Pipeline
NodeProto: TypeAlias = pipeline_pb2.PipelineNode
PipelineInfo: TypeAlias = pipeline_pb2.PipelineInfo
RuntimeSpec: TypeAlias = pipeline_pb2.PipelineRuntimeSpec
DeploymentConfig: TypeAlias = pipeline_pb2.IntermediateDeploymentConfig
Channel: TypeAlias = pipeline_pb2.InputSpec.Channel
InputSpec: TypeAlias = pipeline_pb2.InputSpec
ValueProto: TypeAlias = pipeline_pb2.Value
Expression: TypeAlias = placeholder_pb2.PlaceholderExpression
ExecutableSpec: TypeAlias = (
    executable_spec_pb2.PythonClassExecutableSpec
    | executable_spec_pb2.BeamExecutableSpec
    | executable_spec_pb2.ContainerExecutableSpec
)

ArtifactProto: TypeAlias = metadata_store_pb2.Artifact
ContextProto: TypeAlias = metadata_store_pb2.Context
ArtifactTypeProto: TypeAlias = metadata_store_pb2.ArtifactType
ContextTypeProto: TypeAlias = metadata_store_pb2.ContextType
EventProto: TypeAlias = metadata_store_pb2.Event
ExecutionProto: TypeAlias = metadata_store_pb2.Execution
LineageGraph: TypeAlias = metadata_store_pb2.LineageGraph
ListOptions: TypeAlias = ml_metadata.ListOptions
Connection: TypeAlias = (
    metadata_store_pb2.ConnectionConfig | metadata_store_pb2.MetadataStoreClientConfig
)

Artifact: TypeAlias = types.Artifact
# By key, those of a key in their order.
Artifacts: TypeAlias = Mapping[str, Sequence[Artifact]]
ExecutionInfo: TypeAlias = data_types.ExecutionInfo
ExecutorOutput: TypeAlias = execution_result_pb2.ExecutorOutput
