"""A node in ML Metadata's eyes: registered, looked up in the cache, published or given up.

Whoever runs a pipeline calls, for each node and in this order, `prepare`; `apply_driver`, if the
node has a custom driver; `look_up`; and, when the worker is done, `publish` or `give_up`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from penstock import _tfx, ir
from penstock.errors import RunError
from penstock.execution import staging
from penstock.execution.cache import CODE_PROPERTY, cache_key, cached_outputs, code_fingerprint

_STATES = _tfx.metadata_store_pb2.Execution
FAILED, CANCELED = _STATES.FAILED, _STATES.CANCELED

_SYSTEM_NODES = {
    "tfx.dsl.components.common.importer.Importer": _tfx.ImporterNodeHandler,
    "tfx.dsl.components.common.resolver.Resolver": _tfx.ResolverNodeHandler,
}


@dataclass(frozen=True)
class Skipped:
    """A node that has nothing to do, and why."""

    reason: str


@dataclass(frozen=True)
class Finished:
    """A node whose outputs are in the store; `cached` if an earlier execution made them."""

    execution_id: int
    outputs: Mapping[str, list[Any]]
    cached: bool = False


@dataclass(frozen=True)
class Prepared:
    """A node registered as running, with all that a worker needs.

    `info` is TFX's `ExecutionInfo`; `staged` are the outputs that are written elsewhere first.
    """

    node: Any
    pipeline: Any
    contexts: list[Any]
    info: Any
    executor: Any
    driver: Any | None
    folder: str
    code: str
    staged: list[staging.StagedOutput] = field(default_factory=list)

    @property
    def node_id(self) -> str:
        """The node's name."""
        return str(self.node.node_info.id)

    @property
    def execution_id(self) -> int:
        """The execution's id in the store."""
        return int(self.info.execution_id)

    def invocation(self) -> bytes:
        """Serialize what the worker needs, as TFX's `ExecutionInvocation`."""
        return self.info.to_proto().SerializeToString()


def prepare(metadata: Any, pipeline: Any, node: Any) -> Prepared | Finished | Skipped:
    """Resolve a node's inputs and register its execution; run it here if it is a system node.

    `pipeline` is bound IR, `node` one of its nodes, `metadata` a connection as `connect` gives it.

    Raises:
      RunError: inputs cannot be resolved; the execution is recorded as failed.
    """
    node_id = node.node_info.id
    handler = _SYSTEM_NODES.get(node.node_info.type.name)
    if handler is not None:
        return _run_system_node(handler(), metadata, pipeline, node)
    contexts = _tfx.context_lib.prepare_contexts(
        metadata_handle=metadata, node_contexts=node.contexts
    )
    parameters = _tfx.data_types_utils.build_parsed_value_dict(
        _tfx.inputs_utils.resolve_parameters_with_schema(node_parameters=node.parameters)
    )
    executor = ir.executor_spec(pipeline, node_id)
    try:
        resolved = _tfx.inputs_utils.resolve_input_artifacts(
            pipeline_node=node, metadata_handle=metadata
        )
        if isinstance(resolved, _tfx.inputs_utils.Skip):
            return Skipped("its condition does not hold")
        if len(resolved) > 1:
            raise _tfx.InputResolutionError("it would have to run once for each of several inputs")
        inputs = resolved[0]
        parameters.update(_dynamic_parameters(pipeline, node, executor, inputs))
    except _tfx.InputResolutionError as error:
        execution = _tfx.execution_publish_utils.register_execution(
            metadata_handle=metadata,
            execution_type=node.node_info.type,
            contexts=contexts,
            exec_properties=parameters,
            last_known_state=FAILED,
        )
        raise RunError(
            f"node {node_id}: its inputs cannot be resolved (execution {execution.id}): "
            f"{_root_cause(error)}"
        ) from error
    code = code_fingerprint(ir.class_path(executor), parameters)
    execution = _tfx.execution_publish_utils.register_execution(
        metadata_handle=metadata,
        execution_type=node.node_info.type,
        contexts=contexts,
        input_artifacts=inputs,
        exec_properties={**parameters, CODE_PROPERTY: code},
    )
    outputs = _tfx.outputs_utils.OutputsResolver(
        pipeline_node=node,
        pipeline_info=pipeline.pipeline_info,
        pipeline_runtime_spec=pipeline.runtime_spec,
    )
    folder = os.path.join(pipeline.runtime_spec.pipeline_root.field_value.string_value, node_id)
    info = _tfx.data_types.ExecutionInfo(
        execution_id=execution.id,
        input_dict={key: list(artifacts) for key, artifacts in inputs.items()},
        output_dict=dict(outputs.generate_output_artifacts(execution.id)),
        exec_properties=parameters,
        execution_output_uri=outputs.get_executor_output_uri(execution.id),
        stateful_working_dir=outputs.get_stateful_working_directory(execution),
        tmp_dir=outputs.make_tmp_dir(execution.id),
        pipeline_node=node,
        pipeline_info=pipeline.pipeline_info,
        pipeline_run_id=pipeline.runtime_spec.pipeline_run_id.field_value.string_value,
    )
    driver = ir.driver_spec(pipeline, node_id)
    return Prepared(node, pipeline, list(contexts), info, executor, driver, folder, code)


def apply_driver(prepared: Prepared, serialized: bytes) -> Prepared:
    """Take over what a custom driver decided: parameters and output artifacts."""
    output = _tfx.driver_output_pb2.DriverOutput.FromString(serialized)
    parameters = dict(prepared.info.exec_properties)
    for key, value in output.exec_properties.items():
        parameters[key] = getattr(value, value.WhichOneof("value"))
    outputs = dict(prepared.info.output_dict)
    for key, artifacts in output.output_artifacts.items():
        made = []
        for proto in artifacts.artifacts:
            artifact = type(outputs[key][0])()
            artifact.set_mlmd_artifact(proto)
            made.append(artifact)
        outputs[key] = made
    return _with_info(prepared, exec_properties=parameters, output_dict=outputs)


def look_up(metadata: Any, prepared: Prepared) -> Prepared | Finished:
    """Publish what an earlier execution made, if it did the same; else stage the outputs."""
    info = prepared.info
    key = cache_key(
        prepared.node,
        prepared.pipeline.pipeline_info.id,
        prepared.executor,
        prepared.code,
        info.input_dict,
        info.output_dict,
        info.exec_properties,
    )
    context = _tfx.context_lib.register_context_if_not_exists(
        metadata_handle=metadata,
        context_type_name=_tfx.context_lib.CONTEXT_TYPE_EXECUTION_CACHE,
        context_name=key,
    )
    contexts = [*prepared.contexts, context]
    if prepared.node.execution_options.caching_options.enable_cache:
        outputs = cached_outputs(metadata.store, context.id)
        if outputs is not None:
            [execution] = metadata.store.get_executions_by_id([prepared.execution_id])
            _tfx.execution_publish_utils.publish_cached_executions(
                metadata_handle=metadata,
                contexts=contexts,
                executions=[execution],
                output_artifacts_maps=[outputs],
            )
            _clean(prepared)
            return Finished(prepared.execution_id, outputs, cached=True)
    staged = staging.stage(info.output_dict, prepared.folder, prepared.execution_id)
    staging.make_folders(info.output_dict)
    return replace(prepared, contexts=contexts, staged=staged)


def publish(
    metadata: Any, prepared: Prepared, serialized: bytes, measured: Mapping[str, float]
) -> Finished:
    """Make a node's outputs visible, on disk and in the store.

    `measured` are resources that the work took; they become custom properties of the execution.

    Raises:
      RunError: the executor reported a failure; the execution is recorded as failed.
    """
    output = _tfx.execution_result_pb2.ExecutorOutput.FromString(serialized)
    if output.execution_result.code != 0:
        give_up(metadata, prepared, FAILED)
        raise RunError(
            f"node {prepared.node_id} failed with code {output.execution_result.code}: "
            f"{output.execution_result.result_message}"
        )
    for artifacts in output.output_artifacts.values():
        for artifact in artifacts.artifacts:
            artifact.uri = _final_uri(prepared, artifact.uri)
    outputs = prepared.info.output_dict
    for artifacts in outputs.values():
        for artifact in artifacts:
            artifact.uri = _final_uri(prepared, artifact.uri)
    for key, value in measured.items():
        output.execution_properties[f"__{key}__"].double_value = value
    staging.publish(prepared.staged)
    published, _ = _tfx.execution_publish_utils.publish_succeeded_execution(
        metadata_handle=metadata,
        execution_id=prepared.execution_id,
        contexts=prepared.contexts,
        output_artifacts=outputs,
        executor_output=output,
    )
    _clean(prepared)
    typed = {
        key: [
            _tfx.artifact_utils.deserialize_artifact(a.artifact_type, a.mlmd_artifact)
            for a in artifacts
        ]
        for key, artifacts in (published or {}).items()
    }
    return Finished(prepared.execution_id, typed)


def give_up(metadata: Any, prepared: Prepared, state: int, reason: str = "") -> None:
    """Record that an execution failed or was canceled, and remove what it wrote."""
    [execution] = metadata.store.get_executions_by_id([prepared.execution_id])
    execution.last_known_state = state
    if reason:
        result = _tfx.execution_result_pb2.ExecutionResult(code=2, result_message=reason[:10_000])
        _tfx.execution_lib.set_execution_result(result, execution)
    _tfx.execution_lib.put_execution(metadata, execution, prepared.contexts)
    _clean(prepared)


def _clean(prepared: Prepared) -> None:
    staging.discard(prepared.folder, prepared.execution_id)
    _tfx.outputs_utils.remove_stateful_working_dir(prepared.info.stateful_working_dir)


def _final_uri(prepared: Prepared, uri: str) -> str:
    for folder in prepared.staged:
        uri = folder.to_final(uri)
    return uri


def _with_info(prepared: Prepared, **changes: Any) -> Prepared:
    info = _tfx.data_types.ExecutionInfo(**{**prepared.info.__dict__, **changes})
    return replace(prepared, info=info)


def _dynamic_parameters(
    pipeline: Any, node: Any, executor: Any, inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """Read parameters that come from other nodes' artifacts."""
    info = _tfx.data_types.ExecutionInfo(
        input_dict={key: list(artifacts) for key, artifacts in inputs.items()},
        pipeline_node=node,
        pipeline_info=pipeline.pipeline_info,
        pipeline_run_id=pipeline.runtime_spec.pipeline_run_id.field_value.string_value,
    )
    resolution = _tfx.placeholder_utils.ResolutionContext(exec_info=info, executor_spec=executor)
    return _tfx.inputs_utils.resolve_dynamic_parameters(
        node_parameters=node.parameters, context=resolution
    )


def _run_system_node(handler: Any, metadata: Any, pipeline: Any, node: Any) -> Finished | Skipped:
    info = handler.run(metadata, node, pipeline.pipeline_info, pipeline.runtime_spec)
    if not info.execution_id:
        return Skipped("its condition does not hold")
    [execution] = metadata.store.get_executions_by_id([info.execution_id])
    if execution.last_known_state == FAILED:
        raise RunError(f"node {node.node_info.id}: its inputs cannot be resolved")
    return Finished(info.execution_id, info.output_dict)


def _root_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"
