"""What runs there were, as ML Metadata has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from penstock import _tfx
from penstock.errors import RunError, suggestion
from penstock.metadata.store import execution_inputs, execution_outputs

RUN_CONTEXT = "pipeline_run"
NODE_CONTEXT = "node"
PIPELINE_CONTEXT = "pipeline"
_PARAMETER = "parameter:"
_EXECUTION = _tfx.metadata_store_pb2.Execution

# In this order: the first that any node is in is the run's.
_RUN_STATES = ("running", "failed", "canceled")
_STATES = {
    _EXECUTION.NEW: "waiting",
    _EXECUTION.RUNNING: "running",
    _EXECUTION.COMPLETE: "done",
    _EXECUTION.CACHED: "cached",
    _EXECUTION.FAILED: "failed",
    _EXECUTION.CANCELED: "canceled",
}


@dataclass(frozen=True)
class NodeRecord:
    """A node of a run; times are in seconds and bytes, as far as they were measured."""

    node_id: str
    state: str
    execution_id: int
    began: datetime
    ended: datetime
    parameters: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)
    error: str = ""

    @property
    def seconds(self) -> float:
        """From its registration to its last change."""
        return (self.ended - self.began).total_seconds()


@dataclass(frozen=True)
class RunRecord:
    """A run: its nodes in the order in which they began."""

    run_id: str
    pipeline_name: str
    state: str
    began: datetime
    ended: datetime
    parameters: Mapping[str, Any]
    nodes: tuple[NodeRecord, ...]

    @property
    def seconds(self) -> float:
        """From the beginning of the first node to the last change of any."""
        return (self.ended - self.began).total_seconds()


def record_parameters(metadata: Any, pipeline: Any, parameters: Mapping[str, Any]) -> None:
    """Write a run's parameters into its context, as custom properties."""
    run_id = pipeline.runtime_spec.pipeline_run_id.field_value.string_value
    first = pipeline.nodes[0].pipeline_node
    contexts = _tfx.context_lib.prepare_contexts(
        metadata_handle=metadata, node_contexts=first.contexts
    )
    for context in contexts:
        if context.name == run_id:
            for name, value in parameters.items():
                context.custom_properties[_PARAMETER + name].string_value = json.dumps(value)
            metadata.store.put_contexts([context])


def list_runs(store: Any, *, pipeline_name: str | None = None, most: int = 20) -> list[RunRecord]:
    """Return the newest runs, newest first."""
    contexts = store.get_contexts_by_type(RUN_CONTEXT)
    runs = []
    for context in sorted(contexts, key=lambda c: c.id, reverse=True):
        record = _read_run(store, context)
        if record and pipeline_name in (None, record.pipeline_name):
            runs.append(record)
        if len(runs) == most:
            break
    return runs


def find_run(store: Any, run_id: str) -> RunRecord:
    """Return a run by its name, by an unambiguous beginning or end of it, or as `latest`.

    Raises:
      RunError: there is no such run, or there are several.
    """
    contexts = {c.name: c for c in store.get_contexts_by_type(RUN_CONTEXT)}
    if not contexts:
        raise RunError("the store has no runs yet", hint="Start one: penstock run PIPELINE.")
    if run_id == "latest":
        run_id = max(contexts.values(), key=lambda c: c.id).name
    matching = [run_id] if run_id in contexts else []
    matching = matching or [n for n in contexts if n.startswith(run_id) or n.endswith(run_id)]
    if len(matching) > 1:
        raise RunError(f"{run_id!r} fits several runs: {', '.join(sorted(matching)[:5])}")
    record = _read_run(store, contexts[matching[0]]) if matching else None
    if record is None:
        newest = sorted(contexts, key=lambda n: contexts[n].id)[-5:]
        raise RunError(f"there is no run {run_id!r}", hint=suggestion(run_id, newest, noun="run"))
    return record


def node_artifacts(
    store: Any, node: NodeRecord
) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Return a node's input and output artifacts by key."""
    return execution_inputs(store, node.execution_id), execution_outputs(store, node.execution_id)


def _read_run(store: Any, context: Any) -> RunRecord | None:
    executions = sorted(store.get_executions_by_context(context.id), key=lambda e: e.id)
    if not executions:
        return None
    pipeline_name = ""
    nodes = []
    for execution in executions:
        named = {c.type: c.name for c in store.get_contexts_by_execution(execution.id)}
        pipeline_name = named.get(PIPELINE_CONTEXT, pipeline_name)
        node_id = named.get(NODE_CONTEXT, "").removeprefix(f"{pipeline_name}.")
        nodes.append(_read_node(node_id, execution))
    states = {node.state for node in nodes}
    state = next((s for s in _RUN_STATES if s in states), "done")
    parameters = {
        name.removeprefix(_PARAMETER): json.loads(value.string_value)
        for name, value in context.custom_properties.items()
        if name.startswith(_PARAMETER)
    }
    return RunRecord(
        context.name,
        pipeline_name,
        state,
        min(node.began for node in nodes),
        max(node.ended for node in nodes),
        parameters,
        tuple(nodes),
    )


def _read_node(node_id: str, execution: Any) -> NodeRecord:
    parameters, measured = {}, {}
    for name, value in (*execution.properties.items(), *execution.custom_properties.items()):
        content = _tfx.data_types_utils.get_metadata_value(value)
        if not name.startswith("__"):
            parameters[name] = content
        elif value.HasField("double_value"):
            measured[name.strip("_")] = value.double_value
    result = execution.custom_properties.get("__execution_result__")
    error = ""
    if result is not None and result.string_value:
        error = json.loads(result.string_value).get("resultMessage", "")
    return NodeRecord(
        node_id,
        _STATES.get(execution.last_known_state, "unknown"),
        execution.id,
        datetime.fromtimestamp(execution.create_time_since_epoch / 1000),
        datetime.fromtimestamp(execution.last_update_time_since_epoch / 1000),
        parameters,
        measured,
        error,
    )
