"""Sources of the user's modules that functions import only when they are called.

A function that is pickled by value has with it the modules that it knows. One that it imports in
its body is a name to it, which says nothing where the user's folder is not: the source of such a
module, and of those that this imports, goes along.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Source:
    """The text of a module's file, and where it was."""

    path: str
    content: bytes
    is_package: bool


Sources = Mapping[str, Source]
# Says of a module's name and its file whether workers are without it.
Users = Callable[[str, str], bool]


@contextmanager
def sources_along(modules: Iterable[ModuleType], is_users: Users) -> Iterator[None]:
    """Let what is pickled by value of these modules bring the sources that it may import.

    The name of a module's file is what picklers take along with each of its functions.
    """
    changed = []
    for module in modules:
        sources = imported_when_called(module, is_users)
        if sources:
            changed.append((module, module.__file__))
            module.__file__ = _File(str(module.__file__), sources)
    try:
        yield
    finally:
        for module, file in changed:
            module.__file__ = file


def imported_when_called(module: ModuleType, is_users: Users) -> Sources:
    """Return by name the user's modules that functions of a module import, and what those do."""
    package = module.__package__ or ""
    found: dict[str, Source] = {}
    tree = _parsed(_read(str(module.__file__)))
    waiting = list(_imported(_in_functions(tree), package))
    while waiting:
        name = waiting.pop()
        source = None if name in found else _source_of(name, is_users)
        if source is not None:
            found[name] = source
            own = name if source.is_package else name.rpartition(".")[0]
            waiting += _imported(ast.walk(_parsed(source.content)), own)
    return found


class _File(str):
    """The name of a module's file, which brings sources to where it is unpickled."""

    def __new__(cls, path: str, _sources: Sources) -> _File:
        return super().__new__(cls, path)

    def __init__(self, _path: str, sources: Sources) -> None:
        self.sources = sources

    def __reduce__(self) -> tuple[Any, ...]:
        return arrive, (str(self), self.sources)


class _Finder(MetaPathFinder):
    """Finds what has arrived; whatever else can be found comes first."""

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        source = self.sources.get(fullname)
        if source is None:
            return None
        loader = _Loader(source)
        return importlib.util.spec_from_loader(fullname, loader, is_package=source.is_package)


class _Loader(SourceLoader):
    def __init__(self, source: Source) -> None:
        self.source = source

    def get_filename(self, _fullname: str) -> str:
        return self.source.path

    def get_data(self, _path: str) -> bytes:
        return self.source.content


def arrive(path: str, sources: Sources) -> str:
    """Make sources importable here, in place of earlier ones of these names; return `path`."""
    finder = next((f for f in sys.meta_path if isinstance(f, _Finder)), None)
    if finder is None:
        finder = _Finder()
        sys.meta_path.append(finder)
    for name, source in sources.items():
        loader = getattr(sys.modules.get(name), "__loader__", None)
        if isinstance(loader, _Loader) and loader.source != source:
            del sys.modules[name]
        finder.sources[name] = source
    return path


def _in_functions(tree: ast.AST) -> Iterator[ast.AST]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, functions):
            yield from ast.walk(node)


def _imported(nodes: Iterable[ast.AST], package: str) -> Iterator[str]:
    """Yield the names that import statements may mean, with those of the packages they are in."""
    for node in nodes:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _from(node, package)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _from(node: ast.ImportFrom, package: str) -> str:
    parts = package.split(".")
    above = parts[: len(parts) - node.level + 1] if node.level else []
    return ".".join([*above, *filter(None, [node.module])])


def _source_of(name: str, is_users: Users) -> Source | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):  # of a module, an attribute is no module
        return None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return None
    if not is_users(name, spec.origin):
        return None
    is_package = spec.submodule_search_locations is not None
    return Source(spec.origin, _read(spec.origin), is_package)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _parsed(content: bytes) -> ast.AST:
    try:
        return ast.parse(content)
    except (SyntaxError, ValueError):
        return ast.Module([], [])
