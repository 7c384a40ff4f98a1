"""Which executions a node has had."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from penstock import _tfx
from penstock.ir.reading import RUN_CONTEXT
from penstock.metadata.protocol import Store
from penstock.metadata.reading import NODE_CONTEXT

_FIRST_PORTION, _LARGEST_PORTION = 4, 1000


def node_executions(
    store: Store, pipeline_name: str, node_id: str, *, run: str | None = None, where: str = ""
) -> Iterator[Any]:
    """Yield the executions of a node, newest first; with `run`, only those of that run.

    `where` is a condition in ML Metadata's query language. A node may have had thousands: they are
    read as they are asked for.
    """
    context = store.get_context_by_type_and_name(NODE_CONTEXT, f"{pipeline_name}.{node_id}")
    if context is None:
        return
    conditions = [where] if where else []
    if run is not None:
        run_context = store.get_context_by_type_and_name(RUN_CONTEXT, run)
        of_run = store.get_executions_by_context(run_context.id) if run_context else []
        if not of_run:
            return
        conditions.append(f"id IN ({', '.join(str(execution.id) for execution in of_run)})")
    yield from newest_first(store, context.id, *conditions)


def newest_first(store: Store, context_id: int, *conditions: str) -> Iterator[Any]:
    """Yield the executions of a context, newest first, reading them in growing portions."""
    limit, before = _FIRST_PORTION, ""
    while True:
        options = _tfx.ml_metadata.ListOptions(
            limit=limit,
            order_by=_tfx.ml_metadata.OrderByField.ID,
            is_asc=False,
            filter_query=" AND ".join(filter(None, (*conditions, before))) or None,
        )
        portion = store.get_executions_by_context(context_id, list_options=options)
        yield from portion
        if len(portion) < limit:
            return
        limit, before = min(limit * 8, _LARGEST_PORTION), f"id < {portion[-1].id}"
