"""Functions on their way to workers that know nothing of this process's folders.

What stands in modules that are installed is named, since workers have them too; modules of the
user's, with those beside them, go along by value, and those that functions import when they are
called as sources.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from penstock.data.parallel.carrying import sources_along

_OURS = ("penstock", "components", "pipelines", "schemas")


def pickled(value: Any, pickler: Any) -> bytes:
    """Pickle a value by a module with the interface of cloudpickle, which engines bring along."""
    with by_value(pickler):
        content: bytes = pickler.dumps(value)
        return content


@contextmanager
def by_value(pickler: Any) -> Iterator[None]:
    """Let a module with the interface of cloudpickle take the user's modules by value."""
    modules = list(_of_the_user())
    for module in modules:
        pickler.register_pickle_by_value(module)
    try:
        with sources_along(modules, _is_users):
            yield
    finally:
        for module in modules:
            pickler.unregister_pickle_by_value(module)


def _of_the_user() -> Iterator[ModuleType]:
    """Yield the modules that nobody has installed."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or name == "__main__":
            continue
        if isinstance(module, ModuleType) and module.__name__ == name and _is_users(name, file):
            yield module


def _is_users(name: str, file: str) -> bool:
    """Whether nobody has installed a module, which workers are therefore without."""
    if name.partition(".")[0] in _OURS:
        return False
    path = Path(file).resolve()
    return not any(path.is_relative_to(folder) for folder in _installed())


@cache
def _installed() -> tuple[Path, ...]:
    folders = (sys.prefix, sys.base_prefix, *sysconfig.get_paths().values())
    return tuple(Path(folder).resolve() for folder in folders)
