"""Values that people write as text: on the command line, in a form."""

from __future__ import annotations

import json
from typing import Any

_TRUTHS = {"true": True, "false": False, "1": True, "0": False}


def scalar_of(text: str, kind: type) -> bool | int | float | str | list[Any]:
    """Return the value of a type (bool, int, float, str or list) that a text stands for.

    Raises:
      ValueError: it stands for none; the message says what was expected.
    """
    try:
        if kind is bool:
            return _TRUTHS[text.lower()]
        if kind is list:
            return _items_of(text)
        value: int | float | str = kind(text)
        return value
    except (ValueError, KeyError):
        expected = {bool: "true or false", list: "a list as JSON, as [1, 2]"}.get(
            kind, kind.__name__
        )
        raise ValueError(f"expected {expected}, got {text!r}") from None


def _items_of(text: str) -> list[Any]:
    items = json.loads(text)
    if not isinstance(items, list):
        raise ValueError
    return items
