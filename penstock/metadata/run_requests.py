"""What was asked for when a run began, and how it stands: properties of the run's context."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock import _tfx, ir
from penstock.metadata.protocol import Metadata, Store
from penstock.metadata.reading import run_context
from penstock.project.environment import environment

PARAMETER_PREFIX = "parameter:"
STATE_PROPERTY = "state"
_DEFINITION = "definition"
_OPTIONS = "options"
_ROOT = "pipeline_root"
_TRIES = 5
_GRAPH = "graph"
_ENVIRONMENT = "environment"


@dataclass(frozen=True)
class RunOptions:
    """What changes which nodes of a pipeline run, and whether they do their work.

    Without `cache` every node does it. `from_nodes`, `to_nodes` and `only` choose a part of the
    pipeline; what its nodes need of others is what those made last, or in `base_run`. With
    `accelerate` engines of ours do the work of TFX's own executors, where they can.
    """

    cache: bool = True
    from_nodes: tuple[str, ...] = ()
    to_nodes: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    base_run: str | None = None
    accelerate: bool = True


@dataclass(frozen=True)
class RunRequest:
    """What was asked for when a run began, so that it can be resumed.

    `definition` is the pipeline's name in penstock.toml or its file:function, "" for a run from
    Python.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    definition: str = ""
    options: RunOptions = RunOptions()


@dataclass(frozen=True)
class PlannedNode:
    """A node of a run's pipeline, before anything became of it."""

    node_id: str
    upstream: tuple[str, ...] = ()
    takes_part: bool = True


def record_request(metadata: Metadata, pipeline: ir.Pipeline, request: RunRequest) -> None:
    """Open a run: write what was asked for into its context, as custom properties."""
    context = _run_context(metadata, next(iter(pipeline)))
    for name, value in request.parameters.items():
        context.custom_properties[PARAMETER_PREFIX + name].string_value = json.dumps(value)
    context.custom_properties[_DEFINITION].string_value = request.definition
    context.custom_properties[_OPTIONS].string_value = json.dumps(vars(request.options))
    context.custom_properties[_ENVIRONMENT].string_value = json.dumps(environment())
    _describe(context, pipeline)
    metadata.store.put_contexts([context])


def record_parameters(metadata: Metadata, node: ir.Node, parameters: Mapping[str, Any]) -> None:
    """Add to a run's context the parameters that one of its nodes depends on.

    For runs whose nodes are run by processes of their own, at the same time.
    """
    context = _run_context(metadata, node)
    # Another process may write its own at the same moment, and take ours back.
    for _ in range(_TRIES):
        recorded = read_parameters(context)
        missing = {name: value for name, value in parameters.items() if name not in recorded}
        if not missing:
            return
        for name, value in missing.items():
            context.custom_properties[PARAMETER_PREFIX + name].string_value = json.dumps(value)
        metadata.store.put_contexts([context])
        context = run_context(metadata.store, node.run_id)


def _run_context(metadata: Metadata, node: ir.Node) -> _tfx.ContextProto:
    contexts = _tfx.context_lib.prepare_contexts(
        metadata_handle=metadata, node_contexts=node.proto.contexts
    )
    [context] = [c for c in contexts if c.name == node.run_id]
    return context


def reopen(store: Store, pipeline: ir.Pipeline) -> None:
    """Record that a run goes on, and below which root: that may be another one now."""
    context = run_context(store, pipeline.run_id)
    _describe(context, pipeline)
    store.put_contexts([context])


def _describe(context: _tfx.ContextProto, pipeline: ir.Pipeline) -> None:
    """Write into a run's context what its pipeline is as it begins or goes on."""
    graph = [[node.id, sorted(node.upstream), not node.is_left_out] for node in pipeline]
    context.custom_properties[_GRAPH].string_value = json.dumps(graph)
    root = pipeline.root if "://" in pipeline.root else os.path.abspath(pipeline.root)
    context.custom_properties[_ROOT].string_value = root
    context.custom_properties[STATE_PROPERTY].string_value = "running"


def _read_options(recorded: Mapping[str, Any]) -> RunOptions:
    """Read options; those that an earlier version did not know are as by default."""
    return RunOptions(
        recorded.get("cache", True),
        tuple(recorded.get("from_nodes", ())),
        tuple(recorded.get("to_nodes", ())),
        tuple(recorded.get("only", ())),
        recorded.get("base_run"),
        recorded.get("accelerate", True),
    )


def read_request(store: Store, run_id: str) -> RunRequest:
    """Read what was asked for when a run began; `run_id` is its full name."""
    context = run_context(store, run_id)
    properties = context.custom_properties
    options = properties[_OPTIONS].string_value if _OPTIONS in properties else ""
    return RunRequest(
        read_parameters(context),
        properties[_DEFINITION].string_value if _DEFINITION in properties else "",
        _read_options(json.loads(options or "{}")),
    )


def record_state(store: Store, run_id: str, state: str) -> None:
    """Write how a run stands into its context."""
    context = run_context(store, run_id)
    context.custom_properties[STATE_PROPERTY].string_value = state
    store.put_contexts([context])


def run_state(context: _tfx.ContextProto) -> str:
    """Return how a run stands, "" if its context does not say."""
    properties = context.custom_properties
    return properties[STATE_PROPERTY].string_value if STATE_PROPERTY in properties else ""


def run_root(context: _tfx.ContextProto) -> str:
    """Return the pipeline root of a run, "" if its context does not say."""
    properties = context.custom_properties
    return properties[_ROOT].string_value if _ROOT in properties else ""


def run_graph(context: _tfx.ContextProto) -> list[PlannedNode]:
    """Return the nodes of a run's pipeline, in an order in which they can run; [] if unknown."""
    properties = context.custom_properties
    text = properties[_GRAPH].string_value if _GRAPH in properties else ""
    return [
        PlannedNode(name, tuple(upstream), part)
        for name, upstream, part in json.loads(text or "[]")
    ]


def run_environment(context: _tfx.ContextProto) -> dict[str, str]:
    """Return what a run began on, versions and machine; {} if its context does not say."""
    properties = context.custom_properties
    text = properties[_ENVIRONMENT].string_value if _ENVIRONMENT in properties else ""
    return dict(json.loads(text or "{}"))


def read_parameters(context: _tfx.ContextProto) -> dict[str, Any]:
    """Read the parameters of a run from its context."""
    return {
        name.removeprefix(PARAMETER_PREFIX): json.loads(value.string_value)
        for name, value in context.custom_properties.items()
        if name.startswith(PARAMETER_PREFIX)
    }
