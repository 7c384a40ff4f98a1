"""What a run would do, node by node, and why: asked of the store, with nothing written to it.

A plan takes the same steps as a run: it resolves inputs, asks drivers and looks up fingerprints.
Where it would have to know what a node is going to make, it says so.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from penstock import _tfx, ir, selection
from penstock.errors import PenstockError
from penstock.execution import nodes as execution
from penstock.execution import work
from penstock.execution.cache import (
    CONSTANT_PROPERTY,
    Fingerprint,
    cached_outputs,
    code_digests,
    damaged_outputs,
    node_fingerprint,
    recorded_fingerprint,
)
from penstock.metadata.executions import node_executions
from penstock.metadata.reading import RUN_CONTEXT

_LONGEST_VALUE = 60


class Verdict(enum.Enum):
    """What would become of a node."""

    CACHED = "cached"
    RUNS = "runs"
    DEPENDS = "depends"
    LOOKS_UP = "looks up"
    REUSED = "reused"
    SKIPPED = "skipped"
    FAILS = "fails"


@dataclass(frozen=True)
class NodePlan:
    """What would become of a node, and the reasons, the first of which matters most.

    DEPENDS means that it runs unless the nodes before it make again what they made last time.
    LOOKS_UP is for importers and resolvers, which always run and take no time. `execution_id` is
    the earlier execution whose outputs would be used, or with which this one was compared.
    """

    node_id: str
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    execution_id: int | None = None


@dataclass
class _Planner:
    """A plan under way; `outputs` has what is known of the nodes so far, None for what is not."""

    metadata: Any
    pipeline: Any
    outputs: dict[str, Mapping[str, list[Any]] | None] = field(default_factory=dict)
    plans: dict[str, NodePlan] = field(default_factory=dict)


def plan(metadata: Any, pipeline: Any) -> list[NodePlan]:
    """Return what a run of bound IR would do, in the pipeline's order."""
    planner = _Planner(metadata, pipeline)
    for node in ir.nodes(pipeline):
        node_id = node.node_info.id
        try:
            made, outputs = _plan_node(planner, node)
        except _tfx.InputResolutionError as error:
            made, outputs = NodePlan(node_id, Verdict.FAILS, (execution.root_cause(error),)), None
        except PenstockError as error:
            made, outputs = NodePlan(node_id, Verdict.FAILS, (str(error),)), None
        planner.plans[node_id] = made
        planner.outputs[node_id] = outputs
    return list(planner.plans.values())


_Planned = tuple[NodePlan, Mapping[str, list[Any]] | None]


def _plan_node(planner: _Planner, node: Any) -> _Planned:
    node_id = node.node_info.id
    store = planner.metadata.store
    if selection.is_left_out(node):
        return _plan_left_out(planner, node)
    before = [planner.plans[name] for name in node.upstream_nodes if name in planner.plans]
    if failing := [p.node_id for p in before if p.verdict is Verdict.FAILS]:
        return NodePlan(node_id, Verdict.SKIPPED, (f"{failing[0]} fails",)), {}
    unknown = [name for name in selection.producers(node) if planner.outputs.get(name) is None]
    known = _with_known_inputs(planner, node, unknown)
    if execution.is_system_node(node):
        return _plan_lookup(planner, known, unknown)
    if unknown:
        return _plan_unknown(planner, node, unknown), None
    if _lacks_input(known):
        reason = "what it needs is not made"
        return NodePlan(node_id, Verdict.SKIPPED, (reason,)), {}
    resolution = execution.resolve(planner.metadata, planner.pipeline, known)
    if isinstance(resolution, execution.Skipped):
        return NodePlan(node_id, Verdict.SKIPPED, (resolution.reason,)), {}
    fingerprint = resolution.fingerprint
    if resolution.driver is not None:
        if (ir.class_path(resolution.driver) or "").startswith("tfx."):
            reason = "its driver decides when it runs"
            return NodePlan(node_id, Verdict.DEPENDS, (reason,)), None
        parameters = _ask_driver(resolution)
        fingerprint = replace(fingerprint, parameters=parameters)
    key = fingerprint.key()
    caching = node.execution_options.caching_options.enable_cache
    found = cached_outputs(store, key) if caching else None
    if found is not None:
        return NodePlan(node_id, Verdict.CACHED, (), found[0]), found[1]
    last = _last_execution(store, planner.pipeline, node_id)
    reasons: Iterable[str]
    if not caching:
        reasons = ["its cache is off"]
    elif harm := damaged_outputs(store, key):
        reasons = [harm]
    else:
        reasons = _differences(fingerprint, last, node)
    return NodePlan(node_id, Verdict.RUNS, tuple(reasons), last.id if last else None), None


def _plan_left_out(planner: _Planner, node: Any) -> _Planned:
    node_id = node.node_info.id
    if not selection.lends(node):
        return NodePlan(node_id, Verdict.SKIPPED, ("it was not asked for",)), {}
    found = execution.reusable(planner.metadata.store, planner.pipeline, node)
    if found is None:
        reason = "it is left out, but others need its outputs and it has none"
        return NodePlan(node_id, Verdict.FAILS, (reason,)), None
    return NodePlan(node_id, Verdict.REUSED, (), found[0]), found[1]


def _plan_lookup(planner: _Planner, node: Any, unknown: list[str]) -> _Planned:
    node_id = node.node_info.id
    if unknown:
        return NodePlan(node_id, Verdict.LOOKS_UP, (f"after {', '.join(unknown)}",)), None
    if "Importer" in node.node_info.type.name:
        return _plan_import(planner, node)
    resolved = _tfx.inputs_utils.resolve_input_artifacts(
        pipeline_node=node, metadata_handle=planner.metadata
    )
    if isinstance(resolved, _tfx.inputs_utils.Skip):
        return NodePlan(node_id, Verdict.SKIPPED, ("its condition does not hold",)), {}
    found = resolved[0]
    shown = [f"{key}: {_address(artifacts)}" for key, artifacts in found.items()]
    return NodePlan(node_id, Verdict.LOOKS_UP, tuple(shown)), found


def _plan_import(planner: _Planner, node: Any) -> _Planned:
    """An importer finds the artifact that it imported before, or makes a new one."""
    node_id = node.node_info.id
    parameters = execution.node_parameters(node)
    uri = parameters["artifact_uri"]
    found = [
        a
        for a in planner.metadata.store.get_artifacts_by_uri(uri)
        if a.state == _tfx.metadata_store_pb2.Artifact.LIVE
    ]
    if not found or parameters["reimport"]:
        return NodePlan(node_id, Verdict.LOOKS_UP, (f"imports {uri}",)), None
    [spec] = node.outputs.outputs.values()
    newest = max(found, key=lambda artifact: artifact.id)
    artifact = _tfx.artifact_utils.deserialize_artifact(spec.artifact_spec.type, newest)
    [key] = node.outputs.outputs
    return NodePlan(node_id, Verdict.LOOKS_UP, (f"{uri}, imported before",)), {key: [artifact]}


def _plan_unknown(planner: _Planner, node: Any, unknown: list[str]) -> NodePlan:
    """Judge a node whose inputs are still to be made: by all but its inputs."""
    node_id = node.node_info.id
    store, pipeline = planner.metadata.store, planner.pipeline
    after = f"{', '.join(sorted(unknown))} {'runs' if len(unknown) == 1 else 'run'} before it"
    executor = ir.executor_spec(pipeline, node_id)
    parameters = execution.node_parameters(node)
    last = _last_execution(store, pipeline, node_id)
    if not node.execution_options.caching_options.enable_cache:
        return NodePlan(node_id, Verdict.RUNS, ("its cache is off",), last.id if last else None)
    now = Fingerprint(
        node_fingerprint(pipeline.pipeline_info.id, node, executor),
        code_digests(ir.class_path(executor), parameters),
        parameters,
    )
    if last is None:
        return NodePlan(node_id, Verdict.RUNS, ("it has not run yet",))
    is_complete = ir.driver_spec(pipeline, node_id) is None and not node.inputs.conditionals
    is_complete = is_complete and not _has_dynamic_parameters(node)
    constants = {
        e.custom_properties[CONSTANT_PROPERTY].string_value
        for e in node_executions(store, pipeline.pipeline_info.id, node_id)
        if CONSTANT_PROPERTY in e.custom_properties
    }
    if is_complete and now.constant() not in constants:
        reasons = (*_differences(now, last, node), after)
        return NodePlan(node_id, Verdict.RUNS, reasons, last.id)
    return NodePlan(node_id, Verdict.DEPENDS, (after,), last.id)


def _has_dynamic_parameters(node: Any) -> bool:
    return any(value.HasField("placeholder") for value in node.parameters.parameters.values())


def _with_known_inputs(planner: _Planner, node: Any, unknown: list[str]) -> Any:
    """Return a copy of a node that takes what earlier nodes would give it from the store by id."""
    known = type(node)()
    known.CopyFrom(node)
    for spec in known.inputs.inputs.values():
        names = {channel.producer_node_query.id for channel in spec.channels}
        of_this_run = names & planner.outputs.keys() and all(
            any(query.type.name == RUN_CONTEXT for query in channel.context_queries)
            for channel in spec.channels
        )
        if not of_this_run or names & set(unknown):
            continue
        ids = [artifact.id for channel in spec.channels for artifact in _given(planner, channel)]
        del spec.channels[:]
        spec.static_inputs.artifact_ids.extend(ids)
        spec.static_inputs.SetInParent()
    return known


def _given(planner: _Planner, channel: Any) -> list[Any]:
    outputs = planner.outputs.get(channel.producer_node_query.id) or {}
    return list(outputs.get(channel.output_key, ()))


def _lacks_input(node: Any) -> bool:
    return any(
        spec.HasField("static_inputs") and len(spec.static_inputs.artifact_ids) < spec.min_count
        for spec in node.inputs.inputs.values()
    )


def _ask_driver(resolution: execution.Resolution) -> dict[str, Any]:
    info = execution.execution_info(resolution)
    serialized = work.run_driver(info.to_proto().SerializeToString(), resolution.driver, None)
    output = _tfx.driver_output_pb2.DriverOutput.FromString(serialized)
    return {**resolution.parameters, **execution.driver_parameters(output)}


def _last_execution(store: Any, pipeline: Any, node_id: str) -> Any | None:
    """Return the newest execution that did a node's work itself."""
    for found in node_executions(store, pipeline.pipeline_info.id, node_id):
        complete = found.last_known_state == _tfx.metadata_store_pb2.Execution.COMPLETE
        if complete and recorded_fingerprint(found) is not None:
            return found
    return None


def _differences(now: Fingerprint, last: Any | None, node: Any) -> list[str]:
    """Say what has changed since an execution: code, parameters and inputs, in that order."""
    if last is None:
        return ["it has not run yet"]
    then = recorded_fingerprint(last)
    assert then is not None
    found = []
    for file in sorted({*now.code, *then.code}):
        if now.code.get(file) != then.code.get(file):
            what = "is new" if file not in then.code else "changed"
            found.append(f"code: {file} {'is gone' if file not in now.code else what}")
    for name in sorted(now.parameters):
        before, after = then.parameters.get(name), now.parameters[name]
        if _text(before) != _text(after):
            found.append(f"parameter {name}: {_shown(before)} → {_shown(after)}")
    for key in sorted(
        {*(now.inputs or {}), *(then.inputs or {})} if now.inputs is not None else ()
    ):
        before, after = (then.inputs or {}).get(key, ()), (now.inputs or {}).get(key, ())
        if before != after:
            found.append(_input_difference(node, key, before, after))
    if now.node != then.node:
        found.append("its definition changed (type, outputs, or options of its executor)")
    return found or ["no earlier execution has just these inputs, parameters and code"]


def _input_difference(node: Any, key: str, before: tuple[str, ...], after: tuple[str, ...]) -> str:
    named = {c.producer_node_query.id for c in node.inputs.inputs[key].channels} - {""}
    source = f" from {', '.join(sorted(named))}" if named else ""
    if not before:
        return f"input {key}: there was none, now there is{source}"
    if not after:
        return f"input {key}: there was one, now there is none"
    return f"input {key}: other contents{source}"


def _text(value: Any) -> str:
    # A store without booleans gives numbers back.
    return str(int(value)) if isinstance(value, bool) else str(value)


def _shown(value: Any) -> str:
    text = json.dumps(value) if isinstance(value, str) else str(value)
    if value is None:
        text = "not given"
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _address(artifacts: list[Any]) -> str:
    return ", ".join(a.uri for a in artifacts) or "nothing"
