"""How a node's work ends in the store: published, taken from the cache, or given up."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from penstock import _tfx
from penstock.errors import PenstockError, RunError
from penstock.execution import contents, staging
from penstock.execution.cache import cached_outputs, code_digests
from penstock.execution.recording import recordable
from penstock.execution.stages import Finished, Prepared
from penstock.execution.steps import Step
from penstock.metadata.protocol import Metadata
from penstock.metadata.runs import DONE_BY_PROPERTY

_STATES = _tfx.metadata_store_pb2.Execution
FAILED, CANCELED, CACHED = _STATES.FAILED, _STATES.CANCELED, _STATES.CACHED


def look_up(metadata: Metadata, prepared: Prepared) -> Prepared | Finished:
    """Publish what an earlier execution made, if it did the same; else stage the outputs."""
    info, key = prepared.info, prepared.fingerprint.key()
    context = _tfx.context_lib.register_context_if_not_exists(
        metadata_handle=metadata,
        context_type_name=_tfx.context_lib.CONTEXT_TYPE_EXECUTION_CACHE,
        context_name=key,
    )
    contexts = [*prepared.contexts, context]
    if prepared.node.is_cached:
        cached = cached_outputs(metadata.store, key, prepared.node.cache_seconds)
        if cached.outputs is not None:
            [execution] = metadata.store.get_executions_by_id([prepared.execution_id])
            for name, value in recordable(info.exec_properties).items():
                # Those that the driver computed.
                if name not in execution.properties and name not in execution.custom_properties:
                    _tfx.data_types_utils.set_metadata_value(
                        execution.custom_properties[name], value
                    )
            return _publish_cached(metadata, prepared, contexts, execution, cached.outputs)
        if cached.harm:
            prepared = replace(prepared, note=f"not from the cache, as {cached.harm}")
    staged = staging.stage(
        info.output_dict,
        prepared.node.folder,
        prepared.execution_id,
        prepared.placement.staged_outputs,
    )
    staging.make_folders(info.output_dict)
    prepared.on_step(Step.STAGED, prepared.node_id)
    return replace(prepared, contexts=contexts, staged=staged)


def _publish_cached(
    metadata: Metadata,
    prepared: Prepared,
    contexts: Sequence[_tfx.ContextProto],
    execution: _tfx.ExecutionProto,
    outputs: _tfx.Artifacts,
) -> Finished:
    _tfx.execution_publish_utils.publish_cached_executions(
        metadata_handle=metadata,
        contexts=contexts,
        executions=[execution],
        output_artifacts_maps=[outputs],
    )
    _clean(prepared)
    return Finished(prepared.execution_id, outputs, cached=True)


def publish_recorded(metadata: Metadata, prepared: Prepared, outputs: _tfx.Artifacts) -> Finished:
    """Publish artifacts that the store has already as what a node put out again."""
    [execution] = metadata.store.get_executions_by_id([prepared.execution_id])
    return _publish_cached(metadata, prepared, prepared.contexts, execution, outputs)


def publish_staged(metadata: Metadata, prepared: Prepared) -> Finished:
    """Publish what somebody else has made at the places of a node's outputs."""
    info = prepared.info
    staged = staging.stage(
        info.output_dict,
        prepared.node.folder,
        prepared.execution_id,
        prepared.placement.staged_outputs,
    )
    output = _tfx.execution_result_pb2.ExecutorOutput()
    for key, artifacts in info.output_dict.items():
        for artifact in artifacts:
            folder = os.path.dirname(artifact.uri)
            if os.path.isfile(folder):
                # The file of a value, which stands by itself where others made it.
                artifact.uri = folder
            published = output.output_artifacts[key].artifacts.add()
            published.CopyFrom(artifact.mlmd_artifact)
            contents.record(published)
    return publish(metadata, replace(prepared, staged=staged), output.SerializeToString(), {})


def publish(
    metadata: Metadata, prepared: Prepared, serialized: bytes, measured: Mapping[str, float]
) -> Finished:
    """Make a node's outputs visible, on disk and in the store.

    `measured` are resources that the work took; they become custom properties of the execution.

    Raises:
      RunError: the executor reported a failure.
    """
    output = _tfx.execution_result_pb2.ExecutorOutput.FromString(serialized)
    if output.execution_result.code != 0:
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
    if prepared.node.done_by and DONE_BY_PROPERTY not in output.execution_properties:
        output.execution_properties[DONE_BY_PROPERTY].string_value = prepared.node.done_by
    for key, value in measured.items():
        output.execution_properties[f"__{key}__"].double_value = value
    contexts = prepared.contexts
    if not code_is_the_same(prepared):
        contexts = [c for c in contexts if c.name != prepared.fingerprint.key()]
    for folder in prepared.staged:
        staging.publish(folder)
        prepared.on_step(Step.MOVED, prepared.node_id)
    published, _ = _tfx.execution_publish_utils.publish_succeeded_execution(
        metadata_handle=metadata,
        execution_id=prepared.execution_id,
        contexts=contexts,
        output_artifacts=outputs,
        executor_output=output,
    )
    prepared.on_step(Step.RECORDED, prepared.node_id)
    _clean(prepared)
    prepared.on_step(Step.CLEANED, prepared.node_id)
    typed = {
        key: [
            _tfx.artifact_utils.deserialize_artifact(a.artifact_type, a.mlmd_artifact)
            for a in artifacts
        ]
        for key, artifacts in (published or {}).items()
    }
    done_by = output.execution_properties.get(DONE_BY_PROPERTY)
    notes = [done_by.string_value if done_by else "", prepared.note]
    return Finished(prepared.execution_id, typed, note="; ".join(filter(None, notes)))


def code_is_the_same(prepared: Prepared) -> bool:
    """Whether the code is still what it was when the node was registered.

    Where somebody edited it meanwhile, nobody knows which of the two has run.
    """
    try:
        now = code_digests(prepared.node.executor_path, prepared.info.exec_properties)
    except PenstockError:
        return False
    return now == prepared.fingerprint.code


def give_up(metadata: Metadata, prepared: Prepared, state: int, reason: str = "") -> None:
    """Remove what an execution wrote, and record that it failed or was canceled."""
    # In this order: what it wrote may have filled the disk that the store is on too.
    staging.take_back(prepared.node.folder, prepared.execution_id)
    staging.discard_carried(prepared.staged)
    [execution] = metadata.store.get_executions_by_id([prepared.execution_id])
    put_end(metadata, execution, prepared.contexts, state, reason)


def put_end(
    metadata: Metadata,
    execution: _tfx.ExecutionProto,
    contexts: Sequence[_tfx.ContextProto],
    state: int,
    reason: str,
) -> None:
    """Record how an execution ended."""
    execution.last_known_state = state
    if reason:
        result = _tfx.execution_result_pb2.ExecutionResult(code=2, result_message=reason[:10_000])
        _tfx.execution_lib.set_execution_result(result, execution)
    _tfx.execution_lib.put_execution(metadata, execution, contexts)


def _clean(prepared: Prepared) -> None:
    staging.discard(prepared.node.folder, prepared.execution_id)


def _final_uri(prepared: Prepared, uri: str) -> str:
    for folder in prepared.staged:
        uri = folder.to_final(uri)
    return uri
