"""What was asked for when a run began, and how it stands: properties of the run's context."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock import _tfx, ir
from penstock.ir import selection
from penstock.metadata.reading import RUN_CONTEXT
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
class RunRequest:
    """What was asked for when a run began, so that it can be resumed.

    `definition` is the pipeline's name in penstock.toml or its file:function, "" for a run from
    Python; `options` are those of the command line that change what runs.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    definition: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PlannedNode:
    """A node of a run's pipeline, before anything became of it."""

    node_id: str
    upstream: tuple[str, ...] = ()
    takes_part: bool = True


def record_request(metadata: Any, pipeline: Any, request: RunRequest) -> None:
    """Open a run: write what was asked for into its context, as custom properties."""
    run_id = pipeline.runtime_spec.pipeline_run_id.field_value.string_value
    first = pipeline.nodes[0].pipeline_node
    contexts = _tfx.context_lib.prepare_contexts(
        metadata_handle=metadata, node_contexts=first.contexts
    )
    [context] = [c for c in contexts if c.name == run_id]
    for name, value in request.parameters.items():
        context.custom_properties[PARAMETER_PREFIX + name].string_value = json.dumps(value)
    context.custom_properties[_DEFINITION].string_value = request.definition
    context.custom_properties[_OPTIONS].string_value = json.dumps(dict(request.options))
    context.custom_properties[_ENVIRONMENT].string_value = json.dumps(environment())
    _describe(context, pipeline)
    metadata.store.put_contexts([context])


def record_parameters(metadata: Any, node: Any, run_id: str, parameters: Mapping[str, Any]) -> None:
    """Add to a run's context the parameters that one of its nodes depends on.

    For runs whose nodes are run by processes of their own, at the same time.
    """
    contexts = _tfx.context_lib.prepare_contexts(
        metadata_handle=metadata, node_contexts=node.contexts
    )
    [context] = [c for c in contexts if c.name == run_id]
    # Another process may write its own at the same moment, and take ours back.
    for _ in range(_TRIES):
        known = read_parameters(context)
        missing = {name: value for name, value in parameters.items() if name not in known}
        if not missing:
            return
        for name, value in missing.items():
            context.custom_properties[PARAMETER_PREFIX + name].string_value = json.dumps(value)
        metadata.store.put_contexts([context])
        context = metadata.store.get_context_by_type_and_name(RUN_CONTEXT, run_id)


def reopen(store: Any, pipeline: Any) -> None:
    """Record that a run goes on, and below which root: that may be another one now."""
    run_id = pipeline.runtime_spec.pipeline_run_id.field_value.string_value
    context = store.get_context_by_type_and_name(RUN_CONTEXT, run_id)
    _describe(context, pipeline)
    store.put_contexts([context])


def _describe(context: Any, pipeline: Any) -> None:
    """Write into a run's context what its pipeline is as it begins or goes on."""
    graph = [
        [node.node_info.id, sorted(node.upstream_nodes), not selection.is_left_out(node)]
        for node in ir.nodes(pipeline)
    ]
    context.custom_properties[_GRAPH].string_value = json.dumps(graph)
    context.custom_properties[_ROOT].string_value = _absolute_root(pipeline)
    context.custom_properties[STATE_PROPERTY].string_value = "running"


def _absolute_root(pipeline: Any) -> str:
    root = str(pipeline.runtime_spec.pipeline_root.field_value.string_value)
    return root if "://" in root else os.path.abspath(root)


def read_request(store: Any, run_id: str) -> RunRequest:
    """Read what was asked for when a run began; `run_id` is its full name."""
    context = store.get_context_by_type_and_name(RUN_CONTEXT, run_id)
    properties = context.custom_properties
    options = properties[_OPTIONS].string_value if _OPTIONS in properties else ""
    return RunRequest(
        read_parameters(context),
        properties[_DEFINITION].string_value if _DEFINITION in properties else "",
        json.loads(options or "{}"),
    )


def record_state(store: Any, run_id: str, state: str) -> None:
    """Write how a run stands into its context."""
    context = store.get_context_by_type_and_name(RUN_CONTEXT, run_id)
    context.custom_properties[STATE_PROPERTY].string_value = state
    store.put_contexts([context])


def run_state(context: Any) -> str:
    """Return how a run stands, "" if its context does not say."""
    properties = context.custom_properties
    return properties[STATE_PROPERTY].string_value if STATE_PROPERTY in properties else ""


def run_root(context: Any) -> str:
    """Return the pipeline root of a run, "" if its context does not say."""
    properties = context.custom_properties
    return properties[_ROOT].string_value if _ROOT in properties else ""


def run_graph(context: Any) -> list[PlannedNode]:
    """Return the nodes of a run's pipeline, in an order in which they can run; [] if unknown."""
    properties = context.custom_properties
    text = properties[_GRAPH].string_value if _GRAPH in properties else ""
    return [
        PlannedNode(name, tuple(upstream), part)
        for name, upstream, part in json.loads(text or "[]")
    ]


def run_environment(context: Any) -> dict[str, str]:
    """Return what a run began on, versions and machine; {} if its context does not say."""
    properties = context.custom_properties
    text = properties[_ENVIRONMENT].string_value if _ENVIRONMENT in properties else ""
    return dict(json.loads(text or "{}"))


def read_parameters(context: Any) -> dict[str, Any]:
    """Read the parameters of a run from its context."""
    return {
        name.removeprefix(PARAMETER_PREFIX): json.loads(value.string_value)
        for name, value in context.custom_properties.items()
        if name.startswith(PARAMETER_PREFIX)
    }
