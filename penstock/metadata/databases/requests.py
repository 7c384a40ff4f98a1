"""What of a request ML Metadata must not be given: its process would end, or SQL be misread."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from google.protobuf.json_format import MessageToJson

from penstock import _tfx

_ENDS = frozenset("'\\")
_VALUE = _tfx.metadata_store_pb2.Value.DESCRIPTOR


class UnusableRequestError(ValueError):
    """A request that no store can be asked."""


def check(method_name: str, request: Any) -> None:
    """See that ML Metadata can take a request.

    Raises:
      UnusableRequestError: it would end the process, or leave its quotes in SQL.
    """
    if not method_name.startswith("Put"):
        return
    for kind in _execution_types(request):
        for name in ("input_type", "output_type"):
            # It is written into SQL as JSON, with no regard to what ends a text there.
            if kind.HasField(name) and _ENDS & set(MessageToJson(getattr(kind, name))):
                raise UnusableRequestError(
                    f"{name} of {kind.name!r} has a quote, or a character that JSON escapes"
                )
    for place in _unset(request, ""):
        raise UnusableRequestError(
            f"expected a value of each property that is written, got none of {place}"
        )


def _execution_types(request: Any) -> list[Any]:
    fields = type(request).DESCRIPTOR.fields_by_name
    if "execution_types" in fields:
        return list(request.execution_types)
    return [request.execution_type] if "execution_type" in fields else []


def _unset(message: Any, place: str) -> Iterator[str]:
    """Yield where properties are that have no value."""
    for field, content in message.ListFields():
        at = f"{place}{field.name}"
        if isinstance(content, MutableMapping):
            of_map = field.message_type.fields_by_name["value"].message_type
            if of_map is _VALUE:
                yield from (
                    f"{at}[{name!r}]"
                    for name, value in content.items()
                    if value.WhichOneof("value") is None
                )
        elif field.message_type is not None:
            if field.message_type is _VALUE:
                continue
            if hasattr(content, "ListFields"):
                yield from _unset(content, f"{at}.")
            else:
                for number, item in enumerate(content):
                    yield from _unset(item, f"{at}[{number}].")
