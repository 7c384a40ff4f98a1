"""Have something done around the execution of one module, whenever it is imported."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

Execute = Callable[[ModuleType], None]
# Given what executes the module, and the module: it calls the one with the other.
Around = Callable[[Execute, ModuleType], None]


@dataclass(frozen=True)
class _Finder:
    name: str
    around: Around

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, *_target: object
    ) -> ModuleSpec | None:
        """Find the one module where it is; who only asks whether it is there executes nothing."""
        if name != self.name:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            self.around(execute, module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def wrap_execution(name: str, around: Around) -> None:
    """Have `around` execute the module `name` in this process and its forks, when it is imported.

    What is asked for more than once, by what is equal, is done once.
    """
    finder = _Finder(name, around)
    if finder not in sys.meta_path:
        sys.meta_path.insert(0, finder)
