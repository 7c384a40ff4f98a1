"""What runs there were, as ML Metadata has them."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from penstock import _tfx
from penstock.errors import RunError, RunLookupError, suggestion
from penstock.ir.reading import RUN_CONTEXT
from penstock.metadata import turns
from penstock.metadata.attempts import Attempt
from penstock.metadata.protocol import Store
from penstock.metadata.reading import (
    PIPELINE_CONTEXT,
    PLAIN_NAME,
    ArtifactRecord,
    Link,
    Place,
    fingerprint_bytes,
    links_of_executions,
    newest_contexts,
    places_of,
    plain_value,
    read_artifacts,
    run_context,
)
from penstock.metadata.rows import MalformedRowError, Row, json_of, property_or, time_of, warn
from penstock.metadata.run_requests import STATE_PROPERTY, read_parameters, run_state
from penstock.metadata.run_times import read_times
from penstock.metadata.store import execution_inputs, execution_outputs
from penstock.safety import bounded

if TYPE_CHECKING:
    from ml_metadata.proto.metadata_store_pb2 import Context

# What a digest of a node's whole code is kept under.
ALL_CODE = "all code"
CODE_PROPERTY = "__code_fingerprint__"
IMAGE_PROPERTY = "__image__"
# Of a node of TFX's: who did its work, and why.
DONE_BY_PROPERTY = "__done_by__"
# Of a node in a loop: the item that it ran for.
ITEM_PROPERTY = "__item__"
_FINGERPRINT = "input_fingerprint"
_EVENTS, _EVENTS_LOST = "openlineage_events", "openlineage_events_lost"
_EVENTS_REASON = "openlineage_events_lost_because"
_ELAPSED = "seconds_beside_nodes"
_RUNS_AT_A_TIME = 25
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
    """A node of a run.

    `measured` has seconds and bytes, as far as they were measured. `bytes_in` and `bytes_out` are
    the contents of its inputs, or the files that an ExampleGen read, and of its outputs; None
    where the store does not say. `code` has a digest for each file and library component that it
    ran, `image` the image of its pod. `done_by` says of a node of TFX's who did its work, and why;
    `item` of a node in a loop for which item it ran.
    """

    node_id: str
    state: str
    execution_id: int
    began: datetime
    ended: datetime
    parameters: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    bytes_in: int | None = None
    bytes_out: int | None = None
    code: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    done_by: str = ""
    item: str = ""

    @property
    def seconds(self) -> float:
        """From its registration to its last change."""
        return (self.ended - self.began).total_seconds()

    @property
    def cached(self) -> bool:
        """Whether an earlier execution had made its outputs already."""
        return self.state == "cached"


@dataclass(frozen=True)
class EventDelivery:
    """How many OpenLineage events a run had, how many of them were lost, and why the last was."""

    events: int
    lost: int = 0
    reason: str = ""

    def __str__(self) -> str:
        if not self.lost:
            return f"{self.events} events were delivered"
        return f"{self.lost} of {self.events} events were not delivered: {self.reason}"


@dataclass(frozen=True)
class RunRecord:
    """A run: its nodes in the order in which they began.

    `events` says what became of its OpenLineage events, if it had any; `elapsed` has the seconds
    that were no node's, by what they went to, where the run's process has recorded them.
    """

    run_id: str
    pipeline_name: str
    state: str
    began: datetime
    ended: datetime
    parameters: Mapping[str, Any]
    nodes: tuple[NodeRecord, ...]
    events: EventDelivery | None = None
    elapsed: Mapping[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """From the beginning of the first node to the last change of any."""
        return (self.ended - self.began).total_seconds()


def record_events(store: Store, run_id: str, delivery: EventDelivery) -> None:
    """Add to a run's context what became of its OpenLineage events."""
    context = run_context(store, run_id)
    context.custom_properties[_EVENTS].int_value += delivery.events
    context.custom_properties[_EVENTS_LOST].int_value += delivery.lost
    if delivery.reason:
        context.custom_properties[_EVENTS_REASON].string_value = delivery.reason
    store.put_contexts([context])


def _read_events(context: _tfx.ContextProto) -> EventDelivery | None:
    properties = context.custom_properties
    if _EVENTS not in properties:
        return None
    reason = properties[_EVENTS_REASON].string_value if _EVENTS_REASON in properties else ""
    return EventDelivery(properties[_EVENTS].int_value, properties[_EVENTS_LOST].int_value, reason)


def record_elapsed(store: Store, run_id: str, seconds: Mapping[str, float]) -> None:
    """Add to a run's context the seconds that were no node's, by what they went to."""
    context = run_context(store, run_id)
    before = _read_elapsed(context)
    total = {kind: round(before.get(kind, 0.0) + passed, 3) for kind, passed in seconds.items()}
    context.custom_properties[_ELAPSED].string_value = json.dumps({**before, **total})
    store.put_contexts([context])


def _read_elapsed(context: _tfx.ContextProto) -> dict[str, float]:
    properties = context.custom_properties
    if _ELAPSED not in properties:
        return {}

    def read() -> dict[str, float]:
        content = json_of(properties[_ELAPSED].string_value, dict, _ELAPSED)
        return {kind: float(seconds) for kind, seconds in content.items()}

    return property_or(Row(RUN_CONTEXT, context.id, context.name), _ELAPSED, read, {})


def list_runs(
    store: Store,
    *,
    pipeline_name: str | None = None,
    most: int = 20,
    done_runs: MutableMapping[tuple[int, int], RunRecord] | None = None,
) -> list[RunRecord]:
    """Return the newest runs, newest first.

    `done_runs` is for who asks again and again: runs that are done are kept there, and not read
    again unless they have changed.
    """
    contexts = newest_contexts(store, RUN_CONTEXT)
    runs: list[RunRecord] = []
    while len(runs) < most and (some := list(islice(contexts, _RUNS_AT_A_TIME))):
        records = _read_runs(store, some) if done_runs is None else _reread(store, some, done_runs)
        runs += [r for r in records if pipeline_name in (None, r.pipeline_name)]
    return runs[:most]


def _reread(
    store: Store, contexts: Sequence[Context], done_runs: MutableMapping[tuple[int, int], RunRecord]
) -> list[RunRecord]:
    """Return runs, of which only those are read that are not known, or not as they are now."""
    now = {context.name: (context.id, context.last_update_time_since_epoch) for context in contexts}
    read = _read_runs(
        store, [context for context in contexts if now[context.name] not in done_runs]
    )
    # Its runner writes this last; whoever resumes it writes into its context first.
    done = {c.name for c in contexts if run_state(c) == "done"}
    done_runs.update({now[record.run_id]: record for record in read if record.run_id in done})
    newly_read = {record.run_id: record for record in read}
    records = [newly_read.get(name) or done_runs.get(key) for name, key in now.items()]
    return [record for record in records if record is not None]


def find_run(store: Store, run_id: str) -> RunRecord:
    """Return a run by its name, by an unambiguous beginning or end of it, or as `latest`.

    `latest~1` is the run before the latest, and so on.

    Raises:
      RunError: there is no such run, or there are several.
    """
    context = find_context(store, run_id)
    records = _read_runs(store, [context])
    if not records:
        raise RunLookupError(
            f"the store has nothing of run {context.name} but its name: it ended as it began",
            hint="Start it again: penstock run PIPELINE.",
        )
    return records[0]


def find_context(store: Store, run_id: str) -> Context:
    """Return the context of a run, which is named as for `find_run`.

    Raises:
      RunError: there is no such run, or there are several.
    """
    back = re.fullmatch(r"latest(?:~(\d{1,9}))?", run_id)
    if back:
        return _earlier_run(store, int(back[1] or 0), run_id)
    contexts = _named(store, run_id)
    if len(contexts) > 1:
        names = sorted(context.name for context in contexts)
        raise RunError(f"{run_id!r} fits several runs: {', '.join(names[:5])}")
    if not contexts:
        raise _unknown(store, run_id)
    return contexts[0]


def _earlier_run(store: Store, back: int, run_id: str) -> Context:
    """Return the run that is so many before the newest one."""
    contexts = list(islice(newest_contexts(store, RUN_CONTEXT), back + 1))
    if not contexts:
        raise _no_runs()
    if len(contexts) <= back:
        raise RunLookupError(
            f"there is no run {run_id}: the store has {len(contexts)}",
            hint="penstock runs lists them.",
        )
    return contexts[-1]


def _named(store: Store, run_id: str) -> list[Context]:
    """Return the run of a name, or else all whose name begins or ends like this."""
    context = store.get_context_by_type_and_name(RUN_CONTEXT, run_id)
    if context is not None:
        return [context]
    query = f"type = '{RUN_CONTEXT}'"
    if PLAIN_NAME.fullmatch(run_id):
        query += f" AND (name LIKE '{run_id}%' OR name LIKE '%{run_id}')"
    contexts = store.get_contexts(_tfx.ml_metadata.ListOptions(filter_query=query))
    # An underscore stands for any character there, and some databases disregard case.
    return [c for c in contexts if c.name.startswith(run_id) or c.name.endswith(run_id)]


def _unknown(store: Store, run_id: str) -> RunError:
    newest = [context.name for context in islice(newest_contexts(store, RUN_CONTEXT), 5)]
    if not newest:
        return _no_runs()
    known = ["latest", *newest]
    return RunLookupError(f"there is no run {run_id!r}", hint=suggestion(run_id, known, noun="run"))


def _no_runs() -> RunError:
    return RunLookupError("the store has no runs yet", hint="Start one: penstock run PIPELINE.")


def base_run_of(store: Store, run_id: str) -> str:
    """Return the run that has lent to a run of a part of a pipeline, "" for none."""
    parents = store.get_parent_contexts_by_context(run_context(store, run_id).id)
    return next((str(parent.name) for parent in parents if parent.type == RUN_CONTEXT), "")


def node_artifacts(
    store: Store, node: NodeRecord
) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Return a node's input and output artifacts by key."""
    return execution_inputs(store, node.execution_id), execution_outputs(store, node.execution_id)


def made_in_run(store: Store, run: RunRecord) -> dict[int, str]:
    """Return the node that each artifact of a run comes from, by the artifact's id.

    What came from the cache is among them; what a resolver has found, which other runs have made,
    is not.
    """
    nodes = {node.execution_id: node.node_id for node in run.nodes}
    links = links_of_executions(store, nodes)
    return {link.artifact_id: nodes[link.execution_id] for link in links if link.is_output}


def _read_runs(store: Store, contexts: Sequence[Any]) -> list[RunRecord]:
    """Return the runs that have executions; few calls, however many nodes they have."""
    executions = {c.id: store.get_executions_by_context(c.id) for c in contexts}
    ids = [e.id for of_run in executions.values() for e in of_run]
    places = places_of(store, ids)
    links = links_of_executions(store, ids)
    artifacts = read_artifacts(store, {link.artifact_id for link in links})
    by_execution: dict[int, list[Link]] = {}
    for link in links:
        by_execution.setdefault(link.execution_id, []).append(link)
    return [
        _read_run(store, context, executions[context.id], places, by_execution, artifacts)
        for context in contexts
        # A run of ours that was killed before its first node began can be resumed.
        if executions[context.id] or STATE_PROPERTY in context.custom_properties
    ]


def _read_run(
    store: Store,
    context: _tfx.ContextProto,
    executions: Iterable[_tfx.ExecutionProto],
    places: Mapping[int, Place],
    links: Mapping[int, list[Link]],
    artifacts: Mapping[int, ArtifactRecord],
) -> RunRecord:
    ordered = sorted(executions, key=lambda e: e.id)
    nodes = tuple(
        read_node(places.get(e.id, Place()).node_id, e, links.get(e.id, ()), artifacts)
        for e in ordered
    )
    # A node that was tried again counts as it ended.
    state = state_of_run(store, context, {node.node_id: node.state for node in nodes})
    if state == turns.ABANDONED:
        nodes = tuple(map(_as_left, nodes))
    named = [places[e.id].pipeline_name for e in ordered if e.id in places]
    if not nodes:
        parents = store.get_parent_contexts_by_context(context.id)
        named = [parent.name for parent in parents if parent.type == PIPELINE_CONTEXT]
    began, ended = read_times(context) or (
        min((node.began for node in nodes), default=time_of(context.create_time_since_epoch)),
        max((node.ended for node in nodes), default=time_of(context.last_update_time_since_epoch)),
    )
    return RunRecord(
        context.name,
        next((name for name in named if name), ""),
        state,
        began,
        ended,
        read_parameters(context),
        nodes,
        _read_events(context),
        _read_elapsed(context),
    )


def _as_left(node: NodeRecord) -> NodeRecord:
    """Return a node of a run that nobody works on any more."""
    if node.state != turns.RUNNING:
        return node
    return replace(node, state="failed", error="the process that ran it ended without saying so")


def state_of_run(store: Store, context: Context, states: Mapping[str, str]) -> str:
    """Return what the runner has written down, or for others' runs what the nodes amount to.

    A runner that is gone cannot write: its run is abandoned, before anybody marks it so.
    """
    if STATE_PROPERTY in context.custom_properties:
        state = run_state(context)
        if state == turns.RUNNING:
            try:
                attempt = turns.latest(store, Attempt, context.name)
            except MalformedRowError as error:
                warn(error)
                return state
            return turns.ABANDONED if attempt is not None and attempt.is_abandoned() else state
        return state
    return next((state for state in _RUN_STATES if state in states.values()), "done")


def state_of_node(execution: _tfx.ExecutionProto) -> str:
    """Return how an execution of ML Metadata stands."""
    return _STATES.get(execution.last_known_state, "unknown")


def read_node(
    node_id: str,
    execution: _tfx.ExecutionProto,
    links: Iterable[Link] = (),
    artifacts: Mapping[int, ArtifactRecord] | None = None,
) -> NodeRecord:
    """Return an execution of ML Metadata as the record of a node."""
    parameters, measured, texts = {}, {}, {}
    for name, value in (*execution.properties.items(), *execution.custom_properties.items()):
        if name in (CODE_PROPERTY, IMAGE_PROPERTY, DONE_BY_PROPERTY, ITEM_PROPERTY):
            texts[name] = value.string_value
        elif not name.startswith("__"):
            parameters[name] = plain_value(value)
            if _is_boolean(execution, name):
                parameters[name] = bool(parameters[name])
        elif value.HasField("double_value"):
            measured[name.strip("_")] = value.double_value
    result = execution.custom_properties.get("__execution_result__")
    error = ""
    if result is not None and result.string_value:
        row = Row(execution.type or "execution", execution.id, execution.name)
        read = functools.partial(_message_of, result.string_value)
        error = property_or(row, "__execution_result__", read, "")
    bytes_in = _content_bytes(links, artifacts or {}, outputs=False)
    if _FINGERPRINT in parameters:
        bytes_in = fingerprint_bytes(str(parameters[_FINGERPRINT]))
    return NodeRecord(
        node_id,
        state_of_node(execution),
        execution.id,
        time_of(execution.create_time_since_epoch),
        time_of(execution.last_update_time_since_epoch),
        parameters,
        measured,
        error,
        bytes_in,
        _content_bytes(links, artifacts or {}, outputs=True),
        _read_code(texts.get(CODE_PROPERTY, "")),
        texts.get(IMAGE_PROPERTY, ""),
        texts.get(DONE_BY_PROPERTY, ""),
        texts.get(ITEM_PROPERTY, ""),
    )


def _message_of(text: str) -> str:
    return str(json_of(text, dict, "__execution_result__").get("resultMessage", ""))


def _is_boolean(execution: _tfx.ExecutionProto, name: str) -> bool:
    """Return whether TFX wrote down that an integer stands for a boolean."""
    schema = execution.custom_properties.get(f"__schema__{name}__")
    if schema is None or '"boolean_type"' not in schema.string_value:
        return False
    value = execution.custom_properties.get(name)
    return value is not None and value.HasField("int_value")


def _content_bytes(
    links: Iterable[Link], artifacts: Mapping[int, ArtifactRecord], *, outputs: bool
) -> int | None:
    ids = {link.artifact_id for link in links if link.is_output is outputs}
    sizes = [artifacts[i].size for i in ids if i in artifacts]
    recorded = [size for size in sizes if size is not None]
    return sum(recorded) if recorded and len(recorded) == len(ids) else None


def _read_code(text: str) -> dict[str, str]:
    """Read digests by file or component; older runs have one digest of all code."""
    try:
        content = bounded.parse_json(text) if text.startswith("{") else None
    except ValueError:
        content = None
    if isinstance(content, dict):
        return {str(name): str(digest) for name, digest in content.items()}
    return {ALL_CODE: text} if text else {}
