"""Backslashes in what ML Metadata writes into PostgreSQL.

Its client takes the quoted form of a text, `'…'`, apart and puts it together again, but the form of
a text with a backslash is ` E'…'`: the text then ends early, and its rest is run as SQL. So no
backslash may reach it. A character for private use stands for each in the database, and is a
backslash again in all that is read through Penstock.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

from penstock.errors import StoreError

STAND_IN = "\ue05c"


def hide(message: Any) -> None:
    """Write the stand-in for backslashes in all texts of a protobuf message.

    Raises:
      StoreError: a text has the stand-in itself.
    """
    serialized = message.SerializeToString()
    if STAND_IN.encode() in serialized:
        raise StoreError(
            "a text has the character U+E05C, for private use, which means a backslash in a "
            "PostgreSQL store",
            hint="Leave the character out, or use another kind of store.",
        )
    if b"\\" in serialized:
        _replace(message, lambda text: text.replace("\\", STAND_IN))


def show(message: Any) -> None:
    """Write backslashes for the stand-in in all texts of a protobuf message."""
    if STAND_IN.encode() in message.SerializeToString():
        _replace(message, lambda text: text.replace(STAND_IN, "\\"))


def _replace(message: Any, change: Callable[[str], str]) -> None:
    for field, value in message.ListFields():
        if isinstance(value, str):
            setattr(message, field.name, change(value))
        elif hasattr(value, "ListFields"):
            _replace(value, change)
        elif isinstance(value, MutableMapping):
            _replace_in_map(value, change)
        elif not isinstance(value, bytes) and hasattr(value, "__len__"):
            _replace_in_list(value, change)


def _replace_in_list(values: Any, change: Callable[[str], str]) -> None:
    for index, item in enumerate(values):
        if isinstance(item, str):
            values[index] = change(item)
        elif hasattr(item, "ListFields"):
            _replace(item, change)


def _replace_in_map(values: Any, change: Callable[[str], str]) -> None:
    for key in list(values):
        item = values[key]
        is_message = hasattr(item, "ListFields")
        if is_message:
            _replace(item, change)
        elif isinstance(item, str):
            values[key] = item = change(item)
        changed = change(key) if isinstance(key, str) else key
        if changed == key:
            continue
        if is_message:
            values[changed].CopyFrom(item)
        else:
            values[changed] = item
        del values[key]
