"""Putting in order what a process left behind that was killed while it ran a pipeline."""

from __future__ import annotations

from collections.abc import Iterable

from penstock import _tfx
from penstock.execution import staging
from penstock.execution.publication import FAILED
from penstock.ir.reading import RUN_CONTEXT
from penstock.metadata import attempts, turns
from penstock.metadata.protocol import Metadata, Store
from penstock.metadata.reading import Place, places_of, run_context
from penstock.metadata.run_requests import record_state, run_root, run_state


def mark_abandoned(metadata: Metadata) -> list[str]:
    """Record that runs have ended whose process is gone, and remove what it had half done.

    Returns the runs' names. Killed in the middle, it can simply be called again.
    """
    store = metadata.store
    marked = []
    recent = attempts.read_recent(store)
    for attempt in recent.abandoned():
        _mark(store, attempt)
        turns.end(store, attempt, turns.ABANDONED)
        marked.append(attempt.run_id)
    attempts.note_ended(store, recent)
    return marked


def mark_superseded(metadata: Metadata, run_id: str, node_id: str) -> None:
    """Record that earlier attempts at a node have ended, because another one begins now.

    Whoever starts processes for nodes starts another one only where the last one is gone; one that
    is not will notice that it has lost its lease.
    """
    store = metadata.store
    for attempt in attempts.attempts(store, run_id, node_id):
        if attempt.state == turns.RUNNING:
            _mark(store, attempt)
            turns.end(store, attempt, turns.ABANDONED)


def _mark(store: Store, attempt: attempts.Attempt) -> None:
    context = store.get_context_by_type_and_name(RUN_CONTEXT, attempt.run_id)
    if context is None:
        return
    executions = store.get_executions_by_context(context.id)
    # Asked after the executions: what a later attempt has registered is not among them then, or
    # the later attempt is seen here.
    if not turns.is_latest(store, attempt):
        return
    holder = attempt.holder
    reason = f"process {holder.process_id} on {holder.name}, which ran it, ended without saying so"
    if attempt.node_id:
        _end_node(store, executions, attempt.node_id, reason)
        return
    _end(store, attempt.run_id, executions, run_root(context), reason)
    if run_state(context) == turns.RUNNING:
        record_state(store, attempt.run_id, turns.ABANDONED)


def end_executions(store: Store, run_id: str, reason: str) -> None:
    """Record the executions of a run that are not over as failed: nobody works on them."""
    context = run_context(store, run_id)
    _end(store, run_id, store.get_executions_by_context(context.id), run_root(context), reason)


def _end(
    store: Store, run_id: str, executions: Iterable[_tfx.ExecutionProto], root: str, reason: str
) -> None:
    executions = list(executions)
    places = places_of(store, [execution.id for execution in executions])
    for execution in executions:
        is_running = execution.last_known_state == _tfx.metadata_store_pb2.Execution.RUNNING
        if root:
            node_id = places.get(execution.id, Place()).node_id
            # Also those that are over may have left something: a machine that marked them
            # abandoned need not reach the root.
            succeeded = _tfx.execution_lib.is_execution_successful(execution)
            staging.withdraw(root, run_id, node_id, execution.id, published=not succeeded)
        if is_running:
            _put_failed(store, execution, reason)


def _end_node(
    store: Store, executions: Iterable[_tfx.ExecutionProto], node_id: str, reason: str
) -> None:
    """Record the executions of one node of a run; what they wrote went with their machine."""
    running = [
        execution
        for execution in executions
        if execution.last_known_state == _tfx.metadata_store_pb2.Execution.RUNNING
    ]
    places = places_of(store, [execution.id for execution in running])
    for execution in running:
        if places.get(execution.id, Place()).node_id == node_id:
            _put_failed(store, execution, reason)


def _put_failed(store: Store, execution: _tfx.ExecutionProto, reason: str) -> None:
    execution.last_known_state = FAILED
    result = _tfx.execution_result_pb2.ExecutionResult(code=1, result_message=reason)
    _tfx.execution_lib.set_execution_result(result, execution)
    store.put_executions([execution])
