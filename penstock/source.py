"""Which code a piece of user code consists of, to know when it changed.

Code is what Python makes of a file: comments, formatting and the place of the folder do not
count; docstrings do, since code can read them. Local are the files beside a module and those of
its own package, transitively, also where a function imports them; an installed package is not
local.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from penstock.user_code import existing_file, package_root, user_code_error

# Folders of installed packages.
_INSTALLED = ("site-packages", "dist-packages")

# What can reach a name of the module without naming it.
_REACHES_ANYTHING = frozenset({"globals", "locals", "vars", "eval", "exec", "__import__"})


def source_digests(module_file: str, *, entry: str | None = None) -> dict[str, str]:
    """Return a digest of the code in a module and in each local module that it imports, by file.

    Files are named relative to the folder that they are imported from. With `entry`, the name of a
    function or class of the module, only what it reaches in its module counts: another function
    beside it may change.

    Raises:
      UserCodeError: a file is missing or is not Python.
    """
    path = existing_file(module_file)
    root = package_root(path)
    tree = _parse(path)
    if entry is not None:
        tree = _reached_from(tree, entry)
    sources = _local_sources(path, tree, root)
    return {
        str(Path(file).relative_to(root)): _digest(found) for file, found in sorted(sources.items())
    }


def function_digests(function: Callable[..., Any]) -> dict[str, str]:
    """Return a digest of a function that is in no file, as in a notebook, and of what it uses.

    Followed are the functions, classes and plain values of its module that it names; local modules
    that it uses count as in `source_digests`.
    """
    digests: dict[str, str] = {}
    waiting: list[tuple[str, Any]] = [(function.__name__, function)]
    while waiting:
        name, used = waiting.pop()
        if name in digests:
            continue
        if isinstance(used, ModuleType):
            file = getattr(used, "__file__", None) or ""
            if file.endswith(".py") and not {*_INSTALLED, "lib"} & set(Path(file).parts):
                digests.update(source_digests(file))
            continue
        if isinstance(used, (FunctionType, type)):
            if used.__module__ != function.__module__:
                continue
            digests[name] = _definition_digest(used)
            bodies = [used] if isinstance(used, FunctionType) else list(vars(used).values())
            for body in bodies:
                if isinstance(body, FunctionType):
                    waiting += [
                        (n, body.__globals__[n])
                        for n in body.__code__.co_names
                        if n in body.__globals__
                    ]
        elif isinstance(used, (str, bytes, int, float, tuple, list, dict, frozenset)):
            digests[name] = hashlib.sha256(repr(used).encode()).hexdigest()
    return digests


def _definition_digest(definition: Any) -> str:
    try:
        return _digest(ast.parse(textwrap.dedent(inspect.getsource(definition))))
    except (OSError, TypeError, SyntaxError):
        # Typed at a prompt that keeps no source.
        code = getattr(definition, "__code__", None)
        known = (code.co_code, code.co_consts, code.co_names) if code else definition.__qualname__
        return hashlib.sha256(repr(known).encode()).hexdigest()


def _digest(tree: ast.Module) -> str:
    return hashlib.sha256(ast.dump(tree).encode("utf-8", "surrogatepass")).hexdigest()


def _reached_from(tree: ast.Module, entry: str) -> ast.Module:
    """Keep the statements that a definition needs, and those that bind no name."""
    bound = [(statement, _bound_names(statement)) for statement in tree.body]
    if not any(entry in names for _, names in bound):
        return tree
    kept = {
        id(statement)
        for statement, names in bound
        if ("*" in names or not names) and not _runs_as_script(statement)
    }
    kept -= {id(statement) for statement in tree.body if _is_docstring(statement)}
    reached = {entry}
    reached.update(*(_used_names(s) for s, _ in bound if id(s) in kept))
    growing = True
    while growing:
        growing = False
        for statement, names in bound:
            if id(statement) not in kept and names & reached:
                kept.add(id(statement))
                reached |= _used_names(statement)
                growing = True
    if reached & _REACHES_ANYTHING:
        return tree
    return ast.Module([s for s in tree.body if id(s) in kept], tree.type_ignores)


def _bound_names(statement: ast.stmt) -> set[str]:
    """Return the names that a statement of a module binds there; `*` stands for any."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    names: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            names.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, ast.Store):
            # `TABLE["key"] = value` changes what TABLE is.
            names |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    return names


def _used_names(statement: ast.stmt) -> set[str]:
    names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
    # An annotation may be a string that names a type.
    for node in ast.walk(statement):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 100:
            names |= {part for part in node.value.replace(".", " ").split() if part.isidentifier()}
    return names


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _runs_as_script(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and any(
        isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(statement.test)
    )


def _local_sources(path: Path, tree: ast.Module, root: Path) -> dict[str, ast.Module]:
    # Whoever keeps module files in an installed package means those files, not their libraries.
    package = None if root.name in _INSTALLED else path.relative_to(root).parts[0]
    trees: dict[str, ast.Module] = {}
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if str(file) in trees:
            continue
        trees[str(file)] = tree if file == path else _parse(file)
        for name, level in _imported_names(trees[str(file)]):
            if level:
                waiting += _files_of(name, file.parents[min(level, len(file.parents)) - 1])
                continue
            waiting += _files_of(name, file.parent)
            waiting += _files_of(name, path.parent)
            if package in name:
                # A package may be installed under a longer name than its folders have.
                waiting += _files_of(name[name.index(package) :], root)
    return trees


def _parse(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes(), filename=str(file))
    except (SyntaxError, ValueError) as error:
        raise user_code_error("The module is not Python", error, str(file)) from error


def _imported_names(tree: ast.Module) -> Iterator[tuple[list[str], int]]:
    """Return the dotted names that a module imports, with their level if they are relative."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split("."), 0
        elif isinstance(node, ast.ImportFrom):
            module = node.module.split(".") if node.module else []
            for alias in node.names:
                yield [*module, alias.name], node.level


def _files_of(name: list[str], place: Path) -> Iterator[Path]:
    """Return the files below `place` that importing a dotted name runs."""
    folder = place
    for part in name:
        for candidate in (folder / f"{part}.py", folder / part / "__init__.py"):
            if candidate.is_file():
                yield candidate.resolve()
        folder = folder / part
