"""Which executions a node has had, and which node an execution belongs to."""

from __future__ import annotations

from typing import Any

from penstock.metadata.reading import NODE_CONTEXT, PIPELINE_CONTEXT, RUN_CONTEXT


def node_of(store: Any, execution_id: int) -> str:
    """Return the name of the node that an execution belongs to."""
    named = {c.type: c.name for c in store.get_contexts_by_execution(execution_id)}
    return str(named.get(NODE_CONTEXT, "")).removeprefix(f"{named.get(PIPELINE_CONTEXT, '')}.")


def node_executions(
    store: Any, pipeline_name: str, node_id: str, *, run: str | None = None
) -> list[Any]:
    """Return the executions of a node, newest first; with `run`, only those of that run."""
    context = store.get_context_by_type_and_name(NODE_CONTEXT, f"{pipeline_name}.{node_id}")
    if context is None:
        return []
    executions = store.get_executions_by_context(context.id)
    if run is not None:
        run_context = store.get_context_by_type_and_name(RUN_CONTEXT, run)
        of_run = store.get_executions_by_context(run_context.id) if run_context else []
        executions = [e for e in executions if e.id in {other.id for other in of_run}]
    return sorted(executions, key=lambda execution: execution.id, reverse=True)
