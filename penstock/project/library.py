"""Which of Penstock's own code a library component consists of, to know when it changed.

That are the modules of its folder, since it imports its engine when it runs, and of all that
computes in the library what these import, transitively, also inside functions. Code is what Python
makes of a file, as with users' code: comments and formatting do not count. What only carries a
component out (authoring, execution, the store) does not change what it makes.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.util
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from penstock.project import kept

COMPONENTS = "penstock.components"
# Where the library computes; an InfraValidator serves.
_COMPUTING = (COMPONENTS, "penstock.data", "penstock.models", "penstock.serving")
# Of what is kept of a module.
_KIND = ".reached"


@dataclass(frozen=True)
class _Module:
    """What a module's code is, by a digest, and the names of what it may import of the library."""

    digest: str
    imports: frozenset[str]


def is_library_component(module: str) -> bool:
    """Whether a module is one of Penstock's component library."""
    return module.startswith(f"{COMPONENTS}.")


def library_digest(module: str) -> str:
    """Return a digest of all library code that a component runs; `module` is one of its own."""
    below = tuple(_modules_below(_package_of(module)))
    folders = tuple(str(_folder(top)) for top in _COMPUTING)
    known = _read_all(below, folders)
    if any(_is_another(path, signature) for path, signature in known.signatures):
        # Somebody works on the library while this process runs.
        _read_all.cache_clear()
        known = _read_all(below, folders)
    return known.digest


def _is_another(path: Path, signature: tuple[int, int]) -> bool:
    try:
        return _signature(path) != signature
    except FileNotFoundError:
        return True


@dataclass(frozen=True)
class _Component:
    """The digest of a component's code, and what the files were like that it was made of."""

    digest: str
    signatures: tuple[tuple[Path, tuple[int, int]], ...]


@functools.lru_cache(maxsize=100)
def _read_all(below: tuple[str, ...], folders: tuple[str, ...]) -> _Component:  # noqa: ARG001
    """Read all code of a component; `below` are its own modules, in a library in `folders`."""
    whole = hashlib.sha256()
    signatures = []
    for name in _reached_from(below):
        path = _path_of(name)
        assert path is not None, "only modules that have a file are found"
        signature = _signature(path)
        signatures.append((path, signature))
        whole.update(f"{name} {_read(str(path), *signature).digest}\n".encode())
    return _Component(whole.hexdigest(), tuple(signatures))


def library_modules(module: str) -> list[str]:
    """Return the names of the library modules that a component consists of, sorted."""
    return _reached_from(_modules_below(_package_of(module)))


def _package_of(module: str) -> str:
    return ".".join(module.split(".")[:3])


def _reached_from(modules: Iterable[str]) -> list[str]:
    waiting = list(modules)
    reached: set[str] = set()
    # The library's own package only says where its components are.
    seen = {COMPONENTS}
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        path = _path_of(name)
        if path is None:
            continue
        reached.add(name)
        waiting += _read(str(path), *_signature(path)).imports - seen
    return sorted(reached)


def _modules_below(package: str) -> list[str]:
    path = _path_of(package)
    if path is None or path.name != "__init__.py":
        return [package]
    below = path.parent
    files = (file.relative_to(below).with_suffix("") for file in below.rglob("*.py"))
    return [package, *(".".join((package, *f.parts)) for f in files if f.name != "__init__")]


def _path_of(name: str) -> Path | None:
    """Return the file of a module where the library computes, None if there is none."""
    top = next((top for top in _COMPUTING if name == top or name.startswith(f"{top}.")), None)
    if top is None:
        return None
    # Whole pipelines of components ask this thousands of times.
    path = os.path.join(_folder(top), *name.removeprefix(top).strip(".").split("."))
    for candidate in (os.path.join(path, "__init__.py"), f"{path.rstrip(os.sep)}.py"):
        if os.path.isfile(candidate):
            return Path(candidate)
    return None


@functools.cache
def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None, "it is part of Penstock"
    assert spec.origin is not None, "it is part of Penstock"
    return Path(spec.origin).parent


def _signature(path: Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=1000)
def _read(path: str, _changed: int, _size: int) -> _Module:
    """Read a module; as long as its signature stays the same, once.

    What was found in these very bytes is kept for other processes: Python's parser takes its time.
    """
    source = Path(path).read_bytes()
    place, checksum = kept.place(path, _KIND), kept.checksum(source, [_own_code()])
    found = kept.read(place, checksum)
    if found is not None:
        with contextlib.suppress(ValueError):
            digest, *imports = json.loads(found)
            return _Module(digest, frozenset(imports))
    module = _parsed(source, path)
    kept.write(place, checksum, json.dumps([module.digest, *sorted(module.imports)]).encode())
    return module


@functools.cache
def _own_code() -> str:
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def _parsed(source: bytes, path: str) -> _Module:
    tree = ast.parse(source, filename=path)
    return _Module(
        hashlib.sha256(ast.dump(tree).encode("utf-8", "surrogatepass")).hexdigest(),
        frozenset(name for imported in _imports(tree) for name in _run_by(imported)),
    )


def _run_by(imported: str) -> Iterator[str]:
    """Yield the modules that importing a.b.c runs, a.b too; the last may be a name in a module."""
    if not imported.startswith(_COMPUTING):
        return
    parts = imported.split(".")
    yield from (".".join(parts[:n]) for n in range(2, len(parts) + 1))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and _asks_a_type_checker(node.test):
            for statement in node.orelse:
                yield from _imports(statement)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from _imports(node)


def _asks_a_type_checker(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"
