"""Documents that were well until somebody changed something in them, as trees of JSON."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

_WILD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**63 - 1,
    2**63,
    1.5,
    "",
    "..",
    "../../elsewhere",
    "/elsewhere",
    "a\0b",
    "nowhere.at.all",
    "os.system",
    "x" * 70_000,
    "{{$}} $(x) ${env:NOT_SET_ANYWHERE} %s {0}",
    "é\u202e\n",
    [],
    {},
    [[]],
    {"a": {"b": [1]}},
)
_Place = tuple[Any, Any]  # a list or an object, and which of its items


def mutated(document: Any, seed: int) -> Any:
    """Return a copy of a tree of JSON in which one to three things are not as they were."""
    chance = random.Random(seed)
    changed = copy.deepcopy(document)
    for _ in range(chance.choice((1, 1, 2, 3))):
        places = list(_places(changed))
        if places:
            chance.choice(_CHANGES)(chance, *chance.choice(places), places)
    return changed


def nested(depth: int) -> Any:
    """Return a list in a list in a list."""
    return json.loads("[" * depth + "]" * depth)


def _places(tree: Any) -> Iterator[_Place]:
    items = (
        list(tree.items())
        if isinstance(tree, dict)
        else list(enumerate(tree))
        if isinstance(tree, list)
        else []
    )
    for key, value in items:
        yield tree, key
        yield from _places(value)


def _remove(_: random.Random, parent: Any, key: Any, __: list[_Place]) -> None:
    del parent[key]


def _replace(chance: random.Random, parent: Any, key: Any, _: list[_Place]) -> None:
    parent[key] = copy.deepcopy(chance.choice(_WILD))


def _exchange(chance: random.Random, parent: Any, key: Any, _: list[_Place]) -> None:
    """Put something wild of the same kind: what parses then gets further."""
    alike = [value for value in _WILD if type(value) is type(parent[key])]
    parent[key] = copy.deepcopy(chance.choice(alike or _WILD))


def _swap(chance: random.Random, parent: Any, key: Any, places: list[_Place]) -> None:
    """Put something of the same kind from elsewhere: names then refer to others, or in circles."""
    kind = type(parent[key])
    alike = [p[k] for p, k in places if type(p[k]) is kind]
    parent[key] = copy.deepcopy(chance.choice(alike))


def _repeat(_: random.Random, parent: Any, key: Any, __: list[_Place]) -> None:
    if isinstance(parent, list):
        parent.append(copy.deepcopy(parent[key]))
    else:
        parent[f"{key}2"] = copy.deepcopy(parent[key])


def _rename(chance: random.Random, parent: Any, key: Any, _: list[_Place]) -> None:
    if isinstance(parent, dict):
        names = [value for value in _WILD if isinstance(value, str)]
        parent[chance.choice([*names, *parent])] = parent.pop(key)


def _reverse(_: random.Random, parent: Any, __: Any, ___: list[_Place]) -> None:
    if isinstance(parent, list):
        parent.reverse()


_CHANGES: tuple[Callable[[random.Random, Any, Any, list[_Place]], None], ...] = (
    _remove,
    _replace,
    _exchange,
    _exchange,
    _swap,
    _swap,
    _repeat,
    _rename,
    _reverse,
)
