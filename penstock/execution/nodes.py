"""A node in ML Metadata's eyes: registered, looked up in the cache, published or given up.

Whoever runs a pipeline calls, for each node and in this order, `prepare`; `apply_driver`, if the
node has a custom driver; `look_up`; and, when the worker is done, `publish` or `give_up`. A node
that is not to run, but whose outputs others need, is given to `reuse`.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from penstock import _tfx, ir
from penstock.errors import PenstockError, RunError
from penstock.execution import contents, staging
from penstock.execution.cache import (
    GIVEN_PROPERTY,
    Fingerprint,
    cached_outputs,
    code_digests,
    given_fingerprint,
    input_addresses,
    input_fingerprints,
    node_fingerprint,
)
from penstock.execution.contents import first_damage
from penstock.execution.steps import OnStep, Step, ignore
from penstock.metadata.executions import node_executions
from penstock.metadata.store import execution_outputs

LocalCopies = Callable[[Mapping[str, list[Any]], str], Mapping[str, str]]

_STATES = _tfx.metadata_store_pb2.Execution
FAILED, CANCELED, CACHED = _STATES.FAILED, _STATES.CANCELED, _STATES.CACHED
REUSED_PROPERTY = "__reused_execution__"

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
class Resolution:
    """What a node would do, as far as its driver has no say: read from the store, not recorded."""

    node: Any
    pipeline: Any
    inputs: Mapping[str, list[Any]]
    parameters: Mapping[str, Any]
    executor: Any
    driver: Any | None
    fingerprint: Fingerprint

    @property
    def node_id(self) -> str:
        """The node's name."""
        return str(self.node.node_info.id)

    @property
    def folder(self) -> str:
        """The node's own folder below the pipeline's root."""
        return node_folder(self.pipeline, self.node_id)


@dataclass(frozen=True)
class Site:
    """Where a node works, if artifacts are recorded to be elsewhere than its work finds them.

    `local_copies` is given the input artifacts and a folder of the node's own for files, and
    returns for addresses of artifacts where they are to be read. `places` has, by key, where
    outputs are written and where they will be.
    """

    local_copies: LocalCopies | None = None
    places: Mapping[str, staging.StagedOutput] = field(default_factory=dict)


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
    fingerprint: Fingerprint
    on_step: OnStep = ignore
    staged: list[staging.StagedOutput] = field(default_factory=list)
    site: Site = Site()

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


def node_folder(pipeline: Any, node_id: str) -> str:
    """Return the folder below the pipeline's root that holds what a node makes."""
    root = pipeline.runtime_spec.pipeline_root.field_value.string_value
    return os.path.join(root, node_id)


def is_system_node(node: Any) -> bool:
    """Whether a node does its work in the store alone: an importer or a resolver."""
    return node.node_info.type.name in _SYSTEM_NODES


def resolve(metadata: Any, pipeline: Any, node: Any) -> Resolution | Skipped:
    """Find out what a node would do; `pipeline` is bound IR, `node` one of its nodes.

    Raises:
      InputResolutionError: its inputs are not there.
    """
    parameters = node_parameters(node)
    executor = ir.executor_spec(pipeline, node.node_info.id)
    resolved = _tfx.inputs_utils.resolve_input_artifacts(
        pipeline_node=node, metadata_handle=metadata
    )
    if isinstance(resolved, _tfx.inputs_utils.Skip):
        return Skipped("its condition does not hold")
    if len(resolved) > 1:
        raise _tfx.InputResolutionError("it would have to run once for each of several inputs")
    inputs = resolved[0]
    parameters.update(_dynamic_parameters(pipeline, node, executor, inputs))
    return Resolution(
        node,
        pipeline,
        inputs,
        parameters,
        executor,
        ir.driver_spec(pipeline, node.node_info.id),
        Fingerprint(
            node_fingerprint(pipeline.pipeline_info.id, node, executor),
            code_digests(ir.class_path(executor), parameters),
            parameters,
            input_fingerprints(inputs),
            input_addresses(inputs),
        ),
    )


def conditions_hold(metadata: Any, node: Any) -> bool:
    """Whether the conditions of a node hold.

    Raises:
      InputResolutionError: the inputs that they ask for are not there.
    """
    resolved = _tfx.inputs_utils.resolve_input_artifacts(
        pipeline_node=node, metadata_handle=metadata
    )
    return not isinstance(resolved, _tfx.inputs_utils.Skip)


def node_parameters(node: Any) -> dict[str, Any]:
    """Return a node's parameters as far as they do not come from other nodes."""
    parameters: dict[str, Any] = _tfx.data_types_utils.build_parsed_value_dict(
        _tfx.inputs_utils.resolve_parameters_with_schema(node_parameters=node.parameters)
    )
    return parameters


def execution_info(resolution: Resolution, execution_id: int = 0) -> Any:
    """Return TFX's `ExecutionInfo` of a node, without folders on disk."""
    node, pipeline = resolution.node, resolution.pipeline
    outputs = _outputs_resolver(node, pipeline).generate_output_artifacts(execution_id)
    return _tfx.data_types.ExecutionInfo(
        execution_id=execution_id,
        input_dict={key: list(artifacts) for key, artifacts in resolution.inputs.items()},
        output_dict=dict(outputs),
        exec_properties=dict(resolution.parameters),
        pipeline_node=node,
        pipeline_info=pipeline.pipeline_info,
        pipeline_run_id=pipeline.runtime_spec.pipeline_run_id.field_value.string_value,
    )


def with_static_inputs(node: Any, known: Mapping[str, Iterable[int]]) -> Any:
    """Return a copy of a node that takes some inputs from the store by their artifacts' ids."""
    copied = type(node)()
    copied.CopyFrom(node)
    for key, ids in known.items():
        spec = copied.inputs.inputs[key]
        del spec.channels[:]
        spec.static_inputs.artifact_ids.extend(ids)
        spec.static_inputs.SetInParent()
    return copied


def prepare(
    metadata: Any, pipeline: Any, node: Any, on_step: OnStep = ignore, site: Site | None = None
) -> Prepared | Finished | Skipped:
    """Resolve a node's inputs and register its execution; run it here if it is a system node.

    `pipeline` is bound IR, `node` one of its nodes, `metadata` a connection as `connect` gives it.
    `site` is for nodes that do not find their artifacts where they are recorded to be.

    Raises:
      RunError: inputs cannot be resolved; the execution is recorded as failed.
      UserCodeError: a module that the node names is missing or no Python; the same.
    """
    node_id = node.node_info.id
    handler = _SYSTEM_NODES.get(node.node_info.type.name)
    if handler is not None:
        return _run_system_node(handler(), metadata, pipeline, node)
    contexts = _contexts(metadata, node)
    try:
        resolution = resolve(metadata, pipeline, node)
    except (_tfx.InputResolutionError, PenstockError, OSError) as error:
        execution = _tfx.execution_publish_utils.register_execution(
            metadata_handle=metadata,
            execution_type=node.node_info.type,
            contexts=contexts,
            exec_properties=node_parameters(node),
            last_known_state=FAILED,
        )
        if not isinstance(error, _tfx.InputResolutionError):
            _put_end(metadata, execution, contexts, FAILED, str(error))
            raise
        raise RunError(
            f"node {node_id}: its inputs cannot be resolved (execution {execution.id}): "
            f"{root_cause(error)}"
        ) from error
    if isinstance(resolution, Skipped):
        return resolution
    execution = _tfx.execution_publish_utils.register_execution(
        metadata_handle=metadata,
        execution_type=node.node_info.type,
        contexts=contexts,
        input_artifacts=resolution.inputs,
        exec_properties={
            **resolution.parameters,
            **resolution.fingerprint.properties(),
            GIVEN_PROPERTY: given_fingerprint(
                resolution.fingerprint.node, resolution.fingerprint.code, node_parameters(node)
            ),
        },
    )
    on_step(Step.REGISTERED, node_id)
    prepared = Prepared(
        node,
        pipeline,
        contexts,
        execution_info(resolution, execution.id),
        resolution.executor,
        resolution.driver,
        resolution.folder,
        resolution.fingerprint,
        on_step,
        site=site or Site(),
    )
    try:
        _make_working_folders(prepared, execution)
        return _with_local_copies(prepared)
    except PenstockError as error:
        give_up(metadata, prepared, FAILED, str(error))
        raise
    except OSError as error:
        give_up(metadata, prepared, FAILED, str(error))
        raise RunError(
            f"node {node_id}: its folders cannot be made: {error.strerror}: {error.filename}",
            hint="Is the pipeline root writable, and is there space on its disk?",
        ) from error


def _with_local_copies(prepared: Prepared) -> Prepared:
    """Give the node's work its inputs where it can read them; the store is not told."""
    info = prepared.info
    find = prepared.site.local_copies
    copies = find(info.input_dict, info.tmp_dir) if find else {}
    if not copies:
        return prepared
    inputs: dict[str, list[Any]] = {}
    for key, artifacts in info.input_dict.items():
        inputs[key] = [copy.deepcopy(artifact) for artifact in artifacts]
        for artifact in inputs[key]:
            artifact.uri = copies.get(artifact.uri, artifact.uri)
    addresses = sorted(copies, key=len, reverse=True)
    parameters = dict(info.exec_properties)
    for name, value in parameters.items():
        if prepared.fingerprint.is_address(value):
            for address in addresses:
                value = value.replace(address, copies[address])
            parameters[name] = value
    return _with_info(prepared, input_dict=inputs, exec_properties=parameters)


def _make_working_folders(prepared: Prepared, execution: Any) -> None:
    outputs, info = _outputs_resolver(prepared.node, prepared.pipeline), prepared.info
    info.execution_output_uri = outputs.get_executor_output_uri(execution.id)
    # Found by the execution's id when it is to be removed; the store is not told.
    execution.custom_properties["__stateful_working_dir_index__"].string_value = str(execution.id)
    info.stateful_working_dir = outputs.get_stateful_working_directory(execution)
    info.tmp_dir = outputs.make_tmp_dir(execution.id)


def finished_in_run(store: Any, pipeline: Any, node: Any, run_id: str) -> Finished | None:
    """Return what a node has made in a run already, None if it has not come to its end.

    Raises:
      RunError: its outputs are not there any more.
    """
    name = pipeline.pipeline_info.id
    for execution in node_executions(store, name, node.node_info.id, run=run_id):
        if not _tfx.execution_lib.is_execution_successful(execution):
            continue
        outputs = execution_outputs(store, execution.id)
        if harm := first_damage(outputs):
            raise RunError(
                f"run {run_id} cannot be resumed: of node {node.node_info.id}, {harm}",
                hint="Start a new run; what is intact comes from the cache.",
            )
        return Finished(int(execution.id), outputs, cached=execution.last_known_state == CACHED)
    return None


def reuse(metadata: Any, pipeline: Any, node: Any, base_run: str | None = None) -> Finished:
    """Take a node's outputs over from its newest successful execution, or that of a certain run.

    Raises:
      RunError: there is none whose outputs are all still there.
    """
    execution_id, outputs = require_reusable(metadata.store, pipeline, node, base_run)
    contexts = _contexts(metadata, node)
    execution = _tfx.execution_publish_utils.register_execution(
        metadata_handle=metadata,
        execution_type=node.node_info.type,
        contexts=contexts,
        exec_properties={**node_parameters(node), REUSED_PROPERTY: execution_id},
    )
    _tfx.execution_publish_utils.publish_cached_executions(
        metadata_handle=metadata,
        contexts=contexts,
        executions=[execution],
        output_artifacts_maps=[outputs],
    )
    return Finished(execution.id, outputs, cached=True)


def require_reusable(
    store: Any, pipeline: Any, node: Any, base_run: str | None = None
) -> tuple[int, dict[str, list[Any]]]:
    """Return what `reusable` finds.

    Raises:
      RunError: it finds none.
    """
    node_id = node.node_info.id
    found = reusable(store, pipeline, node, base_run)
    if found is None:
        where = f"run {base_run}" if base_run else f"any run of {pipeline.pipeline_info.id}"
        raise RunError(
            f"node {node_id} is left out, but nodes that are to run need its outputs, and it has "
            f"none from {where}",
            hint="Let it run too: widen --from, --to or --only.",
        )
    return found


def reusable(
    store: Any, pipeline: Any, node: Any, base_run: str | None = None
) -> tuple[int, dict[str, list[Any]]] | None:
    """Return the newest successful execution of a node, and its outputs, if all are intact."""
    executions = node_executions(store, pipeline.pipeline_info.id, node.node_info.id, run=base_run)
    for execution in executions:
        if _tfx.execution_lib.is_execution_successful(execution):
            outputs = execution_outputs(store, execution.id)
            if not first_damage(outputs):
                return int(execution.id), outputs
    return None


def _contexts(metadata: Any, node: Any) -> list[Any]:
    return list(
        _tfx.context_lib.prepare_contexts(metadata_handle=metadata, node_contexts=node.contexts)
    )


def _outputs_resolver(node: Any, pipeline: Any) -> Any:
    return _tfx.outputs_utils.OutputsResolver(
        pipeline_node=node,
        pipeline_info=pipeline.pipeline_info,
        pipeline_runtime_spec=pipeline.runtime_spec,
    )


def apply_driver(prepared: Prepared, serialized: bytes) -> Prepared:
    """Take over what a custom driver decided: parameters and output artifacts."""
    output = _tfx.driver_output_pb2.DriverOutput.FromString(serialized)
    decided = driver_parameters(output)
    outputs = dict(prepared.info.output_dict)
    for key, artifacts in output.output_artifacts.items():
        made = []
        for proto in artifacts.artifacts:
            artifact = type(outputs[key][0])()
            artifact.set_mlmd_artifact(proto)
            made.append(artifact)
        outputs[key] = made
    prepared.on_step(Step.RESOLVED, prepared.node_id)
    parameters = {**prepared.info.exec_properties, **decided}
    counting = {**prepared.fingerprint.parameters, **decided}
    return replace(
        _with_info(prepared, exec_properties=parameters, output_dict=outputs),
        fingerprint=replace(prepared.fingerprint, parameters=counting),
    )


def driver_parameters(output: Any) -> dict[str, Any]:
    """Return the parameters that a `DriverOutput` has."""
    return {
        key: getattr(value, value.WhichOneof("value"))
        for key, value in output.exec_properties.items()
    }


def look_up(metadata: Any, prepared: Prepared) -> Prepared | Finished:
    """Publish what an earlier execution made, if it did the same; else stage the outputs."""
    info, key = prepared.info, prepared.fingerprint.key()
    context = _tfx.context_lib.register_context_if_not_exists(
        metadata_handle=metadata,
        context_type_name=_tfx.context_lib.CONTEXT_TYPE_EXECUTION_CACHE,
        context_name=key,
    )
    contexts = [*prepared.contexts, context]
    if prepared.node.execution_options.caching_options.enable_cache:
        found = cached_outputs(metadata.store, key)
        if found is not None:
            _, outputs = found
            [execution] = metadata.store.get_executions_by_id([prepared.execution_id])
            for name, value in info.exec_properties.items():
                # Those that the driver computed.
                if name not in execution.properties and name not in execution.custom_properties:
                    _tfx.data_types_utils.set_metadata_value(
                        execution.custom_properties[name], value
                    )
            return _publish_cached(metadata, prepared, contexts, execution, outputs)
    staged = staging.stage(
        info.output_dict, prepared.folder, prepared.execution_id, prepared.site.places
    )
    staging.make_folders(info.output_dict)
    prepared.on_step(Step.STAGED, prepared.node_id)
    return replace(prepared, contexts=contexts, staged=staged)


def _publish_cached(
    metadata: Any,
    prepared: Prepared,
    contexts: list[Any],
    execution: Any,
    outputs: Mapping[str, list[Any]],
) -> Finished:
    _tfx.execution_publish_utils.publish_cached_executions(
        metadata_handle=metadata,
        contexts=contexts,
        executions=[execution],
        output_artifacts_maps=[outputs],
    )
    _clean(prepared)
    return Finished(prepared.execution_id, outputs, cached=True)


def take_known(metadata: Any, prepared: Prepared, outputs: Mapping[str, list[Any]]) -> Finished:
    """Publish artifacts that the store has already as what a node put out again."""
    [execution] = metadata.store.get_executions_by_id([prepared.execution_id])
    return _publish_cached(metadata, prepared, prepared.contexts, execution, outputs)


def take_made(metadata: Any, prepared: Prepared) -> Finished:
    """Publish what somebody else has made at the places of a node's outputs."""
    info = prepared.info
    staged = staging.stage(
        info.output_dict, prepared.folder, prepared.execution_id, prepared.site.places
    )
    output = _tfx.execution_result_pb2.ExecutorOutput()
    for key, artifacts in info.output_dict.items():
        for artifact in artifacts:
            folder = os.path.dirname(artifact.uri)
            if os.path.isfile(folder):
                # The file of a value, which stands by itself where others made it.
                artifact.uri = folder
            made = output.output_artifacts[key].artifacts.add()
            made.CopyFrom(artifact.mlmd_artifact)
            contents.record(made)
    return publish(metadata, replace(prepared, staged=staged), output.SerializeToString(), {})


def publish(
    metadata: Any, prepared: Prepared, serialized: bytes, measured: Mapping[str, float]
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
    return Finished(prepared.execution_id, typed)


def code_is_the_same(prepared: Prepared) -> bool:
    """Whether the code is still what it was when the node was registered.

    Where somebody edited it meanwhile, nobody knows which of the two has run.
    """
    try:
        now = code_digests(ir.class_path(prepared.executor), prepared.info.exec_properties)
    except PenstockError:
        return False
    return now == prepared.fingerprint.code


def give_up(metadata: Any, prepared: Prepared, state: int, reason: str = "") -> None:
    """Remove what an execution wrote, and record that it failed or was canceled."""
    # In this order: what it wrote may have filled the disk that the store is on too.
    staging.take_back(prepared.folder, prepared.execution_id)
    staging.discard_carried(prepared.staged)
    [execution] = metadata.store.get_executions_by_id([prepared.execution_id])
    _put_end(metadata, execution, prepared.contexts, state, reason)


def _put_end(metadata: Any, execution: Any, contexts: list[Any], state: int, reason: str) -> None:
    execution.last_known_state = state
    if reason:
        result = _tfx.execution_result_pb2.ExecutionResult(code=2, result_message=reason[:10_000])
        _tfx.execution_lib.set_execution_result(result, execution)
    _tfx.execution_lib.put_execution(metadata, execution, contexts)


def _clean(prepared: Prepared) -> None:
    staging.discard(prepared.folder, prepared.execution_id)


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


def root_cause(error: BaseException) -> str:
    """Return the innermost reason of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"
