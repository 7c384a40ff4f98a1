"""What the databases of stores can hold, in one table, and how what they refuse is made to fit.

A store that refuses an execution because of one of its properties would lose the work of a node.
So what is refused is written once more, without what cannot be held or with its beginning alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock import _tfx
from penstock.metadata.databases.portions import shortened

_KEPT_CHARACTERS = 200
# ML Metadata's numbers of the types of properties, and where their values are.
_FIELDS = {1: "int_value", 2: "double_value", 3: "string_value"}

# What databases, and ML Metadata itself, say of what they cannot hold.
_REFUSALS = re.compile(
    "data too long|too long for type|out of range|max_allowed_packet|maximum size is"
    "|exceeds btree|incorrect string value|invalid byte sequence|contain NUL",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Limits:
    """What a database can hold; None is without a limit of its own.

    `name_characters` are those of a property's name, `number` is the largest whole number and, with
    the other sign, about the smallest, `text_bytes` are those of a property's value.
    """

    name_characters: int | None = None
    number: int = 2**63 - 1
    text_bytes: int | None = None


SQLITE = Limits()
# Of a text 16 MB, and of a whole statement no more with the usual max_allowed_packet.
MYSQL = Limits(name_characters=255, number=2**31 - 1, text_bytes=1_000_000)
# Longer texts than some 2,700 bytes are held in portions, each in a row.
POSTGRESQL = Limits(name_characters=255, number=2**31 - 1, text_bytes=1_000_000)

# By the id of an artifact's or an execution's type, the properties that the type declares.
Declared = Callable[[str, int], Mapping[str, int]]


def is_refusal(message: str) -> bool:
    """Whether a database's message is about what was to be written, and not about itself."""
    return bool(_REFUSALS.search(message))


def make_fit(request: Any, limits: Limits, declared: Declared) -> list[str]:
    """Change a request so that a database can hold it, and return what was changed.

    That is: properties that a type does not declare, or declares otherwise, become custom ones;
    names that are too long and whole numbers that are too large are left out; long texts become
    their beginning and their digest; new artifacts lose names of their own, which may be taken.
    """
    changed: list[str] = []
    for what, kind, node in _nodes(request):
        _fit_declared(what, node, declared(kind, node.type_id), changed)
        for properties in (node.properties, node.custom_properties):
            _fit_values(what, properties, limits, changed)
        if kind == "artifact" and node.name and not node.id:
            changed.append(f"{what}: its name {_short(node.name)!r} is taken, or too long")
            node.ClearField("name")
    return changed


def _nodes(request: Any) -> Iterator[tuple[str, str, Any]]:
    fields = {field.name for field in type(request).DESCRIPTOR.fields}
    if "execution" in fields:
        yield "the execution", "execution", request.execution
    for execution in getattr(request, "executions", ()):
        yield "the execution", "execution", execution
    for pair in getattr(request, "artifact_event_pairs", ()):
        steps = pair.event.path.steps
        key = steps[0].key if steps else ""
        yield f"the output {key!r}" if key else "an artifact", "artifact", pair.artifact
    for artifact in getattr(request, "artifacts", ()):
        yield "an artifact", "artifact", artifact


def _fit_declared(what: str, node: Any, types: Mapping[str, int], changed: list[str]) -> None:
    for name, value in list(node.properties.items()):
        field = value.WhichOneof("value")
        if (
            field is None
            or _FIELDS.get(types.get(name, 0), field if name in types else "") == field
        ):
            continue
        if name not in node.custom_properties:
            node.custom_properties[name].CopyFrom(value)
        del node.properties[name]
        changed.append(
            f"{what}: its type has no property {name!r} of that kind; it is a custom one"
        )


def _fit_values(what: str, properties: Any, limits: Limits, changed: list[str]) -> None:
    for name, value in list(properties.items()):
        if limits.name_characters is not None and len(name) > limits.name_characters:
            changed.append(
                f"{what}: the property {_short(name)!r} is left out: its name has {len(name)} "
                f"characters, {limits.name_characters} are possible"
            )
            del properties[name]
            continue
        field = value.WhichOneof("value")
        if field == "int_value" and not -limits.number - 1 <= value.int_value <= limits.number:
            changed.append(
                f"{what}: the property {name!r} is left out: the store holds whole numbers up to "
                f"{limits.number}, not {value.int_value}"
            )
            del properties[name]
        elif field == "string_value" and limits.text_bytes is not None:
            _fit_text(what, name, value, limits.text_bytes, changed)


def _fit_text(what: str, name: str, value: Any, most: int, changed: list[str]) -> None:
    text = value.string_value.replace("\0", "�")
    size = len(text.encode())
    if size > most:
        text = shortened(text)
    if text != value.string_value:
        changed.append(f"{what}: the property {name!r} is shortened: it has {size} bytes")
        value.string_value = text


def _short(text: str) -> str:
    return text if len(text) <= _KEPT_CHARACTERS else f"{text[:_KEPT_CHARACTERS]}…"


def declared_by(store: _tfx.ml_metadata.MetadataStore) -> Declared:
    """Return what looks up in a store what its types declare."""

    def declared(kind: str, type_id: int) -> Mapping[str, int]:
        ask = store.get_artifact_types_by_id
        if kind == "execution":
            ask = store.get_execution_types_by_id
        return {name: int(of) for found in ask([type_id]) for name, of in found.properties.items()}

    return declared
