"""Tables of TOML or JSON as frozen dataclasses, whose fields say what may stand in them.

Types of fields are str, int, float, bool, Any, enumerations by their values, tuple[T, ...],
Mapping[str, T], another such dataclass, and each of these or None.
"""

from __future__ import annotations

import dataclasses
import enum
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from penstock.errors import ConfigError, ParameterError, suggestion

T = TypeVar("T")

# A name is part of the store's names, which some databases compare without regard to case.
_TABLE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")

_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def read_table(kind: type[T], table: Any, *, key: str = "", path: str | None = None) -> T:
    """Make a dataclass of a table; `key` and `path` say where the table stands.

    Raises:
      ConfigError: a key is unknown or missing, or a value is not what its field asks for.
    """
    return typing.cast(T, _read(kind, table, key, path))


def read_named_tables(
    kind: type[T],
    tables: Mapping[str, Any],
    *,
    group: str,
    noun: str,
    path: str,
    defaults: Callable[[str], Mapping[str, Any]] = lambda _: {},
) -> dict[str, T]:
    """Make dataclasses of the tables `[GROUP.NAME]`, whose field `name` is that of the table.

    `noun` is what one of them is called, with its article; `defaults` are fields by a table's name.

    Raises:
      ConfigError: a name, a key or a value is not what it should be.
    """
    read = {}
    for name, table in tables.items():
        key = f"{group}.{name}"
        if not _TABLE_NAME.fullmatch(name):
            raise ConfigError(
                f"{noun} cannot be named {name!r}",
                path=path,
                key=group,
                hint="Use small letters, digits, dashes and underscores.",
            )
        if isinstance(table, Mapping):
            if "name" in table:
                raise ConfigError("there is no such option", path=path, key=f"{key}.name")
            table = {**defaults(name), **table, "name": name}
        read[name] = read_table(kind, table, key=key, path=path)
    return read


def as_table(value: Any) -> dict[str, Any]:
    """Return the table from which `read_table` makes an equal dataclass: what is not a default."""
    table = {}
    for described in dataclasses.fields(value):
        content = getattr(value, described.name)
        if content != _default(described):
            table[described.name] = _plain(content)
    return table


def _plain(content: Any) -> Any:
    if dataclasses.is_dataclass(content):
        return as_table(content)
    if isinstance(content, Mapping):
        return {name: _plain(content[name]) for name in sorted(content)}
    if isinstance(content, tuple):
        return [_plain(item) for item in content]
    if isinstance(content, enum.Enum):
        return content.value
    return content


def _default(described: Any) -> Any:
    if described.default_factory is not dataclasses.MISSING:
        return described.default_factory()
    return described.default


def _read(annotation: Any, value: Any, key: str, path: str | None) -> Any:
    # JSON says None where TOML says nothing.
    if value is None and types.NoneType in typing.get_args(annotation):
        return None
    annotation = _without_none(annotation)
    if annotation is Any:
        return value
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _member(annotation, value, key, path)
    if dataclasses.is_dataclass(annotation):
        return _dataclass(annotation, value, key, path)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise _unexpected("a list", value, key, path)
        return tuple(_read(arguments[0], item, f"{key}[{i}]", path) for i, item in enumerate(value))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise _unexpected("a table", value, key, path)
        return {
            str(name): _read(arguments[1], item, _joined(key, str(name)), path)
            for name, item in value.items()
        }
    if annotation is float and type(value) is int:
        return float(value)
    if annotation is int and type(value) is float and value.is_integer():
        return int(value)  # JSON knows one kind of number
    if type(value) is not annotation:
        raise _unexpected(_NAMES[annotation], value, key, path)
    return value


def _dataclass(kind: Any, table: Any, key: str, path: str | None) -> Any:
    if not isinstance(table, Mapping):
        raise _unexpected("a table", table, key, path)
    declared = {described.name: described for described in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind)
    for name in table:
        if name not in declared:
            raise ConfigError(
                f"the key {name!r} is not known",
                path=path,
                key=key or None,
                hint=suggestion(name, declared, noun="key"),
            )
    for name, described in declared.items():
        if name not in table and _default(described) is dataclasses.MISSING:
            raise ConfigError(f"the key {name!r} is missing", path=path, key=key or None)
    values = {
        name: _read(hints[name], value, _joined(key, name), path) for name, value in table.items()
    }
    try:
        return kind(**values)
    except ParameterError as error:
        raise ConfigError(error.message, path=path, key=key or None, hint=error.hint) from None


def _member(kind: type[enum.Enum], value: Any, key: str, path: str | None) -> enum.Enum:
    try:
        return kind(value)
    except ValueError:
        choices = ", ".join(repr(member.value) for member in kind)
        raise _unexpected(f"one of {choices}", value, key, path) from None


def _joined(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        [only] = [a for a in typing.get_args(annotation) if a is not type(None)]
        return only
    return annotation


def _unexpected(expected: str, value: Any, key: str, path: str | None) -> ConfigError:
    return ConfigError(f"expected {expected}, got {value!r}", path=path, key=key or None)
