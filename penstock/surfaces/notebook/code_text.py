"""Values as Python code that a person would have written."""

from __future__ import annotations

import dataclasses
import enum
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.authoring import values
from penstock.errors import ParameterError

WIDTH = 100

_PUBLIC = {
    "penstock.project.clusters": "penstock.clusters",
    "penstock.project.pods": "penstock.pods",
    "penstock.project.retrying": "penstock",
}


@dataclass(frozen=True)
class Text:
    """Code that stands in one line."""

    text: str


@dataclass(frozen=True)
class Group:
    """Parts between brackets, which are put into lines of their own where they are too long.

    `parts` have a beginning such as `name=` or `"key": ` and a value; `suffix` follows the bracket,
    and `call`, as that of a method, follows it all.
    """

    opening: str
    parts: tuple[tuple[str, Text | Group], ...]
    closing: str
    suffix: str = ""
    call: Group | None = None


Code = Text | Group


@dataclass
class Imports:
    """The imports of a file: lines as `from module import name`."""

    lines: set[str] = field(default_factory=set)

    def name(self, module: str, name: str) -> str:
        """Import a name, of ours from where users find it, and return it."""
        module = _PUBLIC.get(module, module)
        self.lines.add(f"from {module} import {name}")
        return name


def layout(code: Code, indent: int, begins: int) -> str:
    """Return code in lines of at most `WIDTH` characters where that is possible.

    `indent` is that of its first line, of which `begins` characters are taken already.
    """
    line = one_line(code)
    if isinstance(code, Text) or (begins + len(line) <= WIDTH and "\n" not in line):
        return line
    inner = indent + 4
    lines = [
        f"{' ' * inner}{name}{layout(part, inner, inner + len(name) + 1)},"
        for name, part in code.parts
    ]
    ending = code.closing + code.suffix
    called = layout(code.call, indent, indent + len(ending)) if code.call else ""
    return "\n".join([code.opening, *lines, " " * indent + ending + called])


def one_line(code: Code) -> str:
    """Return code in one line."""
    if isinstance(code, Text):
        return code.text
    inner = ", ".join(name + one_line(part) for name, part in code.parts)
    if code.closing == ")" and code.opening == "(" and len(code.parts) == 1:
        inner += ","  # a tuple of one
    called = one_line(code.call) if code.call else ""
    return code.opening + inner + code.closing + code.suffix + called


def string(text: str) -> str:
    """Return a string literal, with double quotes where these need no escapes."""
    literal = repr(text)
    if literal[0] == "'" and '"' not in text and "\\'" not in literal:
        return f'"{literal[1:-1]}"'
    return literal


def value(content: Any, annotation: Any, imports: Imports) -> Code:
    """Return the code for a value of JSON's types, as its annotation has it.

    Fields that have their default are left out. References to parameters become their names.
    """
    annotation = values.without_none(annotation)
    if _is_reference(content):
        return Text(content[values.PARAMETER_KEY]["name"])
    if content is None:
        return Text("None")
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        member = values.convert(content, annotation, "value")
        return Text(f"{imports.name(annotation.__module__, annotation.__name__)}.{member.name}")
    if dataclasses.is_dataclass(annotation) and isinstance(content, Mapping):
        return _dataclass(content, annotation, imports)
    origin, args = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
    if origin in values.UNION_TYPES:
        return value(content, _fitting(content, args), imports)
    if isinstance(content, Mapping):
        of_item = args[1] if origin is dict and args else Any
        parts = tuple((f"{string(k)}: ", value(v, of_item, imports)) for k, v in content.items())
        return Group("{", parts, "}")
    if isinstance(content, (list, tuple)):
        of_item = args[0] if args and origin in (list, tuple) else Any
        items = tuple(("", value(item, of_item, imports)) for item in content)
        return Group("(", items, ")") if origin is tuple else Group("[", items, "]")
    if isinstance(content, str):
        return Text(string(content))
    if annotation is float and isinstance(content, int):
        return Text(repr(float(content)))
    return Text(repr(content))


def _dataclass(content: Mapping[str, Any], annotation: Any, imports: Imports) -> Code:
    hints = typing.get_type_hints(annotation)
    parts = []
    for described in dataclasses.fields(annotation):
        if described.name not in content:
            continue
        field_value = content[described.name]
        if _same(field_value, _default(described)):
            continue
        code = value(field_value, hints[described.name], imports)
        parts.append((f"{described.name}=", code))
    name = imports.name(annotation.__module__, annotation.__name__)
    return Group(f"{name}(", tuple(parts), ")")


def _default(described: Any) -> Any:
    if described.default is not dataclasses.MISSING:
        return described.default
    if described.default_factory is not dataclasses.MISSING:
        return described.default_factory()
    return dataclasses.MISSING


def _same(content: Any, default: Any) -> bool:
    if default is dataclasses.MISSING:
        return False
    return json.dumps(content, sort_keys=True) == values.encode(default)


def _fitting(content: Any, options: tuple[Any, ...]) -> Any:
    for option in options:
        try:
            values.convert(content, option, "value")
        except ParameterError:
            continue
        return option
    return Any


def _is_reference(content: Any) -> bool:
    return isinstance(content, Mapping) and set(content) == {values.PARAMETER_KEY}
