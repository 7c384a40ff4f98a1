"""How a node's work begins in the store: resolved and registered as running."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import replace

from penstock import _tfx, ir
from penstock.errors import PenstockError, RunError
from penstock.execution.cache import GIVEN_PROPERTY, given_fingerprint
from penstock.execution.publication import FAILED, give_up, put_end
from penstock.execution.recording import recordable
from penstock.execution.resolution import (
    driver_parameters,
    execution_info,
    intact,
    node_parameters,
    outputs_resolver,
    resolve,
    root_cause,
)
from penstock.execution.stages import Finished, Placement, Prepared, Skipped
from penstock.execution.steps import OnStep, Step, ignore
from penstock.metadata.protocol import Metadata
from penstock.metadata.runs import IMAGE_PROPERTY, ITEM_PROPERTY
from penstock.metadata.store import execution_outputs
from penstock.project.environment import IMAGE_VARIABLE


def prepare(
    metadata: Metadata, node: ir.Node, on_step: OnStep = ignore, placement: Placement | None = None
) -> Prepared | Finished | Skipped:
    """Resolve a node's inputs and register its execution; run it here if it is a system node.

    `node` is one of bound IR. `placement` is for nodes that do not find their artifacts where they
    are recorded to be.

    Raises:
      RunError: inputs cannot be resolved; the execution is recorded as failed.
      UserCodeError: a module that the node names is missing or no Python; the same.
    """
    if node.works_in_store:
        return _run_in_store(metadata, node)
    contexts = node_contexts(metadata, node)
    try:
        resolution = resolve(metadata, node)
    except (_tfx.InputResolutionError, PenstockError, OSError) as error:
        execution = _tfx.execution_publish_utils.register_execution(
            metadata_handle=metadata,
            execution_type=node.proto.node_info.type,
            contexts=contexts,
            exec_properties={**recordable(node_parameters(node)), **_item(node)},
            last_known_state=FAILED,
        )
        if not isinstance(error, _tfx.InputResolutionError):
            put_end(metadata, execution, contexts, FAILED, str(error))
            raise
        raise RunError(
            f"node {node.id}: its inputs cannot be resolved (execution {execution.id}): "
            f"{root_cause(error)}"
        ) from error
    if isinstance(resolution, Skipped):
        return resolution
    execution = _tfx.execution_publish_utils.register_execution(
        metadata_handle=metadata,
        execution_type=node.proto.node_info.type,
        contexts=contexts,
        input_artifacts=resolution.inputs,
        exec_properties={
            **recordable(resolution.parameters),
            **resolution.fingerprint.properties(),
            **_image(),
            **_item(node),
            GIVEN_PROPERTY: given_fingerprint(
                resolution.fingerprint.node, resolution.fingerprint.code, node_parameters(node)
            ),
        },
    )
    on_step(Step.REGISTERED, node.id)
    prepared = Prepared(
        node,
        contexts,
        execution_info(resolution, execution.id),
        resolution.fingerprint,
        on_step,
        placement=placement or Placement(),
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
            f"node {node.id}: its folders cannot be made: {error.strerror}: {error.filename}",
            hint="Is the pipeline root writable, and is there space on its disk?",
        ) from error


def _item(node: ir.Node) -> dict[str, str]:
    """Return the item of a loop that a node runs for, where it stands in one."""
    return {ITEM_PROPERTY: node.item} if node.items else {}


def _image() -> dict[str, str]:
    """Return the image in which this process runs, where whoever started it says so."""
    image = os.environ.get(IMAGE_VARIABLE, "")
    return {IMAGE_PROPERTY: image} if image else {}


def node_contexts(metadata: Metadata, node: ir.Node) -> Sequence[_tfx.ContextProto]:
    """Return the contexts that a node's executions belong to, registered where they were not."""
    return list(
        _tfx.context_lib.prepare_contexts(
            metadata_handle=metadata, node_contexts=node.proto.contexts
        )
    )


def _with_local_copies(prepared: Prepared) -> Prepared:
    """Give the node's work its inputs where it can read them; the store is not told."""
    info = prepared.info
    find = prepared.placement.local_copies
    copies = find(info.input_dict, info.tmp_dir) if find else {}
    if not copies:
        return prepared
    inputs: dict[str, list[_tfx.Artifact]] = {}
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
    return prepared.with_info(input_dict=inputs, exec_properties=parameters)


def _make_working_folders(prepared: Prepared, execution: _tfx.ExecutionProto) -> None:
    outputs, info = outputs_resolver(prepared.node), prepared.info
    info.execution_output_uri = outputs.get_executor_output_uri(execution.id)
    # Found by the execution's id when it is to be removed; the store is not told.
    execution.custom_properties["__stateful_working_dir_index__"].string_value = str(execution.id)
    info.stateful_working_dir = outputs.get_stateful_working_directory(execution)
    info.tmp_dir = outputs.make_tmp_dir(execution.id)


def apply_driver(prepared: Prepared, serialized: bytes) -> Prepared:
    """Take over what a custom driver decided: parameters and output artifacts."""
    output = _tfx.driver_output_pb2.DriverOutput.FromString(serialized)
    decided = driver_parameters(output)
    outputs = dict(prepared.info.output_dict)
    for key, artifacts in output.output_artifacts.items():
        output_artifacts = []
        for proto in artifacts.artifacts:
            artifact = type(outputs[key][0])()
            artifact.set_mlmd_artifact(proto)
            output_artifacts.append(artifact)
        outputs[key] = output_artifacts
    prepared.on_step(Step.RESOLVED, prepared.node_id)
    parameters = {**prepared.info.exec_properties, **decided}
    counting = {**prepared.fingerprint.parameters, **decided}
    return replace(
        prepared.with_info(exec_properties=parameters, output_dict=outputs),
        fingerprint=replace(prepared.fingerprint, parameters=counting),
    )


def _run_in_store(metadata: Metadata, node: ir.Node) -> Finished | Skipped:
    notes: Sequence[str] = ()
    obstacle: _tfx.InputResolutionError | None = None
    if not node.is_importer:
        try:
            resolved = intact(metadata, node)
            node, notes = resolved.node, resolved.notes
        except _tfx.InputResolutionError as error:
            # TFX's handler finds the same, and records it.
            obstacle = error
    handler = _tfx.ImporterNodeHandler() if node.is_importer else _tfx.ResolverNodeHandler()
    info = handler.run(metadata, node.proto, node.info, node.runtime)
    if not info.execution_id:
        return Skipped("its condition does not hold")
    [execution] = metadata.store.get_executions_by_id([info.execution_id])
    if execution.last_known_state == FAILED:
        reason = f": {root_cause(obstacle)}" if obstacle is not None else ""
        raise RunError(f"node {node.id}: its inputs cannot be resolved{reason}") from obstacle
    outputs = info.output_dict
    if node.is_importer:  # of which TFX's handler gives a new artifact without its id
        outputs = execution_outputs(metadata.store, info.execution_id)
    return Finished(info.execution_id, outputs, note="; ".join(notes))
