"""What became of a call whose answer was lost, as the store tells it afterwards.

A call is one transaction, so that one thing that it would have made tells about all. What it would
have made is known by what the database keeps unique: the names of contexts, the events of
executions, and for new executions an external id, which they are given before the first try. A
call that only changes what is there may be made again, and so may one that makes types.
"""

from __future__ import annotations

import contextlib
import math
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock import _tfx

_errors = _tfx.ml_metadata.errors
_service = _tfx.metadata_store_service_pb2
_TYPE_CALLS = ("PutTypes", "PutArtifactType", "PutExecutionType", "PutContextType")

Ask = Callable[[str, Any, Any], None]


@dataclass
class Doubt:
    """Whether a call may have been done without an answer; it began at a time since the epoch."""

    began: float
    exists: bool = False

    @property
    def milliseconds(self) -> int:
        """When it began, as stores write times."""
        return int(self.began * 1000)


@dataclass(frozen=True)
class _Written:
    """What a call writes: nodes, and events as the indices of their nodes and themselves."""

    executions: Sequence[Any] = ()
    artifacts: Sequence[Any] = ()
    contexts: Sequence[Any] = ()
    edges: Sequence[tuple[int, int, Any]] = ()

    def execution_of(self, event: Any, index: int, ids: Sequence[int]) -> int:
        """Return the id of an event's execution."""
        return int(ids[index] if 0 <= index < len(ids) else event.execution_id)


def makes_types(method_name: str) -> bool:
    """Whether a call makes types, or finds them: it may be made as often as one likes."""
    return method_name in _TYPE_CALLS


def make_findable(request: Any) -> None:
    """Give new executions without a name an external id by which they are found."""
    for execution in _written(request).executions:
        if not (execution.id or execution.name or execution.external_id):
            execution.external_id = f"penstock-{secrets.token_hex(16)}"


def changed_executions(request: Any) -> list[int]:
    """Return the ids of the executions that a request changes."""
    return sorted({e.id for e in _written(request).executions if e.id})


def was_done(ask: Ask, method_name: str, request: Any, response: Any, doubt: Doubt) -> bool:
    """Whether a call that changes something has been done; if so, fill in its response."""
    store = _Asked(ask)
    if method_name == "PutEvents":
        return _has_events(store, [(event.execution_id, event) for event in request.events])
    if method_name == "PutParentContexts":
        return all(
            pair.parent_id in store.parents(pair.child_id) for pair in request.parent_contexts
        )
    written = _written(request)
    if not (written.executions or written.artifacts or written.contexts):
        return False  # relations, which may be written again
    found = _found(store, written, doubt)
    if found is None:
        return False
    _fill(response, *found)
    return True


def _written(request: Any) -> _Written:
    fields = {field.name for field in type(request).DESCRIPTOR.fields}
    if "artifact_event_pairs" in fields:
        pairs = [pair for pair in request.artifact_event_pairs if pair.HasField("artifact")]
        return _Written(
            [request.execution],
            [pair.artifact for pair in pairs],
            request.contexts,
            [(0, index, pair.event) for index, pair in enumerate(pairs) if pair.HasField("event")],
        )
    if "event_edges" in fields:
        edges = [
            (edge.execution_index if edge.HasField("execution_index") else -1,
             edge.artifact_index if edge.HasField("artifact_index") else -1, edge.event)
            for edge in request.event_edges
        ]  # fmt: skip
        return _Written(
            request.executions,
            request.artifacts,
            request.contexts,
            edges,
        )
    return _Written(
        *(getattr(request, name, ()) for name in ("executions", "artifacts", "contexts"))
    )


class _Asked:
    """The store, as far as it is looked at."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def get(self, method_name: str, **fields: Any) -> Any:
        request = getattr(_service, f"{method_name}Request")(**fields)
        response = getattr(_service, f"{method_name}Response")()
        with contextlib.suppress(_errors.NotFoundError):
            self._ask(method_name, request, response)
        return response

    def execution(self, asked: Any, doubt: Doubt) -> Any:
        """Return the execution that a request writes, or None."""
        if asked.id:
            found = self.get("GetExecutionsByID", execution_ids=[asked.id]).executions
        elif asked.external_id:
            found = self.get(
                "GetExecutionsByExternalIds", external_ids=[asked.external_id]
            ).executions
        elif not asked.name:
            found = [
                stored
                for stored in self.of_type("Execution", asked.type_id).executions
                if _is_written(asked, stored, doubt)
            ]
        else:
            return self.named("Execution", asked)
        return found[0] if found else None

    def context(self, asked: Any) -> Any:
        if asked.id:
            found = self.get("GetContextsByID", context_ids=[asked.id]).contexts
            return found[0] if found else None
        return self.named("Context", asked)

    def artifacts_like(self, asked: Any) -> Iterable[Any]:
        """Return the artifacts among which one is that a request makes."""
        if asked.external_id:
            ids = [asked.external_id]
            return self.get("GetArtifactsByExternalIds", external_ids=ids).artifacts
        if asked.uri:
            return self.get("GetArtifactsByURI", uris=[asked.uri]).artifacts
        return self.of_type("Artifact", asked.type_id).artifacts

    def of_type(self, node: str, type_id: int) -> Any:
        """Return the response that has all artifacts or executions of a type."""
        return self.get(f"Get{node}sByType", **self._type(node, type_id))

    def named(self, node: str, asked: Any) -> Any:
        """Return the execution or context of a type and a name, or None."""
        field = node.lower()
        by_name = {**self._type(node, asked.type_id), f"{field}_name": asked.name}
        response = self.get(f"Get{node}ByTypeAndName", **by_name)
        return getattr(response, field) if response.HasField(field) else None

    def _type(self, node: str, type_id: int) -> dict[str, Any]:
        """Return how requests name a type."""
        kinds = self.get(f"Get{node}TypesByID", type_ids=[type_id])
        [kind] = getattr(kinds, f"{node.lower()}_types")
        return {"type_name": kind.name, "type_version": kind.version or None}

    def artifacts(self, ids: Sequence[int]) -> Mapping[int, Any]:
        found = self.get("GetArtifactsByID", artifact_ids=ids).artifacts if ids else ()
        return {artifact.id: artifact for artifact in found}

    def events(self, execution_id: int) -> list[Any]:
        return list(self.get("GetEventsByExecutionIDs", execution_ids=[execution_id]).events)

    def parents(self, context_id: int) -> set[int]:
        found = self.get("GetParentContextsByContext", context_id=context_id).contexts
        return {context.id for context in found}


_Ids = tuple[list[int], list[int], list[int]]


def _found(store: _Asked, written: _Written, doubt: Doubt) -> _Ids | None:
    """Return the ids of what a call has written, or None where it has not been done."""
    executions = [store.execution(asked, doubt) for asked in written.executions]
    if None in executions:
        return None
    execution_ids = [int(found.id) for found in executions]
    artifact_ids = _artifact_ids(store, written, execution_ids, doubt)
    if artifact_ids is None:
        return None
    contexts = [store.context(asked) for asked in written.contexts]
    if None in contexts:
        return None
    ids = execution_ids, artifact_ids, [int(found.id) for found in contexts]
    if written.edges or not all(asked.id for asked in (*written.executions, *written.artifacts)):
        return ids
    stored = store.artifacts(artifact_ids)
    changed = [*zip(written.executions, executions, strict=True)]
    changed += [(asked, stored.get(asked.id)) for asked in written.artifacts]
    if not written.executions:
        changed += zip(written.contexts, contexts, strict=True)
    return ids if all(_is_written(asked, found, doubt) for asked, found in changed) else None


def _artifact_ids(
    store: _Asked, written: _Written, execution_ids: Sequence[int], doubt: Doubt
) -> list[int] | None:
    """Return the ids of a call's artifacts: by their events, and without events by their content.

    None is where it has not been done.
    """
    ids: dict[int, int] = {
        index: artifact.id for index, artifact in enumerate(written.artifacts) if artifact.id
    }
    known: dict[int, tuple[list[Any], Mapping[int, Any]]] = {}
    for execution_index, artifact_index, event in written.edges:
        execution_id = written.execution_of(event, execution_index, execution_ids)
        if execution_id not in known:
            events = store.events(execution_id)
            known[execution_id] = events, store.artifacts([e.artifact_id for e in events])
        events, stored = known[execution_id]
        asked = written.artifacts[artifact_index] if artifact_index >= 0 else None
        wanted = ids.get(artifact_index, event.artifact_id)
        match = next(
            (
                e
                for e in events
                if e.type == event.type
                and e.path == event.path
                and (
                    e.artifact_id == wanted
                    if wanted
                    else e.artifact_id not in ids.values()
                    and _is_copy(asked, stored[e.artifact_id])
                )
            ),
            None,
        )
        if match is None:
            return None
        ids[artifact_index] = int(match.artifact_id)
    for index, asked in enumerate(written.artifacts):
        if index not in ids:
            found = next(
                (
                    artifact.id
                    for artifact in store.artifacts_like(asked)
                    if artifact.id not in ids.values()
                    and _is_copy(asked, artifact)
                    and _is_written(asked, artifact, doubt)
                ),
                None,
            )
            if found is None:
                return None
            ids[index] = int(found)
    return [ids[index] for index in range(len(written.artifacts))]


def _has_events(store: _Asked, wanted: Iterable[tuple[int, Any]]) -> bool:
    return all(
        any(
            e.artifact_id == event.artifact_id and e.type == event.type
            for e in store.events(execution_id)
        )
        for execution_id, event in wanted
    )


def _is_copy(asked: Any, stored: Any) -> bool:
    if asked.external_id:
        return bool(asked.external_id == stored.external_id)
    return (asked.type_id, asked.uri, asked.name) == (stored.type_id, stored.uri, stored.name)


def _is_written(asked: Any, stored: Any, doubt: Doubt) -> bool:
    """Whether a node is stored as it was to be written; a new one, since the call began."""
    if stored is None or (not asked.id and stored.create_time_since_epoch < doubt.milliseconds):
        return False
    for name in ("last_known_state", "state", "uri"):
        is_asked = name in asked.DESCRIPTOR.fields_by_name and asked.HasField(name)
        if is_asked and getattr(asked, name) != getattr(stored, name):
            return False
    return all(
        set(ours) == set(theirs) and all(_is_value(ours[key], theirs[key]) for key in ours)
        for ours, theirs in (
            (asked.properties, stored.properties),
            (asked.custom_properties, stored.custom_properties),
        )
    )


def _is_value(asked: Any, stored: Any) -> bool:
    if asked.HasField("double_value") and stored.HasField("double_value"):
        # Databases are given numbers as texts, of some digits.
        return math.isclose(asked.double_value, stored.double_value, rel_tol=1e-4)
    return bool(asked == stored)


def _fill(
    response: Any,
    execution_ids: Sequence[int],
    artifact_ids: Sequence[int],
    context_ids: Sequence[int],
) -> None:
    response.Clear()
    fields = response.DESCRIPTOR.fields_by_name
    if "execution_id" in fields:
        response.execution_id = execution_ids[0]
    for name, ids in (
        ("execution_ids", execution_ids),
        ("artifact_ids", artifact_ids),
        ("context_ids", context_ids),
    ):
        if name in fields:
            getattr(response, name).extend(ids)
