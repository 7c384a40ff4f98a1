"""A node that need not work has what it, or another run, has made before."""

from __future__ import annotations

from penstock import _tfx, ir
from penstock.errors import RunError
from penstock.execution.contents import first_damage
from penstock.execution.publication import CACHED
from penstock.execution.recording import recordable
from penstock.execution.registration import node_contexts
from penstock.execution.resolution import node_parameters
from penstock.execution.stages import Finished
from penstock.metadata.executions import node_executions
from penstock.metadata.protocol import Metadata, Store
from penstock.metadata.store import execution_outputs

REUSED_PROPERTY = "__reused_execution__"


def finished_in_run(store: Store, node: ir.Node) -> Finished | None:
    """Return what a node has made in its run already, None if it has not come to its end.

    Raises:
      RunError: its outputs are not there any more.
    """
    for execution in node_executions(store, node.pipeline, node.id, run=node.run_id):
        if not _tfx.execution_lib.is_execution_successful(execution):
            continue
        outputs = execution_outputs(store, execution.id)
        if harm := first_damage(outputs):
            raise RunError(
                f"run {node.run_id} cannot be resumed: of node {node.id}, {harm}",
                hint="Start a new run; what is intact comes from the cache.",
            )
        return Finished(int(execution.id), outputs, cached=execution.last_known_state == CACHED)
    return None


def take_over(
    metadata: Metadata,
    node: ir.Node,
    execution_id: int | None,
    outputs: _tfx.Artifacts,
    inputs: _tfx.Artifacts | None = None,
) -> Finished:
    """Record that a node has the outputs of an earlier execution, as what the cache gives.

    The execution's id is None where nobody knows which it is.
    """
    contexts = node_contexts(metadata, node)
    reused = {} if execution_id is None else {REUSED_PROPERTY: execution_id}
    execution = _tfx.execution_publish_utils.register_execution(
        metadata_handle=metadata,
        execution_type=node.proto.node_info.type,
        contexts=contexts,
        input_artifacts=inputs,
        exec_properties={**recordable(node_parameters(node)), **reused},
    )
    _tfx.execution_publish_utils.publish_cached_executions(
        metadata_handle=metadata,
        contexts=contexts,
        executions=[execution],
        output_artifacts_maps=[outputs],
    )
    return Finished(execution.id, outputs, cached=True)
