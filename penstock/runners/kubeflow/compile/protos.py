"""The only door to the protos of Kubeflow Pipelines.

`import kfp` takes seconds, and `import kfp.kubernetes` more, while what they define in protos
loads in a moment. So the two modules of protos are loaded from their files, and are then what the
whole finds when it is imported later.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType

from penstock.errors import ConfigError


@cache
def pipeline_spec() -> ModuleType:
    """Return the module of PipelineSpec and PlatformSpec."""
    return _load("kfp.pipeline_spec.pipeline_spec_pb2")


@cache
def kubernetes() -> ModuleType:
    """Return the module of KubernetesExecutorConfig."""
    name = "kfp.kubernetes.kubernetes_executor_config_pb2"
    return _load(name, needs=pipeline_spec())


def _load(name: str, needs: ModuleType | None = None) -> ModuleType:
    if name in sys.modules:
        return sys.modules[name]
    kfp = importlib.util.find_spec("kfp")
    for folder in kfp.submodule_search_locations or () if kfp else ():
        path = Path(folder, *name.split(".")[1:]).with_suffix(".py")
        spec = importlib.util.spec_from_file_location(name, path)
        if path.exists() and spec is not None and spec.loader is not None:
            module = importlib.util.module_from_spec(spec)
            with _packages_of(needs):
                spec.loader.exec_module(module)
            sys.modules[name] = module
            return module
    raise ConfigError(
        f"the installed kfp has no {name}",
        hint="Install kfp 2.13 or newer, and kfp-kubernetes with it.",
    )


@contextmanager
def _packages_of(needed: ModuleType | None) -> Iterator[None]:
    """Let a module of protos be imported from its package without all else that this imports."""
    packages = [name for name in ("kfp", "kfp.pipeline_spec") if name not in sys.modules]
    for name in packages:
        sys.modules[name] = ModuleType(name)
    if needed is not None and packages:
        sys.modules["kfp.pipeline_spec"].pipeline_spec_pb2 = needed  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for name in packages:
            del sys.modules[name]
