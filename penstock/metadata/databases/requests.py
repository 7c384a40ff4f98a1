"""What of a request ML Metadata must not be given, since its process would not live through it."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from penstock import _tfx

_VALUE = _tfx.metadata_store_pb2.Value.DESCRIPTOR


class UnusableRequestError(ValueError):
    """A request that no store can be asked."""


def check(method_name: str, request: Any) -> None:
    """See that ML Metadata can take a request.

    Raises:
      UnusableRequestError: it would end the process.
    """
    if not method_name.startswith("Put"):
        return
    for place in _unset(request, ""):
        raise UnusableRequestError(
            f"expected a value of each property that is written, got none of {place}"
        )


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
