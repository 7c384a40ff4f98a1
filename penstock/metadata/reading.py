"""Reading many things from a store with few calls.

ML Metadata has a call for the contexts of one execution, but none for those of many: a thousand
executions would be a thousand calls. A lineage subgraph of no hops gives them by the hundred.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from penstock import _tfx
from penstock.errors import RunError
from penstock.ir.reading import RUN_CONTEXT
from penstock.metadata.protocol import Store
from penstock.metadata.rows import time_of
from penstock.safety import bounded

NODE_CONTEXT = "node"
PIPELINE_CONTEXT = "pipeline"

DIGEST_PROPERTY = "content_digest"
BYTES_PROPERTY = "content_bytes"

# Of names with other characters a query could not be sure, since databases escape them differently.
PLAIN_NAME = re.compile(r"[\w.:-]+", re.ASCII)

_proto = _tfx.metadata_store_pb2
_service = _tfx.metadata_store_service_pb2
_EVENT, _ARTIFACT = _proto.Event, _proto.Artifact

# More starting nodes than this are left out of a lineage subgraph without a word.
_SUBGRAPH_NODES = 100
_IDS_A_CALL = 1000
# Of a list of which mostly the beginning is wanted; no page may be larger than the second.
_FIRST_PAGE, _PAGE = 25, 100

_INPUTS = (_EVENT.INPUT, _EVENT.DECLARED_INPUT, _EVENT.INTERNAL_INPUT)
_OUTPUTS = (_EVENT.OUTPUT, _EVENT.DECLARED_OUTPUT, _EVENT.PENDING_OUTPUT)

ARTIFACT_STATES = {
    _ARTIFACT.PENDING: "pending",
    _ARTIFACT.LIVE: "live",
    _ARTIFACT.MARKED_FOR_DELETION: "marked for deletion",
    _ARTIFACT.DELETED: "deleted",
    _ARTIFACT.ABANDONED: "abandoned",
    _ARTIFACT.REFERENCE: "reference",
}

# 2^63 has as many.
_DIGITS = 19


def number_of(text: str) -> int | None:
    """Return the id or number that a text is, None for one that is no number of 64 bits."""
    if not (text.isascii() and text.isdigit() and len(text.lstrip("0")) <= _DIGITS):
        return None
    number = int(text)
    return number if number < 2**63 else None


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    """An artifact as the store has it; `properties` are its own and its custom properties."""

    artifact_id: int
    type_name: str
    uri: str
    state: str
    created: datetime
    properties: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The digest of its contents, or nothing where none was recorded."""
        return str(self.properties.get(DIGEST_PROPERTY, ""))

    @property
    def size(self) -> int | None:
        """The bytes of its contents, if they were recorded."""
        size = self.properties.get(BYTES_PROPERTY)
        return size if isinstance(size, int) else None


@dataclass(frozen=True, slots=True)
class Place:
    """Where an execution belongs."""

    pipeline_name: str = ""
    run_id: str = ""
    node_id: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """An artifact that an execution was given, or that it made, under a key."""

    artifact_id: int
    execution_id: int
    key: str
    index: int
    is_output: bool


def newest_contexts(store: Store, type_name: str) -> Iterator[Any]:
    """Yield the contexts of a type, the newest first; only as many are read as are taken.

    One that is made meanwhile is not among them.
    """
    request = _service.GetContextsByTypeRequest(type_name=type_name)
    request.options.max_result_size = _FIRST_PAGE
    return _listed(store, "GetContextsByType", request, "contexts", ascending=False)


def all_contexts(store: Store, type_name: str) -> Iterator[Any]:
    """Yield the contexts of a type, the oldest first, without having all of them at once."""
    request = _service.GetContextsByTypeRequest(type_name=type_name)
    return _listed(store, "GetContextsByType", request, "contexts")


def chosen_contexts(store: Store, query: str, *, newest_first: bool = False) -> Iterator[Any]:
    """Yield the contexts for which a condition of ML Metadata's query language holds."""
    request = _service.GetContextsRequest()
    request.options.filter_query = query
    request.options.max_result_size = _FIRST_PAGE if newest_first else _PAGE
    return _listed(store, "GetContexts", request, "contexts", ascending=not newest_first)


def all_executions(store: Store, context_id: int | None = None) -> Iterator[Any]:
    """Yield executions, all or those of a context, without having all of them at once."""
    if context_id is None:
        return _listed(store, "GetExecutions", _service.GetExecutionsRequest(), "executions")
    request = _service.GetExecutionsByContextRequest(context_id=context_id)
    return _listed(store, "GetExecutionsByContext", request, "executions")


def execution_ids(store: Store, context_id: int) -> list[int]:
    """Return the ids of a context's executions, with one call: of each page all would be sorted."""
    request = _service.GetExecutionsByContextRequest(context_id=context_id)
    response = _service.GetExecutionsByContextResponse()
    store.answer("GetExecutionsByContext", request, response)
    return [execution.id for execution in response.executions]


def chosen_executions(store: Store, query: str, *, newest_first: bool = False) -> Iterator[Any]:
    """Yield the executions for which a condition of ML Metadata's query language holds."""
    request = _service.GetExecutionsRequest()
    request.options.filter_query = query
    return _listed(store, "GetExecutions", request, "executions", ascending=not newest_first)


def all_artifacts(store: Store, query: str = "") -> Iterator[ArtifactRecord]:
    """Yield artifacts, all or those that a query chooses, without having all of them at once."""
    types: dict[int, str] = {}
    request = _service.GetArtifactsRequest()
    if query:
        request.options.filter_query = query
    protos = _listed(store, "GetArtifacts", request, "artifacts")
    while page := list(islice(protos, _PAGE)):
        yield from to_records(store, page, types).values()


def run_context(store: Store, run_id: str) -> _tfx.ContextProto:
    """Return the context of a run, which is known by its full name.

    Raises:
      RunError: the store has no such run.
    """
    context = store.get_context_by_type_and_name(RUN_CONTEXT, run_id)
    if context is None:
        raise RunError(f"the store has no run {run_id}")
    return context


def _listed(
    store: Store, method_name: str, request: Any, kind: str, *, ascending: bool = True
) -> Iterator[Any]:
    """Yield what a call lists, in the order of ids; it is made once for each page."""
    request.options.order_by_field.field = _proto.ListOperationOptions.OrderByField.ID
    request.options.order_by_field.is_asc = ascending
    request.options.max_result_size = request.options.max_result_size or _PAGE
    while True:
        response = getattr(_service, f"{method_name}Response")()
        store.answer(method_name, request, response)
        yield from getattr(response, kind)
        if not response.next_page_token:
            return
        request.options.next_page_token = response.next_page_token
        request.options.max_result_size = _PAGE


def read_artifacts(store: Store, artifact_ids: Iterable[int]) -> dict[int, ArtifactRecord]:
    """Return artifacts by id; ids that the store does not know are left out."""
    protos = [
        proto
        for ids in _portions(artifact_ids, _IDS_A_CALL)
        for proto in store.get_artifacts_by_id(ids)
    ]
    return to_records(store, protos)


def to_records(
    store: Store, protos: Iterable[Any], types: MutableMapping[int, str] | None = None
) -> dict[int, ArtifactRecord]:
    """Return ML Metadata's own artifacts as records, by id.

    `types` are the names of types that are known already; others are added to them.
    """
    protos = list(protos)
    types = {} if types is None else types
    type_ids = sorted({proto.type_id for proto in protos} - types.keys())
    if type_ids:
        types.update({t.id: t.name for t in store.get_artifact_types_by_id(type_ids)})
    return {
        proto.id: ArtifactRecord(
            proto.id,
            types[proto.type_id],
            proto.uri,
            ARTIFACT_STATES.get(proto.state, "unknown"),
            time_of(proto.create_time_since_epoch),
            {
                name: plain_value(value)
                for name, value in (*proto.properties.items(), *proto.custom_properties.items())
            },
        )
        for proto in protos
    }


def links_of_executions(store: Store, execution_ids: Iterable[int]) -> list[Link]:
    """Return what executions were given and made, in the order of their keys' places."""
    return [
        link
        for ids in _portions(execution_ids, _IDS_A_CALL)
        for event in store.get_events_by_execution_ids(ids)
        for link in _links(event)
    ]


def links_of_artifacts(store: Store, artifact_ids: Iterable[int]) -> list[Link]:
    """Return which executions made artifacts or were given them."""
    return [
        link
        for ids in _portions(artifact_ids, _IDS_A_CALL)
        for event in store.get_events_by_artifact_ids(ids)
        for link in _links(event)
    ]


def _links(event: _tfx.EventProto) -> Iterator[Link]:
    # A resolver's internal outputs are artifacts that others made.
    if event.type not in (*_INPUTS, *_OUTPUTS):
        return
    steps = list(event.path.steps)
    for key, index in zip(steps[::2], steps[1::2], strict=False):
        # Stores have very many events, and few keys.
        name = sys.intern(key.key)
        yield Link(event.artifact_id, event.execution_id, name, index.index, event.type in _OUTPUTS)
    if len(steps) < 2:
        yield Link(event.artifact_id, event.execution_id, "", 0, event.type in _OUTPUTS)


def read_executions(store: Store, execution_ids: Iterable[int]) -> dict[int, Any]:
    """Return ML Metadata's own executions by id."""
    return {
        execution.id: execution
        for ids in _portions(execution_ids, _IDS_A_CALL)
        for execution in store.get_executions_by_id(ids)
    }


def places_of(store: Store, execution_ids: Iterable[int]) -> dict[int, Place]:
    """Return the pipeline, the run and the node of each execution."""
    names: dict[int, dict[str, str]] = {}
    for ids in _portions(execution_ids, _SUBGRAPH_NODES):
        options = _proto.LineageSubgraphQueryOptions(max_num_hops=0)
        options.starting_executions.filter_query = f"id IN ({', '.join(map(str, ids))})"
        graph = store.get_lineage_subgraph(options, ["contexts", "context_types", "associations"])
        types = {t.id: t.name for t in graph.context_types}
        contexts = {c.id: (types.get(c.type_id, c.type), c.name) for c in graph.contexts}
        for association in graph.associations:
            kind, name = contexts[association.context_id]
            names.setdefault(association.execution_id, {})[kind] = name
    return {execution_id: _place(named) for execution_id, named in names.items()}


def _place(named: Mapping[str, str]) -> Place:
    pipeline = named.get(PIPELINE_CONTEXT, "")
    node = named.get(NODE_CONTEXT, "").removeprefix(f"{pipeline}.")
    return Place(pipeline, named.get(RUN_CONTEXT, ""), node)


def plain_value(value: Any) -> Any:
    """Return a property's value; TFX's JSON values are structs in ML Metadata's eyes."""
    if value.HasField("struct_value"):
        fields = value.struct_value.fields
        if set(fields) == {"__value__"}:
            inner = fields["__value__"]
            if inner.HasField("string_value"):
                return _parsed(inner.string_value)
        return _plain_struct(value.struct_value)
    return _tfx.data_types_utils.get_metadata_value(value)


def _parsed(text: str) -> Any:
    try:
        return bounded.parse_json(text)
    except ValueError:
        return text


def _plain_struct(struct: Any) -> Any:
    from google.protobuf import json_format

    return json_format.MessageToDict(struct)


def fingerprint_bytes(fingerprint: str) -> int | None:
    """Return the bytes that an ExampleGen's fingerprint of its input says, ours or TFX's."""
    sizes = re.findall(r"(?:^|[,\s])(?:total_)?bytes:(\d+)", fingerprint)
    return sum(map(int, sizes)) if sizes else None


def _portions(ids: Iterable[int], most: int) -> Iterator[list[int]]:
    ordered = sorted(set(ids))
    for start in range(0, len(ordered), most):
        yield ordered[start : start + most]
