"""A plugin of coverage's for make coverage: libraries are imported unmeasured.

What is measured runs slower, wherever it stands, and importing TensorFlow is half the work of many
tests.
"""

from __future__ import annotations

import importlib.machinery
import sys
import sysconfig
from types import ModuleType
from typing import Any

_LIBRARIES = tuple(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "purelib", "platlib"))


def coverage_init(registry: Any, options: Any) -> None:  # noqa: ARG001  # coverage's protocol
    """Pause this thread's tracer while a module of a library is executed."""
    loader = importlib.machinery.SourceFileLoader
    execute = loader.exec_module

    def exec_module(self: importlib.machinery.SourceFileLoader, module: ModuleType) -> None:
        tracer: Any = sys.gettrace()
        if not self.path.startswith(_LIBRARIES) or not hasattr(tracer, "stop"):
            execute(self, module)
            return
        tracer.stop()
        try:
            execute(self, module)
        finally:
            tracer.start()

    loader.exec_module = exec_module  # type: ignore[assignment, method-assign]
