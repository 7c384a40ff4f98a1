"""What a component's body is told about the node that runs it."""

from __future__ import annotations

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
