"""Queries on their way to a store, and answers to those that a store is not asked.

Each query is read, and written anew for the store (`write_anew`). One whose texts or names could
leave their quotes in a database is not; and ml-metadata 1.21 no longer filters. What such a
condition asks for is read with the calls that are left, those that bring the least, and judged
here. A lineage subgraph begins with a query, so it is drawn here too.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from penstock import _tfx
from penstock.metadata.databases.queries import (
    ARTIFACT,
    CONTEXT,
    EXECUTION,
    PROPERTIES,
    Comparison,
    Condition,
    Junction,
    UnknownQueryError,
    can_be_rendered,
    conjuncts,
    parse,
    render,
)

_service = _tfx.metadata_store_service_pb2
_proto = _tfx.metadata_store_pb2
_errors = _tfx.ml_metadata.errors

# What a library or a server without queries answers.
_NO_QUERIES = "filter_query is not supported"
# What PostgreSQL says of a query whose answer is to be in the order of a time.
_NO_ORDER = "ORDER BY expressions must appear in select list"
_PAGE = 100
_MOST_HOPS = 100
_MOST_STARTING_NODES = 100
_EVENT = _proto.Event
_INPUTS = (_EVENT.INPUT, _EVENT.DECLARED_INPUT, _EVENT.INTERNAL_INPUT)
_OUTPUTS = (_EVENT.OUTPUT, _EVENT.DECLARED_OUTPUT, _EVENT.INTERNAL_OUTPUT, _EVENT.PENDING_OUTPUT)

Call = Callable[[str, Any, Any], None]


def has_no_queries(error: Exception) -> bool:
    """Say whether a store refused a call because it has no queries."""
    return isinstance(error, _errors.UnimplementedError) and _NO_QUERIES in str(error)


def has_no_order(text: str) -> bool:
    """Say whether a store cannot answer a query in the order that was asked for."""
    return _NO_ORDER in text


def asks_a_query(method_name: str, request: Any) -> bool:
    """Say whether a call can only be answered by a store that has queries."""
    return method_name == "GetLineageSubgraph" or any(
        message.filter_query for message, _ in _queries(method_name, request)
    )


def write_anew(method_name: str, request: Any) -> bool:
    """Write a request's queries as they were understood; say whether a store may be asked them.

    Raises:
      UnknownQueryError: one is none.
    """
    conditions = [
        (message, parse(message.filter_query, kind))
        for message, kind in _queries(method_name, request)
        if message.filter_query
    ]
    if not all(can_be_rendered(condition) for _, condition in conditions):
        return False
    for message, condition in conditions:
        message.filter_query = render(condition)
    return True


def _queries(method_name: str, request: Any) -> list[tuple[Any, str]]:
    """Return the parts of a request that may have a query, and on which kind of nodes."""
    if method_name == "GetLineageSubgraph":
        options = request.lineage_subgraph_query_options
        return [
            (getattr(options, f"{end}_{kind.lower()}s"), kind)
            for end in ("starting", "ending")
            for kind in (ARTIFACT, EXECUTION)
            if options.HasField(f"{end}_{kind.lower()}s")
        ]
    if method_name == "GetLineageGraph":
        return [(request.options.artifacts_options, ARTIFACT)]
    for kind in (ARTIFACT, EXECUTION, CONTEXT):
        if method_name.startswith(f"Get{kind}s") and hasattr(request, "options"):
            return [(request.options, kind)]
    return []


def answer(call: Call, method_name: str, request: Any, response: Any) -> None:
    """Fill the response to a call that asks a query; `call` makes a call of the store.

    Raises:
      UnknownQueryError: the query is none, or of a kind that no pipeline is known to ask.
      NotFoundError: a lineage subgraph has no node to start from.
    """
    reader = _Reader(call)
    if method_name == "GetLineageSubgraph":
        _draw(reader, request, response.lineage_subgraph)
        return
    kind = next((kind for kind in _KINDS if method_name.startswith(f"Get{kind.plural}")), None)
    if kind is None:
        raise UnknownQueryError(f"the store has no queries, and {method_name} asks one")
    condition = _judgeable(request.options.filter_query, kind)
    nodes, token = reader.page(kind, method_name, request, condition)
    getattr(response, kind.plural.lower()).extend(nodes)
    if token:
        response.next_page_token = token


@dataclass(frozen=True)
class _Kind:
    """A kind of nodes: what it is called in calls and requests, and its states."""

    singular: str
    states: Any = None
    state_field: str = ""

    @property
    def plural(self) -> str:
        return f"{self.singular}s"


_ARTIFACT = _Kind(ARTIFACT, _proto.Artifact.State, "state")
_EXECUTION = _Kind(EXECUTION, _proto.Execution.State, "last_known_state")
_CONTEXT = _Kind(CONTEXT)
_KINDS = (_ARTIFACT, _EXECUTION, _CONTEXT)


def _judgeable(query: str, kind: _Kind) -> Condition:
    condition = parse(query, kind.singular)
    for name in condition.fields():
        if len(name) == 2 and not _is_neighbor(name):
            raise UnknownQueryError(
                f"the query {query[:500]!r} can be asked here only without {'.'.join(name)}"
            )
    return condition


@dataclass
class _Reader:
    """Reads nodes and what is around them, each thing once."""

    call: Call
    contexts: dict[tuple[str, int], list[Any]] = field(default_factory=dict)
    events: dict[tuple[str, int], list[Any]] = field(default_factory=dict)
    types: dict[tuple[str, int], str] = field(default_factory=dict)

    def ask(self, method_name: str, **arguments: Any) -> Any:
        response = getattr(_service, f"{method_name}Response")()
        self.call(method_name, getattr(_service, f"{method_name}Request")(**arguments), response)
        return response

    def page(
        self, kind: _Kind, method_name: str, request: Any, condition: Condition
    ) -> tuple[list[Any], str]:
        """Return the next nodes that meet a condition, and where to go on, "" at the end.

        That is the store's own token for a page, and how many nodes of the page were judged.
        """
        most = request.options.max_result_size or _PAGE
        token, _, judged = request.options.next_page_token.rpartition("|")
        if most < 1 or not re.fullmatch("[0-9]{0,9}", judged):
            raise UnknownQueryError(
                "expected a positive max_result_size and a next_page_token as it was answered, got "
                f"{most} and {request.options.next_page_token[:100]!r}"
            )
        begin = int(judged or 0)
        matches: list[Any] = []
        for here, nodes in self._pages(kind, method_name, request, condition, token):
            for position, node in enumerate(nodes[begin:], begin + 1):
                if self.meets(kind, node, condition):
                    matches.append(node)
                    if len(matches) == most:
                        return matches, f"{here}|{position}"
            begin = 0
        return matches, ""

    def everything(self, kind: _Kind, condition: Condition, most: int) -> list[Any]:
        """Return the nodes that a condition asks for, up to a number."""
        options = _proto.ListOperationOptions(max_result_size=most)
        request = getattr(_service, f"Get{kind.plural}Request")(options=options)
        return self.page(kind, f"Get{kind.plural}", request, condition)[0]

    def _pages(
        self, kind: _Kind, method_name: str, request: Any, condition: Condition, token: str
    ) -> Iterator[tuple[str, list[Any]]]:
        options = _proto.ListOperationOptions()
        options.CopyFrom(request.options)
        options.ClearField("filter_query")
        options.ClearField("next_page_token")
        options.max_result_size = _PAGE
        arguments = {
            name.name: value for name, value in request.ListFields() if name.name != "options"
        }
        if method_name == f"Get{kind.plural}":
            ids = _ids(condition)
            if ids is not None:
                yield "", self._by_ids(kind, ids, options.order_by_field)
                return
            method_name, arguments = self._narrowest(kind, condition)
        while True:
            options.next_page_token = token
            response = self.ask(method_name, options=options, **arguments)
            nodes = list(getattr(response, kind.plural.lower()))
            yield token, nodes
            token = response.next_page_token
            if not token or _is_past(nodes, options.order_by_field, condition):
                return

    def _by_ids(self, kind: _Kind, ids: Iterable[int], order: Any) -> list[Any]:
        id_field = {f"{kind.singular.lower()}_ids": sorted(set(ids))}
        nodes = getattr(self.ask(f"Get{kind.plural}ByID", **id_field), kind.plural.lower())
        by = {
            order.CREATE_TIME: lambda node: (node.create_time_since_epoch, node.id),
            order.LAST_UPDATE_TIME: lambda node: (node.last_update_time_since_epoch, node.id),
        }
        key = by.get(order.field, lambda node: (node.id, 0))
        return sorted(nodes, key=key, reverse=not order.is_asc)

    def _narrowest(self, kind: _Kind, condition: Condition) -> tuple[str, dict[str, Any]]:
        """Return the call that brings the fewest nodes among which are all that are asked for."""
        equal = {c.field: c.value for c in _required(condition) if c.sign == "="}
        contexts = [
            value
            for name, value in equal.items()
            if name[0].startswith("contexts_") and name[1:] == ("id",)
        ]
        if contexts and kind is not _CONTEXT:
            method_name = f"Get{kind.plural}ByContext"
            sizes = {}
            for context_id in contexts:
                options = _proto.ListOperationOptions(max_result_size=_PAGE)
                first = self.ask(method_name, context_id=context_id, options=options)
                count = len(getattr(first, kind.plural.lower()))
                sizes[context_id] = (bool(first.next_page_token), count)
            return method_name, {"context_id": min(sizes, key=lambda name: sizes[name])}
        if ("type",) in equal:
            return f"Get{kind.plural}ByType", {"type_name": equal["type",]}
        return f"Get{kind.plural}", {}

    def meets(self, kind: _Kind, node: Any, condition: Condition) -> bool:
        """Judge a condition; contexts and events under one name are the same ones throughout."""
        if not all(_has_property(node, name) for name in condition.fields()):
            return False
        names = sorted({name[0] for name in condition.fields() if _is_neighbor(name)})
        around = [self._neighbors(kind, node.id, name) for name in names]
        for chosen in itertools.product(*around):
            neighbors = dict(zip(names, chosen, strict=True))

            def look(name: tuple[str, ...], neighbors: Any = neighbors) -> Any:
                if name[0] in neighbors:
                    return self._attribute(_CONTEXT, neighbors[name[0]], name[1:])
                return self._attribute(kind, node, name)

            if condition.holds(look):
                return True
        return False

    def _neighbors(self, kind: _Kind, node_id: int, name: str) -> list[Any]:
        if name.startswith("contexts_"):
            return self.contexts_of(kind, node_id)
        return self.events_of(kind, node_id)

    def contexts_of(self, kind: _Kind, node_id: int) -> list[Any]:
        """Return the contexts of an artifact or execution."""
        key = (kind.singular, node_id)
        if key not in self.contexts:
            id_field = {f"{kind.singular.lower()}_id": node_id}
            self.contexts[key] = list(
                self.ask(f"GetContextsBy{kind.singular}", **id_field).contexts
            )
        return self.contexts[key]

    def events_of(self, kind: _Kind, node_id: int) -> list[Any]:
        """Return the events of an artifact or execution."""
        key = (kind.singular, node_id)
        if key not in self.events:
            self.read_events(kind, [node_id])
        return self.events[key]

    def read_events(self, kind: _Kind, node_ids: Iterable[int]) -> None:
        """Read the events of several nodes at once."""
        ids = sorted(set(node_ids))
        id_field = {f"{kind.singular.lower()}_ids": ids}
        for node_id in ids:
            self.events[kind.singular, node_id] = []
        for event in self.ask(f"GetEventsBy{kind.singular}IDs", **id_field).events:
            node_id = getattr(event, f"{kind.singular.lower()}_id")
            self.events[kind.singular, node_id].append(event)

    def _attribute(self, kind: _Kind, node: Any, name: tuple[str, ...]) -> Any:
        if name[0] in PROPERTIES:
            value = getattr(node, name[0])[name[1]]
            return getattr(value, name[2]) if value.HasField(name[2]) else None
        if isinstance(node, _proto.Event):
            stored = getattr(node, name[0])
            return _EVENT.Type.Name(stored) if name[0] == "type" else stored
        if name[0] == "type":
            return node.type or self._type_name(kind, node.type_id)
        if name[0] == kind.state_field:
            is_known = node.HasField(name[0]) and getattr(node, name[0])
            return kind.states.Name(getattr(node, name[0])) if is_known else None
        return getattr(node, name[0]) if node.HasField(name[0]) else None

    def _type_name(self, kind: _Kind, type_id: int) -> str:
        key = (kind.singular, type_id)
        if key not in self.types:
            response = self.ask(f"Get{kind.singular}TypesByID", type_ids=[type_id])
            types = getattr(response, f"{kind.singular.lower()}_types")
            self.types[key] = types[0].name if types else ""
        return self.types[key]


def _is_neighbor(name: tuple[str, ...]) -> bool:
    return name[0].startswith(("contexts_", "events_"))


def _has_property(node: Any, name: tuple[str, ...]) -> bool:
    """Whether a node has a property; one without is never found, wherever the property stands."""
    return name[0] not in PROPERTIES or name[1] in getattr(node, name[0])


def _required(condition: Condition) -> Iterator[Comparison]:
    for part in conjuncts(condition):
        if isinstance(part, Comparison):
            yield part


def _ids(condition: Condition) -> list[int] | None:
    """Return the ids among which all nodes are that meet a condition, None for any."""
    for part in _required(condition):
        if part.field == ("id",) and part.sign in ("=", "IN"):
            return [part.value] if part.sign == "=" else list(part.value)
    return None


def _is_past(nodes: list[Any], order: Any, condition: Condition) -> bool:
    """Say whether all nodes after these have smaller ids than a condition asks for."""
    if order.field != order.ID or order.is_asc or not nodes:
        return False
    return any(
        nodes[-1].id <= part.value
        for part in _required(condition)
        if part.field == ("id",) and part.sign in (">", ">=")
    )


def _draw(reader: _Reader, request: Any, graph: Any) -> None:
    """Draw the nodes around those that a query asks for."""
    options = request.lineage_subgraph_query_options
    starts = "artifacts" if options.HasField("starting_artifacts") else "executions"
    query = getattr(options, f"starting_{starts}").filter_query
    kind = _ARTIFACT if starts == "artifacts" else _EXECUTION
    most = options.max_num_hops if options.HasField("max_num_hops") else _MOST_HOPS
    drawn: dict[_Kind, dict[int, None]] = {_ARTIFACT: {}, _EXECUTION: {}}
    start = _judgeable(query, kind)
    border = [node.id for node in reader.everything(kind, start, _MOST_STARTING_NODES)]
    if not border:
        raise _errors.NotFoundError("Cannot find qualified nodes to start the traversal.")
    is_one_way = options.direction in (options.DOWNSTREAM, options.UPSTREAM)
    ends = _Ends(reader, options)
    border = ends.keep(kind, border)
    drawn[kind].update(dict.fromkeys(border))
    for _ in range(min(most, _MOST_HOPS)):
        other = _EXECUTION if kind is _ARTIFACT else _ARTIFACT
        reached: dict[int, list[Any]] = {}
        for event in _followed(reader, kind, border, options.direction):
            reached.setdefault(getattr(event, f"{other.singular.lower()}_id"), []).append(event)
        if not is_one_way:
            # The events that led here lead back; they are told once.
            reached = {node: events for node, events in reached.items() if node not in drawn[other]}
        kept = ends.keep(other, reached)
        for node_id, events in reached.items():
            if node_id in kept:
                graph.events.extend(events)
        border = [node_id for node_id in kept if node_id not in drawn[other]]
        drawn[other].update(dict.fromkeys(border))
        kind = other
        if not border:
            break
    _fill(reader, request.read_mask.paths, drawn, graph)


@dataclass
class _Ends:
    """Judges where a traversal ends: at nodes that a query asks for, which are left out."""

    reader: _Reader
    options: Any

    def keep(self, kind: _Kind, node_ids: Iterable[int]) -> list[int]:
        ids = list(node_ids)
        query = getattr(self.options, f"ending_{kind.plural.lower()}").filter_query
        if not query or not ids:
            return ids
        among = Comparison(("id",), "IN", tuple(ids))
        condition = Junction((among, _judgeable(query, kind)), is_and=True)
        ending = {node.id for node in self.reader.everything(kind, condition, len(ids))}
        return [node_id for node_id in ids if node_id not in ending]


def _followed(reader: _Reader, kind: _Kind, node_ids: list[int], direction: int) -> Iterator[Any]:
    """Yield the events that lead from nodes into a direction."""
    options = _proto.LineageSubgraphQueryOptions
    down = _INPUTS if kind is _ARTIFACT else _OUTPUTS
    up = _OUTPUTS if kind is _ARTIFACT else _INPUTS
    wanted = {options.DOWNSTREAM: down, options.UPSTREAM: up}.get(direction, (*down, *up))
    if node_ids:
        reader.read_events(kind, node_ids)
    for node_id in node_ids:
        yield from (e for e in reader.events_of(kind, node_id) if e.type in wanted)


def _fill(
    reader: _Reader, paths: Iterable[str], drawn: dict[_Kind, dict[int, None]], graph: Any
) -> None:
    """Put into a graph what of its nodes is asked for."""
    fields = set(paths)
    if "events" not in fields:
        del graph.events[:]
    contexts: dict[int, None] = {}
    for kind, node_ids in drawn.items():
        if kind.plural.lower() in fields:
            nodes = getattr(graph, kind.plural.lower())
            for node_id in node_ids:
                nodes.add(id=node_id)
        edges = "attributions" if kind is _ARTIFACT else "associations"
        if not fields & {"contexts", edges}:
            continue
        for node_id in node_ids:
            for context in reader.contexts_of(kind, node_id):
                contexts[context.id] = None
                if edges in fields:
                    edge = getattr(graph, edges).add(context_id=context.id)
                    setattr(edge, f"{kind.singular.lower()}_id", node_id)
    if "contexts" in fields:
        for context_id in contexts:
            graph.contexts.add(id=context_id)
