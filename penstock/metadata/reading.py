"""Reading many things from a store with few calls.

ML Metadata has a call for the contexts of one execution, but none for those of many: a thousand
executions would be a thousand calls. A lineage subgraph of no hops gives them by the hundred.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from penstock import _tfx

RUN_CONTEXT = "pipeline_run"
NODE_CONTEXT = "node"
PIPELINE_CONTEXT = "pipeline"

DIGEST_PROPERTY = "content_digest"
BYTES_PROPERTY = "content_bytes"

_proto = _tfx.metadata_store_pb2
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


@dataclass(frozen=True)
class ArtifactRecord:
    """An artifact as the store has it; `properties` are its own and its custom properties."""

    artifact_id: int
    type_name: str
    uri: str
    state: str
    made: datetime
    properties: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The digest of its contents, or nothing where none was recorded."""
        return str(self.properties.get(DIGEST_PROPERTY, ""))

    @property
    def size(self) -> int | None:
        """The bytes of its contents, if they were recorded."""
        size = self.properties.get(BYTES_PROPERTY)
        return None if size is None else int(size)


@dataclass(frozen=True)
class Place:
    """Where an execution belongs."""

    pipeline_name: str = ""
    run_id: str = ""
    node_id: str = ""


@dataclass(frozen=True)
class Link:
    """An artifact that an execution was given, or that it made, under a key."""

    artifact_id: int
    execution_id: int
    key: str
    index: int
    is_output: bool


def newest_contexts(store: Any, type_name: str) -> Iterator[Any]:
    """Yield the contexts of a type, the newest first; only as many are read as are taken.

    One that is made meanwhile is not among them.
    """
    service = _tfx.metadata_store_service_pb2
    request = service.GetContextsByTypeRequest(type_name=type_name)
    request.options.max_result_size = _FIRST_PAGE
    request.options.order_by_field.field = _proto.ListOperationOptions.OrderByField.ID
    request.options.order_by_field.is_asc = False
    while True:
        response = service.GetContextsByTypeResponse()
        store.answer("GetContextsByType", request, response)
        yield from response.contexts
        if not response.next_page_token:
            return
        request.options.next_page_token = response.next_page_token
        request.options.max_result_size = _PAGE


def read_artifacts(store: Any, artifact_ids: Iterable[int]) -> dict[int, ArtifactRecord]:
    """Return artifacts by id; ids that the store does not know are left out."""
    protos = [
        proto
        for ids in _portions(artifact_ids, _IDS_A_CALL)
        for proto in store.get_artifacts_by_id(ids)
    ]
    return to_records(store, protos)


def to_records(store: Any, protos: Iterable[Any]) -> dict[int, ArtifactRecord]:
    """Return ML Metadata's own artifacts as records, by id."""
    protos = list(protos)
    type_ids = sorted({proto.type_id for proto in protos})
    types = {t.id: t.name for t in store.get_artifact_types_by_id(type_ids)} if type_ids else {}
    return {
        proto.id: ArtifactRecord(
            proto.id,
            types[proto.type_id],
            proto.uri,
            ARTIFACT_STATES.get(proto.state, "unknown"),
            datetime.fromtimestamp(proto.create_time_since_epoch / 1000),
            {
                name: plain_value(value)
                for name, value in (*proto.properties.items(), *proto.custom_properties.items())
            },
        )
        for proto in protos
    }


def links_of_executions(store: Any, execution_ids: Iterable[int]) -> list[Link]:
    """Return what executions were given and made, in the order of their keys' places."""
    return [
        link
        for ids in _portions(execution_ids, _IDS_A_CALL)
        for event in store.get_events_by_execution_ids(ids)
        for link in _links(event)
    ]


def links_of_artifacts(store: Any, artifact_ids: Iterable[int]) -> list[Link]:
    """Return which executions made artifacts or were given them."""
    return [
        link
        for ids in _portions(artifact_ids, _IDS_A_CALL)
        for event in store.get_events_by_artifact_ids(ids)
        for link in _links(event)
    ]


def _links(event: Any) -> Iterator[Link]:
    # A resolver's internal outputs are artifacts that others made.
    if event.type not in (*_INPUTS, *_OUTPUTS):
        return
    steps = list(event.path.steps)
    for key, index in zip(steps[::2], steps[1::2], strict=False):
        yield Link(
            event.artifact_id, event.execution_id, key.key, index.index, event.type in _OUTPUTS
        )
    if len(steps) < 2:
        yield Link(event.artifact_id, event.execution_id, "", 0, event.type in _OUTPUTS)


def read_executions(store: Any, execution_ids: Iterable[int]) -> dict[int, Any]:
    """Return ML Metadata's own executions by id."""
    return {
        execution.id: execution
        for ids in _portions(execution_ids, _IDS_A_CALL)
        for execution in store.get_executions_by_id(ids)
    }


def places_of(store: Any, execution_ids: Iterable[int]) -> dict[int, Place]:
    """Return the pipeline, the run and the node of each execution."""
    found: dict[int, dict[str, str]] = {}
    for ids in _portions(execution_ids, _SUBGRAPH_NODES):
        options = _proto.LineageSubgraphQueryOptions(max_num_hops=0)
        options.starting_executions.filter_query = f"id IN ({', '.join(map(str, ids))})"
        graph = store.get_lineage_subgraph(options, ["contexts", "context_types", "associations"])
        types = {t.id: t.name for t in graph.context_types}
        contexts = {c.id: (types.get(c.type_id, c.type), c.name) for c in graph.contexts}
        for association in graph.associations:
            kind, name = contexts[association.context_id]
            found.setdefault(association.execution_id, {})[kind] = name
    return {execution_id: _place(named) for execution_id, named in found.items()}


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
        return json.loads(text)
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
