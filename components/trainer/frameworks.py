"""Which frameworks a user's training code will import, by its text."""

from __future__ import annotations

import ast
import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# What loading and saving a framework's models imports, by the package that training code imports.
_MODULES: Mapping[str, tuple[str, ...]] = {
    "keras": ("tensorflow", "keras"),
    "lightgbm": ("lightgbm",),
    "onnxruntime": ("onnxruntime",),
    "sklearn": ("pandas", "sklearn", "skops.io"),
    "tensorflow": ("tensorflow",),
    "torch": ("torch",),
    "xgboost": ("xgboost",),
}


def imported_frameworks(parameters: Mapping[str, Any], function: str) -> tuple[str, ...]:
    """Return the modules of the frameworks that a Trainer's function imports, to be preloaded.

    `parameters` say where the code is; `function` is the parameter that names it. What the module
    imports counts and what the function itself does, but not within `try`, where it may fail.
    Nothing is executed: what is not found, or cannot be read, is left for the node to say.
    """
    path = _source_of(parameters, function)
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return ()
    name = str(parameters.get(function) or function).rpartition(".")[2]
    packages = {module.partition(".")[0] for module in _imports(tree.body, name)}
    modules = [module for package in sorted(packages) for module in _MODULES.get(package, ())]
    return tuple(dict.fromkeys(modules))


def _source_of(parameters: Mapping[str, Any], function: str) -> str:
    module = str(parameters.get("module_path") or "")
    file = str(parameters.get("module_file") or "")
    if not module and file:
        return os.path.expanduser(file)
    if not module:
        module = str(parameters.get(function) or "").rpartition(".")[0]
    try:
        spec = importlib.util.find_spec(module) if module else None
    except (ImportError, ValueError, AttributeError):
        return ""
    return (spec and spec.origin) or ""


def _imports(statements: Sequence[ast.stmt], function: str) -> Iterator[str]:
    """Yield what statements import that are not in `try`, or in other functions than one."""
    for statement in statements:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            yield statement.module
        elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if statement.name == function:
                yield from _imports(statement.body, function)
        elif not isinstance(statement, (ast.Try, ast.ClassDef, ast.If)):
            yield from _imports(getattr(statement, "body", []), function)
