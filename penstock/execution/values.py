"""Where two values of one name differ, and what stands there, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_LONGEST_VALUE = 60
_ABSENT = object()


def value_differences(name: str, before: Any, after: Any) -> Iterator[tuple[str, str, str]]:
    """Say where two values of a name differ, and what stands there: of JSON text, its fields."""
    for path, old, new in _fields(name, _parsed(before), _parsed(after)):
        yield path, text_of(old), text_of(new)


def same_value(one: Any, other: Any) -> bool:
    """Whether two values of a parameter are the same.

    A store gives booleans back as numbers or as JSON text, and structured values as JSON text.
    """
    return bool(_decoded(one) == _decoded(other))


def _decoded(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _parsed(value: Any) -> Any:
    return _decoded(value) if isinstance(value, str) and value[:1] in ("{", "[") else value


def _fields(path: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    """Return the places in two values where they differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}, key=str):
            yield from _fields(f"{path}.{key}", before.get(key, _ABSENT), after.get(key, _ABSENT))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _fields(f"{path}[{index}]", old, new)
    elif type(before) is not type(after) or before != after:
        yield path, before, after


def text_of(value: Any) -> str:
    """Return a value as one short line; None, and what is not there, as "not given"."""
    if value is None or value is _ABSENT:
        return "not given"
    if isinstance(value, (str, dict, list)):
        value = json.dumps(value, ensure_ascii=False)
    text = str(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
