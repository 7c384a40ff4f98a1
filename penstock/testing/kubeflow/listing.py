"""Lists: filters, sorting and pages, as the server understands them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

from penstock.testing.kubeflow.refusals import invalid

_DEFAULT_PAGE, _LARGEST_PAGE = 20, 200
_OPERATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "EQUALS": lambda value, operand: value == operand,
    "NOT_EQUALS": lambda value, operand: value != operand,
    "GREATER_THAN": lambda value, operand: value > operand,
    "GREATER_THAN_EQUALS": lambda value, operand: value >= operand,
    "LESS_THAN": lambda value, operand: value < operand,
    "LESS_THAN_EQUALS": lambda value, operand: value <= operand,
    "IN": lambda value, operand: value in operand,
    "IS_SUBSTRING": lambda value, operand: operand in value,
}
_NUMBERS = {1: "EQUALS", 2: "NOT_EQUALS", 3: "GREATER_THAN", 5: "GREATER_THAN_EQUALS"}
_NUMBERS |= {6: "LESS_THAN", 7: "LESS_THAN_EQUALS", 8: "IN", 9: "IS_SUBSTRING"}
_VALUES = {
    "string_value": str,
    "stringValue": str,
    "int_value": int,
    "intValue": int,
    "long_value": int,
    "longValue": int,
    "timestamp_value": str,
    "timestampValue": str,
    "string_values": dict,
    "stringValues": dict,
}


def page(
    items: Iterable[Mapping[str, Any]],
    query: Mapping[str, str],
    *,
    fields: Sequence[str],
    default: str = "created_at",
) -> tuple[list[Mapping[str, Any]], int, str]:
    """Return a page of items, how many there are on all pages, and the next page's token.

    `fields` are those that can be filtered and sorted by.

    Raises:
      Refusal: the filter, the order or the token is not what it should be.
    """
    size = _page_size(query.get("page_size", ""))
    options = {"filter": query.get("filter", ""), "sort_by": query.get("sort_by", "")}
    start = 0
    if query.get("page_token"):
        token = _read_token(query["page_token"])
        set_options = {key: value for key, value in options.items() if value}
        if any(token[key] != value for key, value in set_options.items()):
            raise invalid(
                "page token does not match the supplied sort by and/or filtering criteria"
            )
        start, options = token["start"], {key: token[key] for key in options}
    predicates = _predicates(options["filter"], fields)
    matches = [item for item in items if _fits(item, predicates)]
    matches = _sorted(matches, options["sort_by"] or default, fields)
    more = start + size < len(matches)
    token = {"start": start + size, **options}
    following = base64.b64encode(json.dumps(token).encode()).decode() if more else ""
    return matches[start : start + size], len(matches), following


def _page_size(text: str) -> int:
    try:
        size = int(text or 0)
    except ValueError:
        raise invalid(f"type mismatch, parameter: page_size, value: {text}") from None
    if size < 0:
        raise invalid(f"The page size should be greater than 0. Got {size}")
    return min(size or _DEFAULT_PAGE, _LARGEST_PAGE)


def _read_token(text: str) -> dict[str, Any]:
    try:
        token = json.loads(base64.b64decode(text, validate=True))
        return {"start": token["start"], "filter": token["filter"], "sort_by": token["sort_by"]}
    except (ValueError, KeyError, TypeError):
        raise invalid("Invalid page token") from None


def _sorted(
    items: list[Mapping[str, Any]], order: str, fields: Sequence[str]
) -> list[Mapping[str, Any]]:
    name, *direction = order.lower().split()
    if len(direction) > 1 or (direction and direction[0] not in ("asc", "desc")):
        raise invalid(f"Received invalid sort by format {order!r}")
    if name not in fields:
        raise invalid(f"Invalid sorting field: {name!r}")
    return sorted(items, key=lambda item: item.get(name, ""), reverse=direction == ["desc"])


def _fits(item: Mapping[str, Any], predicates: list[tuple[str, str, Any]]) -> bool:
    return all(
        _OPERATIONS[operation](item.get(key, ""), value) for operation, key, value in predicates
    )


def _predicates(encoded: str, fields: Sequence[str]) -> list[tuple[str, str, Any]]:
    if not encoded:
        return []
    try:
        # The server decodes a filter that its HTTP layer has decoded already.
        content = json.loads(unquote_plus(encoded))
    except ValueError as error:
        raise invalid(f"failed to parse valid filter from {encoded!r}: {error}") from None
    if not isinstance(content, dict) or set(content) - {"predicates"}:
        raise invalid(f"failed to parse valid filter from {encoded!r}: unknown field")
    return [_predicate(predicate, fields) for predicate in content.get("predicates", [])]


def _predicate(predicate: Mapping[str, Any], fields: Sequence[str]) -> tuple[str, str, Any]:
    names = set(predicate) - {"operation", "key"}
    operation = predicate.get("operation")
    operation = _NUMBERS.get(operation, "") if isinstance(operation, int) else operation
    if operation not in _OPERATIONS or len(names) != 1 or not names <= set(_VALUES):
        raise invalid(f"failed to parse valid filter: {json.dumps(predicate)}")
    [name] = names
    value = predicate[name]
    if not isinstance(value, _VALUES[name]):
        raise invalid(f"failed to parse valid filter: {name} {value!r}")
    if predicate.get("key") not in fields:
        raise invalid(f"no support for filtering on unrecognized field {predicate.get('key')!r}")
    return str(operation), predicate["key"], value["values"] if isinstance(value, dict) else value
