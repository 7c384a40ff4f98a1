"""What a run would do, node by node, and why: asked of the store, with nothing written to it.

A plan takes the same steps as a run: it resolves inputs, asks drivers and looks up fingerprints.
Where it would have to know what a node is going to make, it says so.
"""

from __future__ import annotations

import contextlib
import enum
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from penstock import _tfx, ir
from penstock.errors import PenstockError
from penstock.execution import resolution, work
from penstock.execution.cache import (
    GIVEN_PROPERTY,
    Earlier,
    Fingerprint,
    cached_outputs,
    code_digests,
    given_fingerprint,
    node_fingerprint,
    recorded_fingerprint,
    unfollowed,
)
from penstock.execution.contents import first_damage
from penstock.execution.differences import differences
from penstock.execution.lending import Lending, decide, lendable
from penstock.execution.looping import unfold_known
from penstock.execution.schedule import Graph, State, read_graph, settle
from penstock.execution.stages import Resolution, Skipped
from penstock.ir.reading import RUN_CONTEXT
from penstock.ir.unfolding import body_of, waiting_loops
from penstock.metadata.executions import node_executions
from penstock.metadata.protocol import Metadata, Store
from penstock.metadata.store import execution_inputs, execution_outputs
from penstock.project import user_code
from penstock.safety.secrets import redaction_for


class Verdict(enum.Enum):
    """What would become of a node."""

    CACHED = "cached"
    RUNS = "runs"
    DEPENDS = "depends"
    LOOKS_UP = "looks up"
    REUSED = "reused"
    SKIPPED = "skipped"
    FAILS = "fails"


# As which the schedule takes it.
_STATES = {
    Verdict.CACHED: State.CACHED,
    Verdict.RUNS: State.DONE,
    Verdict.DEPENDS: State.DONE,
    Verdict.LOOKS_UP: State.DONE,
    Verdict.REUSED: State.CACHED,
    Verdict.SKIPPED: State.SKIPPED,
    Verdict.FAILS: State.FAILED,
}


@dataclass(frozen=True)
class NodePlan:
    """What would become of a node, and the reasons, the first of which matters most.

    DEPENDS means that it is not known yet: it runs unless the nodes before it make again what they
    made last time, or it is skipped if its condition does not hold. LOOKS_UP is for importers and
    resolvers, which always run and take no time. `execution_id` is the earlier execution whose
    outputs would be used, or with which this one was compared. `unseen` is code that may have
    changed without anybody noticing, of a node that may be cached. `done_by` says of a node of
    TFX's who would do its work, and why; `item` of a node in a loop for which item it would run.
    """

    node_id: str
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    execution_id: int | None = None
    unseen: tuple[str, ...] = ()
    done_by: str = ""
    item: str = ""


@dataclass
class _Planner:
    """A plan under way.

    `outputs` has what is known of the nodes so far, None for what is not. `uncertain` are the nodes
    of which it is not known whether they will be skipped, and why.
    """

    metadata: Metadata
    pipeline: ir.Pipeline
    graph: Graph
    lending: Lending
    outputs: dict[str, _tfx.Artifacts | None] = field(default_factory=dict)
    plans: dict[str, NodePlan] = field(default_factory=dict)
    uncertain: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        """ML Metadata's own client."""
        return self.metadata.store

    def states(self) -> dict[str, State]:
        """Return what the schedule would know by now."""
        return {
            name: _STATES[self.plans[name].verdict] if name in self.plans else State.WAITING
            for name in self.graph.upstream
        }


def plan(metadata: Metadata, pipeline: ir.Pipeline, base_run: str | None = None) -> list[NodePlan]:
    """Return what a run of bound IR would do, in the pipeline's order.

    Nodes that do not run lend what they have made in `base_run`, or else in the newest run that has
    all that is needed.
    """
    lending = decide(metadata.store, pipeline, base_run)
    pipeline = lending.pipeline
    planner = _Planner(metadata, pipeline, read_graph(pipeline), lending)
    while (node := _next_node(planner)) is not None:
        node_id = node.id
        try:
            node_plan, outputs = _plan_node(planner, node)
        except _tfx.InputResolutionError as error:
            node_plan, outputs = (
                NodePlan(node_id, Verdict.FAILS, (resolution.root_cause(error),)),
                {},
            )
        except PenstockError as error:
            node_plan, outputs = NodePlan(node_id, Verdict.FAILS, (str(error),)), {}
        planner.plans[node_id] = _with_unseen(node_plan, node)
        planner.outputs[node_id] = outputs
        for name, reason in settle(planner.graph, planner.states()).items():
            planner.plans[name] = NodePlan(name, Verdict.SKIPPED, (reason,))
            planner.outputs[name] = {}
    return [_with_worker(planner.plans[node.id], node) for node in planner.pipeline]


def _next_node(planner: _Planner) -> ir.Node | None:
    """Return the node that is planned next; those of a loop once for each item, if they are known.

    What lends and what is left out comes first: in a run these are the first to be settled.
    """
    for loop in waiting_loops(planner.pipeline).values():
        body = [node.id for node in body_of(planner.pipeline, loop)]
        if planner.plans.keys() & set(body):
            continue
        if all(planner.outputs.get(name) for name in loop.producers):
            try:
                unfolded = unfold_known(planner.pipeline, loop, planner.outputs)
            except (PenstockError, OSError) as error:
                for name in body:
                    planner.plans[name] = NodePlan(name, Verdict.FAILS, (str(error),))
                    planner.outputs[name] = {}
            else:
                planner.pipeline, planner.graph = unfolded, read_graph(unfolded)
            return _next_node(planner)
    left = [node for node in planner.pipeline if node.id not in planner.plans]
    return min(left, key=lambda node: not node.is_left_out, default=None)


def _with_worker(planned: NodePlan, node: ir.Node) -> NodePlan:
    works = planned.verdict in (Verdict.RUNS, Verdict.DEPENDS)
    return replace(planned, done_by=node.done_by if works else "", item=node.item)


def _with_unseen(planned: NodePlan, node: ir.Node) -> NodePlan:
    if planned.verdict not in (Verdict.CACHED, Verdict.DEPENDS) or not node.is_cached:
        return planned
    with contextlib.suppress(PenstockError):
        parameters = resolution.node_parameters(node)
        return replace(planned, unseen=tuple(unfollowed(node.executor_path, parameters)))
    return planned


_Planned = tuple[NodePlan, _tfx.Artifacts | None]


def _plan_node(planner: _Planner, node: ir.Node) -> _Planned:
    node_id = node.id
    if node.loops:
        return _plan_loop(planner, node)
    if node.is_left_out:
        return _plan_left_out(planner, node)
    unknown = sorted(n for n in node.producers if planner.outputs.get(n) is None)
    static = _with_static_inputs(planner, node, unknown)
    if unknown:
        return _plan_unknown(planner, static, unknown)
    uncertain = _uncertainty(planner, node)
    if node.works_in_store:
        return _plan_lookup(planner, static)
    resolved = resolution.resolve(planner.metadata, static)
    if isinstance(resolved, Skipped):
        return NodePlan(node_id, Verdict.SKIPPED, (resolved.reason,)), {}
    fingerprint = resolved.fingerprint
    if node.driver is not None:
        if not _only_resolves(node):
            reason = "its driver decides when it runs"
            return NodePlan(node_id, Verdict.DEPENDS, (reason,)), None
        parameters = _ask_driver(resolved)
        fingerprint = replace(fingerprint, parameters=parameters)
    key = fingerprint.key()
    cached = cached_outputs(planner.store, key, node.cache_seconds) if node.is_cached else Earlier()
    if uncertain:
        planner.uncertain[node_id] = uncertain
        return NodePlan(node_id, Verdict.DEPENDS, (uncertain,)), cached.outputs
    if cached.outputs is not None:
        return NodePlan(node_id, Verdict.CACHED, (), cached.execution_id), cached.outputs
    last = _last_execution(planner, node_id)
    if not node.is_cached:
        reasons = ["its cache is off"]
    elif cached.harm:
        reasons = [cached.harm]
    else:
        reasons = _differences(planner, fingerprint, last, node, resolved.inputs)
    return NodePlan(node_id, Verdict.RUNS, tuple(reasons), last.id if last else None), None


def _plan_loop(planner: _Planner, node: ir.Node) -> _Planned:
    """Judge a node of a loop whose items are still to be made."""
    if node.is_left_out and not node.lends:
        return NodePlan(node.id, Verdict.SKIPPED, ("it was not asked for",)), {}
    nodes = planner.pipeline.nodes
    makers = {nodes[name].template or name for name in node.loops[0].producers}
    reason = f"once for each item that {' and '.join(sorted(makers))} puts out"
    return NodePlan(node.id, Verdict.DEPENDS, (reason,)), None


def _plan_left_out(planner: _Planner, node: ir.Node) -> _Planned:
    node_id = node.id
    if not node.lends:
        return NodePlan(node_id, Verdict.SKIPPED, ("it was not asked for",)), {}
    lending = planner.lending
    reused = lendable(planner.store, planner.pipeline, node, lending.base_run)
    lacking = lending.lacking.get(node_id)
    if lacking is not None or reused is None:
        reason = lacking.message if lacking else "others need its outputs, and it has none"
        return NodePlan(node_id, Verdict.FAILS, (reason,)), {}
    reasons = (lending.origin,) if lending.origin else ()
    return NodePlan(node_id, Verdict.REUSED, reasons, reused[0]), reused[1]


def _plan_lookup(planner: _Planner, node: ir.Node) -> _Planned:
    node_id = node.id
    if node.is_importer:
        return _plan_import(planner, node)
    resolved = resolution.intact(planner.metadata, node)
    if resolved.outputs is None:
        return NodePlan(node_id, Verdict.SKIPPED, ("its condition does not hold",)), {}
    lines = [f"{key}: {_address(artifacts)}" for key, artifacts in resolved.outputs.items()]
    return NodePlan(node_id, Verdict.LOOKS_UP, (*lines, *resolved.notes)), resolved.outputs


def _plan_import(planner: _Planner, node: ir.Node) -> _Planned:
    """An importer finds the artifact that it imported before, or makes a new one."""
    node_id = node.id
    parameters = resolution.node_parameters(node)
    uri = parameters["artifact_uri"]
    [(key, spec)] = node.proto.outputs.outputs.items()
    outputs = _tfx.generate_output_dict(
        metadata_handle=planner.metadata,
        uri=uri,
        properties=_constants(spec.artifact_spec.additional_properties),
        custom_properties=_constants(spec.artifact_spec.additional_custom_properties),
        reimport=bool(parameters["reimport"]),
        output_artifact_class=_tfx.types.Artifact(spec.artifact_spec.type).type,
        mlmd_artifact_type=spec.artifact_spec.type,
        output_key=key,
    )
    if not all(artifact.id for artifact in outputs[key]):
        return NodePlan(node_id, Verdict.LOOKS_UP, (f"imports {uri}",)), None
    return NodePlan(node_id, Verdict.LOOKS_UP, (f"{uri}, imported before",)), outputs


def _constants(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: getattr(value.field_value, value.field_value.WhichOneof("value"))
        for name, value in values.items()
    }


def _plan_unknown(planner: _Planner, node: ir.Node, unknown: list[str]) -> _Planned:
    """Judge a node whose inputs are still to be made: by all but these."""
    node_id = node.id
    if _condition(planner, node, unknown) is False:
        return NodePlan(node_id, Verdict.SKIPPED, ("its condition does not hold",)), {}
    if uncertain := _uncertainty(planner, node, unknown):
        planner.uncertain[node_id] = uncertain
        return NodePlan(node_id, Verdict.DEPENDS, (uncertain,)), None
    if node.works_in_store:
        return NodePlan(node_id, Verdict.LOOKS_UP, (f"after {', '.join(unknown)}",)), None
    after = f"{', '.join(unknown)} {'runs' if len(unknown) == 1 else 'run'} before it"
    parameters = resolution.node_parameters(node)
    last = _last_execution(planner, node_id)
    last_id = last.id if last else None
    now = Fingerprint(
        node_fingerprint(node),
        code_digests(node.executor_path, parameters),
        parameters,
    )
    if not node.is_cached:
        return NodePlan(node_id, Verdict.RUNS, ("its cache is off",), last_id), None
    if last is None or not _could_stand(planner, now, node_id):
        reasons = (*_differences(planner, now, last, node, {}), after)
        return NodePlan(node_id, Verdict.RUNS, reasons, last_id), None
    return NodePlan(node_id, Verdict.DEPENDS, (after,), last_id), None


def _could_stand(planner: _Planner, now: Fingerprint, node_id: str) -> bool:
    """Whether an intact execution agrees with a fingerprint as far as that is known."""
    digest = given_fingerprint(now.node, now.code, now.parameters)
    where = f"custom_properties.{GIVEN_PROPERTY}.string_value = '{digest}'"
    for execution in node_executions(planner.store, planner.pipeline.name, node_id, where=where):
        is_successful = _tfx.execution_lib.is_execution_successful(execution)
        if is_successful and not first_damage(execution_outputs(planner.store, execution.id)):
            return True
    return False


def _uncertainty(planner: _Planner, node: ir.Node, unknown: list[str] | None = None) -> str:
    """Return why it is not known whether a node will be skipped, or "" if it will not be."""
    node_id = node.id
    if unknown and _condition(planner, node, unknown) is None:
        return f"its condition is known after {', '.join(unknown)}"
    upstream = planner.graph.upstream[node_id] & planner.uncertain.keys()
    for producers in planner.graph.required.get(node_id, ()):
        if producers <= upstream:
            return f"{', '.join(sorted(producers))} may not run"
    if not planner.graph.trigger(node_id).takes_failures:
        for name in sorted(upstream):
            # A node that is skipped for its own condition does not hold up others.
            if "may not run" in planner.uncertain[name]:
                return f"{name} may not run"
    return ""


def _condition(planner: _Planner, node: ir.Node, unknown: list[str]) -> bool | None:
    """Return whether a node's conditions hold, None if they need what is not known."""
    if not node.conditions:
        return True
    deciding = node.copied()
    for key, spec in node.proto.inputs.inputs.items():
        if {channel.producer_node_query.id for channel in spec.channels} & set(unknown):
            if key in node.condition_keys:
                return None
            del deciding.inputs.inputs[key]
    return resolution.conditions_hold(planner.metadata, replace(node, proto=deciding))


def _with_static_inputs(planner: _Planner, node: ir.Node, unknown: list[str]) -> ir.Node:
    """Return a node that takes what earlier nodes would give it from the store by id."""
    static: dict[str, list[int]] = {}
    for key, spec in node.proto.inputs.inputs.items():
        names = {channel.producer_node_query.id for channel in spec.channels}
        of_this_run = names & planner.outputs.keys() and all(
            any(query.type.name == RUN_CONTEXT for query in channel.context_queries)
            for channel in spec.channels
        )
        if of_this_run and not names & set(unknown):
            static[key] = [
                a.id for channel in spec.channels for a in _known_artifacts(planner, channel)
            ]
    return node.with_static_inputs(static)


def _known_artifacts(planner: _Planner, channel: _tfx.Channel) -> list[_tfx.Artifact]:
    outputs = planner.outputs.get(channel.producer_node_query.id) or {}
    return list(outputs.get(channel.output_key, ()))


def _only_resolves(node: ir.Node) -> bool:
    """Whether a node's driver only computes parameters, so that it can be asked at any time."""
    path = node.driver_path or ""
    if path.startswith("tfx."):
        return False
    return bool(getattr(_tfx.import_class_by_path(path), "only_resolves", False))


def _ask_driver(resolved: Resolution) -> dict[str, Any]:
    invocation = resolution.execution_info(resolved).to_proto().SerializeToString()
    try:
        # What it prints belongs into a node's log, and not among the lines of a plan.
        with contextlib.redirect_stdout(sys.stderr):
            serialized = work.run_driver(invocation, resolved.node.driver, metadata_connection=None)
    except Exception as error:
        message = str(error) if isinstance(error, PenstockError) else user_code.folded(error)
        raise PenstockError(redaction_for(invocation).text(message)) from None
    output = _tfx.driver_output_pb2.DriverOutput.FromString(serialized)
    return {**resolved.parameters, **resolution.driver_parameters(output)}


def _last_execution(planner: _Planner, node_id: str) -> _tfx.ExecutionProto | None:
    """Return the newest execution that succeeded, by its own work or from the cache."""
    for execution in node_executions(planner.store, planner.pipeline.name, node_id):
        if _fingerprint_of_success(execution) is not None:
            return execution
    return None


def _fingerprint_of_success(execution: _tfx.ExecutionProto) -> Fingerprint | None:
    if not _tfx.execution_lib.is_execution_successful(execution):
        return None
    return recorded_fingerprint(execution)


def _differences(
    planner: _Planner,
    now: Fingerprint,
    last: _tfx.ExecutionProto | None,
    node: ir.Node,
    inputs: _tfx.Artifacts,
) -> list[str]:
    then = recorded_fingerprint(last) if last is not None else None
    if last is None or then is None:
        return ["it has not run yet"]
    original = planner.pipeline.nodes[node.id].proto
    producers = {
        key: {channel.producer_node_query.id for channel in spec.channels} - {""}
        for key, spec in original.inputs.inputs.items()
    }
    earlier = execution_inputs(planner.store, last.id) if now.inputs != then.inputs else {}
    changes = differences(now, then, inputs, earlier, producers)
    return changes or ["no earlier execution has just these inputs, parameters and code"]


def _address(artifacts: Sequence[_tfx.Artifact]) -> str:
    return ", ".join(a.uri for a in artifacts) or "nothing"
