"""Dependencies point one way: between floors, between their rooms, and between modules.

Imports inside functions count as those at the top of a module do.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

pytestmark = pytest.mark.core

ROOT = Path(__file__).parents[1]

# From the ground up: a module imports from its own floor and from those that stand before it.
FLOORS = (
    "errors",
    "_tfx",
    "safety",
    "project",
    "data",
    "authoring",
    "ir",
    "metadata",
    "models",
    "openlineage",
    "opentelemetry",
    "execution",
    "registry",
    "serving",
    "monitoring",
    "report",
    "runners",
    "operations",
    "surfaces",
    "testing",
)
# Public names of what stands on a floor: they say nothing of their own, and nobody else of ours
# imports them.
PUBLIC_NAMES = ("artifacts", "clusters", "config", "notebook", "pods")
MAPPED = ("components", "pipelines", "schemas")


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_name(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[0] in MAPPED:
        parts.insert(0, "penstock")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sources("penstock", *MAPPED)}


def dependencies(module: str) -> set[str]:
    """Return the modules of ours that one imports, without packages that it only passes."""
    path = MODULES[module]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    # `from penstock import __version__` asks for no module.
    return (found & set(MODULES)) - {module, "penstock"}


GRAPH = {module: dependencies(module) for module in MODULES}


def floor(module: str) -> str:
    return module.split(".")[1]


def circle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def rooms(depth: int) -> dict[str, set[str]]:
    """Return what each package of a depth imports, a module that stands there being one too."""
    graph: dict[str, set[str]] = {}
    for module, imports in GRAPH.items():
        room = ".".join(module.split(".")[:depth])
        others = {".".join(other.split(".")[:depth]) for other in imports}
        graph.setdefault(room, set()).update(others - {room})
    return graph


def test_every_name_at_the_top_is_a_floor_or_a_public_name():
    names = {floor(m) for m in MODULES if m not in ("penstock", "penstock.__main__")}
    assert names == {*FLOORS, *PUBLIC_NAMES, *MAPPED}


@pytest.mark.parametrize("module", sorted(m for m in MODULES if m.count(".")))
def test_a_module_imports_from_its_floor_and_those_below_it(module):
    if floor(module) not in FLOORS:
        return
    for other in GRAPH[module]:
        assert floor(other) in FLOORS, f"{module} imports {other}, a public name of something"
        assert FLOORS.index(floor(other)) <= FLOORS.index(floor(module)), f"it imports {other}"


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_rooms_form_no_circles(depth):
    assert circle(rooms(depth)) == []


def test_modules_form_no_circles():
    assert circle(GRAPH) == []


@pytest.mark.parametrize("path", sources("penstock"), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_sdk_imports_neither_components_nor_pipelines(path):
    banned = ("penstock.components", "penstock.pipelines")
    assert not [m for m in imported(path) if m.startswith(banned)]


@pytest.mark.parametrize("path", sources("penstock", *MAPPED, "tests"), ids=str)
def test_mapped_folders_are_never_imported_by_their_short_names(path):
    assert not [m for m in imported(path) if m.split(".")[0] in MAPPED]


@pytest.mark.parametrize("path", sources("penstock", "pipelines"), ids=str)
def test_tfx_is_reached_through_its_door_alone_at_import(path):
    if path.parent.name == "_tfx":
        return
    tree = ast.parse(path.read_text())
    for node in tree.body:
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module]
        assert not [m for m in modules if m.split(".")[0] in ("tfx", "ml_metadata")], str(path)
