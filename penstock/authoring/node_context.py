"""What a component's body is told about the node that runs it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def _no_progress(**counts: int) -> None:
    """Discard progress: nobody watches."""


@dataclass(frozen=True)
class NodeContext:
    """The node that runs a component's body.

    A body asks for it with an argument of this type; callers never pass it.
    `temporary_directory` is removed when the node ends; `kept_directory` is the node's in all runs
    of the pipeline, for what a next try may go on with, and may be "". `progress(rows=...,
    steps=...)` takes running totals and may be called as often as is convenient; its `note` says
    where the work is done. `store` is how to connect to the metadata store, for components that are
    declared with `uses_store`; None for others, and under TFX's own runners.
    """

    node_id: str = ""
    pipeline_name: str = ""
    run_id: str = ""
    execution_id: int = 0
    temporary_directory: str = ""
    kept_directory: str = ""
    progress: Callable[..., None] = _no_progress
    store: Any = None  # ML Metadata's connection settings, which authoring knows nothing of


def node_context_of(context: Any, temporary_directory: Callable[[], str]) -> NodeContext:
    """Return what a body is told, from the context of a TFX executor; without one, nothing."""
    if context is None:
        return NodeContext()
    node, pipeline = context.pipeline_node, context.pipeline_info
    progress = getattr(context, "progress", None)
    return NodeContext(
        node_id=node.node_info.id if node else "",
        pipeline_name=pipeline.id if pipeline else "",
        run_id=context.pipeline_run_id or "",
        execution_id=int(context._unique_id or 0),
        temporary_directory=temporary_directory(),
        kept_directory=_kept_directory(getattr(context, "stateful_working_dir", None)),
        progress=progress or _no_progress,
        store=getattr(context, "metadata_connection", None),
    )


def _kept_directory(of_execution: str | None) -> str:
    """Return the folder beside those that TFX has for executions, which tries have for them all."""
    if not of_execution or not os.path.isabs(of_execution):
        return ""
    return os.path.join(os.path.dirname(os.path.dirname(of_execution.rstrip("/"))), "kept")
