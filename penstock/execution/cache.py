"""Which earlier execution did exactly what this one would do.

The key covers the node, its executor and the code behind it, its inputs, its parameters and the
shape of its outputs. Executions with one key share a context of type `execution_cache`, as in TFX.
"""

from __future__ import annotations

import hashlib
import importlib.util
import marshal
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock import _tfx, secrets
from penstock.metadata.store import execution_outputs
from penstock.user_code import source_fingerprint

CODE_PROPERTY = "__code_fingerprint__"
CODE_PARAMETERS = ("module_file", "module_path", "run_fn", "preprocessing_fn", "tuner_fn")


def code_fingerprint(class_path: str | None, parameters: Mapping[str, Any]) -> str:
    """Return a digest of the code that a node runs: its executor's, and the user's it names."""
    digest = hashlib.sha256((class_path or "").encode())
    if class_path:
        digest.update(_executor_fingerprint(class_path))
    for name in CODE_PARAMETERS:
        named = parameters.get(name)
        if not isinstance(named, str) or not named:
            continue
        named = secrets.resolve(named)
        path = named if os.path.exists(named) else _source_file(named.rpartition(".")[0])
        if path and path.endswith(".py"):
            digest.update(f"{name}:{source_fingerprint(path)}".encode())
    return digest.hexdigest()


def cache_key(
    node: Any,
    pipeline_name: str,
    executor_spec: Any,
    code: str,
    inputs: Mapping[str, list[Any]],
    outputs: Mapping[str, list[Any]],
    parameters: Mapping[str, Any],
) -> str:
    """Return the digest that executions share when one can stand for the other."""
    digest = hashlib.sha256()

    def add(*parts: object) -> None:
        for part in parts:
            text = part if isinstance(part, bytes) else str(part).encode()
            digest.update(len(text).to_bytes(8, "big") + text)

    add(pipeline_name, node.node_info.SerializeToString(deterministic=True), code)
    if executor_spec is not None:
        add(executor_spec.SerializeToString(deterministic=True))
    for key in sorted(inputs):
        add("input", key, *(artifact.id for artifact in inputs[key]))
    for key in sorted(outputs):
        add("output", key, *(artifact.type_name for artifact in outputs[key]))
    for key in sorted(parameters):
        add("parameter", key, repr(parameters[key]))
    return digest.hexdigest()


def cached_outputs(store: Any, context_id: int) -> dict[str, list[Any]] | None:
    """Return the outputs of the newest complete execution with a key, if all still exist."""
    executions = [
        e
        for e in store.get_executions_by_context(context_id)
        if _tfx.execution_lib.is_execution_successful(e)
    ]
    for execution in _tfx.execution_lib.sort_executions_newest_to_oldest(executions):
        outputs = execution_outputs(store, execution.id)
        live = all(
            artifact.mlmd_artifact.state == _tfx.metadata_store_pb2.Artifact.LIVE
            and os.path.exists(artifact.uri)
            for artifacts in outputs.values()
            for artifact in artifacts
        )
        if live:
            return outputs
    return None


def _executor_fingerprint(class_path: str) -> bytes:
    """Digest an executor's module, or its function where that is in no file, as in a notebook."""
    module = class_path.rpartition(".")[0]
    if module in sys.modules and _source_file(module) is None:
        function = getattr(_tfx.import_class_by_path(class_path), "function", None)
        if function is not None:
            return marshal.dumps(function.__code__)
    return _module_fingerprint(module).encode()


def _module_fingerprint(module: str) -> str:
    """Digest a module's code and the local code that it uses."""
    path = _source_file(module)
    if path is None or module.startswith("tfx."):
        return module
    if module.startswith("penstock.components."):
        # A library component imports its engine when it runs, and shares the data layer.
        folders = [Path(path).parent, Path(__file__).parents[1] / "data"]
        files = sorted(file for folder in folders for file in folder.glob("*.py"))
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return source_fingerprint(path)


def _source_file(module: str) -> str | None:
    loaded = sys.modules.get(module)
    if loaded is not None:
        path = getattr(loaded, "__file__", None)
        return path if path and os.path.exists(path) else None
    try:
        spec = importlib.util.find_spec(module) if module else None
    except (ImportError, ValueError):
        return None
    return spec.origin if spec else None
