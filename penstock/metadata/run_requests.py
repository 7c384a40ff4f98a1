"""What was asked for when a run began, and how it stands: properties of the run's context."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock import _tfx, ir
from penstock.errors import PipelineError
from penstock.ir.reading import RUN_CONTEXT
from penstock.metadata.protocol import Metadata, Store
from penstock.metadata.reading import run_context
from penstock.metadata.rows import Row, json_of, property_or, reading, text_of
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
    pipeline; what its nodes need of others is what those have made in `base_run`. With
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
    # Of loops over nothing there may be no node.
    written = pipeline.proto.nodes[0].pipeline_node
    first = next((node.proto for node in pipeline), written)
    context = _run_context(metadata, first, pipeline.run_id)
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
    context = _run_context(metadata, node.proto, node.run_id)
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


def _run_context(metadata: Metadata, node: _tfx.NodeProto, run_id: str) -> _tfx.ContextProto:
    contexts = _tfx.context_lib.prepare_contexts(
        metadata_handle=metadata, node_contexts=node.contexts
    )
    of_run = [context for context in contexts if context.name == run_id]
    if len(of_run) != 1:
        raise PipelineError(
            f"node {node.node_info.id}: expected one context of the run {run_id}, got "
            f"{len(of_run)}",
            hint="Compile the pipeline again.",
        )
    return of_run[0]


def reopen(store: Store, pipeline: ir.Pipeline) -> None:
    """Record that a run goes on, of which nodes, and below which root: both may be others now."""
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
    for name, kind in (("cache", bool), ("accelerate", bool), ("base_run", str | None)):
        if not isinstance(recorded.get(name, getattr(RunOptions(), name)), kind):
            raise ValueError(f"expected an option {name!r} as it is written, got another value")
    for name in ("from_nodes", "to_nodes", "only"):
        if not isinstance(recorded.get(name, []), list):
            raise ValueError(f"expected names of nodes as {name!r}, got {recorded[name]!r}")
    return RunOptions(
        recorded.get("cache", True),
        tuple(recorded.get("from_nodes", ())),
        tuple(recorded.get("to_nodes", ())),
        tuple(recorded.get("only", ())),
        recorded.get("base_run"),
        recorded.get("accelerate", True),
    )


def read_request(store: Store, run_id: str) -> RunRequest:
    """Read what was asked for when a run began; `run_id` is its full name.

    Raises:
      MalformedRowError: that cannot be read.
    """
    return _request(run_context(store, run_id))


def check(context: _tfx.ContextProto) -> None:
    """See that all can be read that Penstock writes into the context of a run.

    Raises:
      MalformedRowError: something cannot.
    """
    _request(context)
    with reading(_row(context)):
        for name in (STATE_PROPERTY, _ROOT):
            if name in context.custom_properties:
                text_of(context, name)
        _graph(context)
        _environment(context)


def _request(context: _tfx.ContextProto) -> RunRequest:
    properties = context.custom_properties
    with reading(_row(context)):
        parameters = {name: _parameter(context, name) for name in _parameters(context)}
        options = text_of(context, _OPTIONS) if _OPTIONS in properties else ""
        return RunRequest(
            parameters,
            text_of(context, _DEFINITION) if _DEFINITION in properties else "",
            _read_options(json_of(options or "{}", dict, _OPTIONS)),
        )


def _row(context: _tfx.ContextProto) -> Row:
    return Row(RUN_CONTEXT, context.id, context.name)


def record_state(store: Store, run_id: str, state: str) -> None:
    """Write how a run stands into its context."""
    context = run_context(store, run_id)
    context.custom_properties[STATE_PROPERTY].string_value = state
    store.put_contexts([context])


def run_state(context: _tfx.ContextProto) -> str:
    """Return how a run stands, "" if its context does not say."""
    return _text(context, STATE_PROPERTY)


def run_root(context: _tfx.ContextProto) -> str:
    """Return the pipeline root of a run, "" if its context does not say."""
    return _text(context, _ROOT)


def run_graph(context: _tfx.ContextProto) -> list[PlannedNode]:
    """Return the nodes of a run's pipeline, in an order in which they can run; [] if unknown."""
    return property_or(_row(context), _GRAPH, lambda: _graph(context), [])


def _graph(context: _tfx.ContextProto) -> list[PlannedNode]:
    if _GRAPH not in context.custom_properties:
        return []
    return [_planned(*entry) for entry in json_of(text_of(context, _GRAPH), list, _GRAPH)]


def _planned(name: Any, upstream: Any, part: Any) -> PlannedNode:
    if not all(isinstance(text, str) for text in (name, *upstream)) or not isinstance(part, bool):
        raise ValueError(f"expected a node, the nodes above it and whether it runs, got {name!r}")
    return PlannedNode(name, tuple(upstream), part)


def run_environment(context: _tfx.ContextProto) -> dict[str, str]:
    """Return what a run began on, versions and machine; {} if its context does not say."""
    return property_or(_row(context), _ENVIRONMENT, lambda: _environment(context), {})


def _environment(context: _tfx.ContextProto) -> dict[str, str]:
    if _ENVIRONMENT not in context.custom_properties:
        return {}
    content = json_of(text_of(context, _ENVIRONMENT), dict, _ENVIRONMENT)
    return {name: str(value) for name, value in content.items()}


def read_parameters(context: _tfx.ContextProto) -> dict[str, Any]:
    """Read the parameters of a run from its context; what cannot be read is left out."""
    missing = object()
    found = {}
    for name in _parameters(context):
        property_name = PARAMETER_PREFIX + name
        read = functools.partial(_parameter, context, name)
        value = property_or(_row(context), property_name, read, missing)
        if value is not missing:
            found[name] = value
    return found


def _parameters(context: _tfx.ContextProto) -> list[str]:
    return [
        name.removeprefix(PARAMETER_PREFIX)
        for name in context.custom_properties
        if name.startswith(PARAMETER_PREFIX)
    ]


def _parameter(context: _tfx.ContextProto, name: str) -> Any:
    return json_of(text_of(context, PARAMETER_PREFIX + name), object, PARAMETER_PREFIX + name)


def _text(context: _tfx.ContextProto, name: str) -> str:
    """Return a text, "" where there is none or it is something else."""
    if name not in context.custom_properties:
        return ""
    return property_or(_row(context), name, lambda: text_of(context, name), "")
