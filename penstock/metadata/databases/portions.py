"""Long texts in a database that holds short ones: as a row for each portion.

PostgreSQL keeps each value of a property in an index, whose entries have a limit. A longer text is
kept in portions, as custom properties beside its own, which has its beginning and its digest: so
those who read the store without Penstock see that. With the digest it is told whether portions are
still those of the text beside them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, MutableMapping
from typing import Any

# Of a page of 8 kB an entry of an index may take a third, after compression.
PORTION_BYTES = 2_000
_SHOWN_CHARACTERS = 200
# The field and the name of the property whose text it is.
_NAME = re.compile(r"text of (properties|custom_properties) \d{5}: (.*)", re.DOTALL)
_FIELDS = ("properties", "custom_properties")


def shortened(text: str) -> str:
    """Return a text's beginning, with the length and the digest of the whole."""
    whole = text.encode()
    beginning = text[:_SHOWN_CHARACTERS]
    return f"{beginning}… ({len(whole)} bytes, sha256 {hashlib.sha256(whole).hexdigest()})"


def split(message: Any, most_bytes: int) -> None:
    """Write texts of properties that are longer than a portion, and not too long, in portions."""
    if message.ByteSize() <= PORTION_BYTES:
        return
    for node in _nodes(message):
        for field in _FIELDS:
            for name, value in list(getattr(node, field).items()):
                if PORTION_BYTES < len(value.string_value.encode()) <= most_bytes:
                    _write(node, field, name, value.string_value)


def join(message: Any) -> None:
    """Write texts that are in portions as one, and leave their portions out."""
    for node in _nodes(message):
        found: dict[tuple[str, str], dict[str, str]] = {}
        for name, value in node.custom_properties.items():
            if portion := _NAME.fullmatch(name):
                found.setdefault((portion[1], portion[2]), {})[name] = value.string_value
        for (field, name), portions in found.items():
            text = "".join(portions[key] for key in sorted(portions))
            properties = getattr(node, field)
            if name in properties and properties[name].string_value == shortened(text):
                properties[name].string_value = text
                for key in portions:
                    del node.custom_properties[key]


def _write(node: Any, field: str, name: str, text: str) -> None:
    for number, portion in enumerate(_portions(text)):
        key = f"text of {field} {number:05}: {name}"
        node.custom_properties[key].string_value = portion
    getattr(node, field)[name].string_value = shortened(text)


def _portions(text: str) -> Iterator[str]:
    whole, begin = text.encode(), 0
    while begin < len(whole):
        end = begin + PORTION_BYTES
        while end < len(whole) and whole[end] & 0xC0 == 0x80:  # inside a character
            end -= 1
        yield whole[begin:end].decode()
        begin = end


def _nodes(message: Any) -> Iterator[Any]:
    """Yield the artifacts, executions and contexts of a message, at whatever depth."""
    if isinstance(getattr(message, "custom_properties", None), MutableMapping):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if hasattr(value, "ListFields"):
            yield from _nodes(value)
        elif not isinstance(value, MutableMapping):
            for item in value:
                yield from _nodes(item)
