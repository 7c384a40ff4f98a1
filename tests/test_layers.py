"""Dependencies point one way, also those of imports inside functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# A module may import those of its own layer and of the layers before it.
LAYERS = (
    ("errors", "context", "environment", "tables", "pods", "kubeflow", "_tfx"),
    ("beam", "artifacts", "user_code", "source", "data", "secrets", "containment", "unpickling"),
    ("authoring",),
    ("ir", "selection", "config"),
    ("metadata",),
    ("openlineage",),
    ("execution",),
    ("report",),
    ("runners",),
    ("cli", "notebook", "testing", "ui"),
)


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


def layer(module: str) -> int | None:
    parts = module.split(".")
    if parts[0] != "penstock" or len(parts) < 2:
        return None
    return next((i for i, names in enumerate(LAYERS) if parts[1] in names), None)


@pytest.mark.parametrize("path", sources("penstock"), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_imports_only_from_its_layer_and_those_before_it(path):
    own = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    if own in ("penstock.__init__", "penstock.__main__"):
        return
    assert layer(own) is not None, "put the module into a layer"
    for module in imported(path):
        if (theirs := layer(module)) is not None:
            assert theirs <= layer(own), f"{own} imports {module}"


@pytest.mark.parametrize("path", sources("penstock"), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_sdk_imports_neither_components_nor_pipelines(path):
    banned = ("penstock.components", "penstock.pipelines")
    assert not [m for m in imported(path) if m.startswith(banned)]


@pytest.mark.parametrize("path", sources("penstock", "components", "pipelines", "tests"), ids=str)
def test_mapped_folders_are_never_imported_by_their_short_names(path):
    short = ("components", "pipelines", "schemas")
    assert not [m for m in imported(path) if m.split(".")[0] in short]


@pytest.mark.parametrize("path", sources("penstock", "pipelines"), ids=str)
def test_tfx_is_reached_through_its_door_alone_at_import(path):
    if path.name == "_tfx.py":
        return
    tree = ast.parse(path.read_text())
    for node in tree.body:
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module]
        assert not [m for m in modules if m.split(".")[0] in ("tfx", "ml_metadata")], str(path)
