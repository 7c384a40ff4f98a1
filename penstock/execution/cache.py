"""Which earlier execution did exactly what this one would do.

A node's fingerprint says what its outputs depend on: the node itself (its type, its executor's
options, the types of its outputs), the code that will run, its parameters, and the contents of its
inputs. Executions with one fingerprint share a context of type `execution_cache`, as in TFX. The
parts are recorded with every execution, so that a later one can say what has changed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock import _tfx, ir
from penstock.data.files import remote
from penstock.errors import UserCodeError
from penstock.execution.contents import fingerprint, first_damage
from penstock.metadata.executions import newest_first
from penstock.metadata.protocol import Store
from penstock.metadata.rows import Row, json_of, property_or, text_of
from penstock.metadata.runs import CODE_PROPERTY
from penstock.metadata.store import execution_outputs
from penstock.project.intervals import shown_interval
from penstock.project.library import is_library_component, library_digest
from penstock.project.source import (
    foreign_imports,
    function_digests,
    source_digests,
    source_files,
    unfollowed_code,
)
from penstock.safety import secrets

GIVEN_PROPERTY = "__given_fingerprint__"
INPUTS_PROPERTY = "__input_fingerprints__"
NODE_PROPERTY = "__node_fingerprint__"
CODE_PARAMETERS = (
    "module_file",
    "module_path",
    "preprocessing_fn",
    "run_fn",
    "train_fn",
    "tuner_fn",
)
_SHORT = 16


@dataclass(frozen=True)
class Fingerprint:
    """What a node's outputs depend on, part by part.

    `code` has a digest by file, `inputs` those of the artifacts by key. `inputs` is None as long
    as they are not known. `addresses` are where the inputs are: a parameter that is told one says
    no more than which input it means. `items` are those of loops that the node runs for, which
    keep executions apart also where they do the same.
    """

    node: str
    code: Mapping[str, str]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, tuple[str, ...]] | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)
    items: tuple[str, ...] = ()

    def key(self) -> str:
        """Return the digest that executions share when one can stand for the other."""
        parameters = {name: self._without_addresses(v) for name, v in self.parameters.items()}
        return _digest(
            self.node,
            json.dumps(dict(self.code), sort_keys=True),
            json.dumps(parameters, sort_keys=True),
            json.dumps(self.inputs, sort_keys=True),
            *self.items,
        )

    def is_address(self, value: Any) -> bool:
        """Whether the value of a parameter says where an input is."""
        return isinstance(value, str) and any(address in value for address in self.addresses)

    def _without_addresses(self, value: Any) -> str:
        text = repr(value)
        if self.is_address(value):
            for address in sorted(self.addresses, key=len, reverse=True):
                text = text.replace(address, f"<{self.addresses[address]}>")
        return text

    def properties(self) -> dict[str, str]:
        """Return the parts as properties of an execution; parameters are there already."""
        return {
            NODE_PROPERTY: self.node,
            CODE_PROPERTY: json.dumps(dict(self.code), sort_keys=True),
            INPUTS_PROPERTY: json.dumps(self.inputs, sort_keys=True),
        }


def given_fingerprint(node: str, code: Mapping[str, str], parameters: Mapping[str, Any]) -> str:
    """Digest what is known of a node before any other has run: `parameters` are those given it."""
    texts = {name: repr(value) for name, value in parameters.items()}
    return _digest(node, json.dumps(dict(code), sort_keys=True), json.dumps(texts, sort_keys=True))


def node_fingerprint(node: ir.Node) -> str:
    """Digest what the pipeline's definition says of a node, parameters and wiring apart."""
    proto, executor = node.proto, node.executor
    outputs = {
        key: spec.artifact_spec.type.name for key, spec in sorted(proto.outputs.outputs.items())
    }
    info = type(proto.node_info)()
    info.CopyFrom(proto.node_info)
    # The place that an item has in a list does not count.
    info.id = node.template or info.id
    return _digest(
        node.pipeline,
        info.SerializeToString(deterministic=True),
        executor.SerializeToString(deterministic=True) if executor is not None else b"",
        json.dumps(outputs),
    )


def input_fingerprints(inputs: Mapping[str, Iterable[Any]]) -> dict[str, tuple[str, ...]]:
    """Digest what a component can see of its input artifacts, by key."""
    return {
        key: tuple(fingerprint(artifact)[:_SHORT] for artifact in artifacts)
        for key, artifacts in inputs.items()
        if artifacts
    }


def input_addresses(inputs: Mapping[str, Iterable[Any]]) -> dict[str, str]:
    """Return the place among its inputs that each address of a node's input artifacts has."""
    return {
        artifact.uri: f"{key}[{index}]"
        for key, artifacts in sorted(inputs.items())
        for index, artifact in enumerate(artifacts)
        if artifact.uri
    }


def code_digests(class_path: str | None, parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return a digest of each file of code that a node runs: its executor's, and the user's.

    The files of a library component count as one, which has the component's name.
    """
    return merged_digests(_sources(class_path, parameters, source_digests))


def code_files(class_path: str | None, parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return what `code_digests` does, the user's files by their whole paths."""
    return merged_digests(_sources(class_path, parameters, source_files))


def code_imports(class_path: str | None, parameters: Mapping[str, Any]) -> set[str]:
    """Return the modules of others that the user's code in a node imports, by the first name."""

    def imports_of(file: str, *, entry: str | None = None) -> dict[str, str]:
        return dict.fromkeys(foreign_imports(file, entry=entry), "")

    is_ours = class_path is not None and is_library_component(class_path)
    sources = _sources(None if is_ours else class_path, parameters, imports_of)
    return {module.partition(".")[0] for source in sources for module in source}


_Digests = Callable[..., dict[str, str]]


def _sources(
    class_path: str | None, parameters: Mapping[str, Any], digests_of: _Digests
) -> Iterator[dict[str, str]]:
    """Yield digests of each piece of code of a node; `digests_of` reads the user's files."""
    if class_path:
        yield _executor_digests(class_path, digests_of)
    for name, named in _named_code(parameters):
        module, _, function = named.rpartition(".")
        if os.path.exists(named):
            yield digests_of(named)
        elif remote.is_remote(named):
            yield _remote_digests(named)
        elif name == "module_path":
            yield module_digests(named, None, digests_of)
        elif module:
            yield module_digests(module, function, digests_of)


def unfollowed(class_path: str | None, parameters: Mapping[str, Any]) -> list[str]:
    """Return in words which code a node runs that `code_digests` does not see."""
    places: list[tuple[str | None, str | None]] = []
    if class_path:
        module, _, class_name = class_path.rpartition(".")
        if path := _users_file(module):
            function = getattr(_tfx.import_class_by_path(class_path), "function", None)
            places.append((path, function.__name__ if function else class_name))
    for name, named in _named_code(parameters):
        module, _, entry = named.rpartition(".")
        if os.path.exists(named):
            places.append((named, None))
        elif name == "module_path":
            places.append((_users_file(named), None))
        elif module and not remote.is_remote(named):
            places.append((_users_file(module), entry))
    found = [text for path, entry in places if path for text in unfollowed_code(path, entry=entry)]
    return list(dict.fromkeys(found))


def _users_file(module: str) -> str | None:
    if module.startswith("tfx.") or is_library_component(module):
        return None
    path = source_file(module)
    return path if path is not None and path.endswith(".py") else None


def _named_code(parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the parameters that name code, without secrets' references."""
    for name in CODE_PARAMETERS:
        named = parameters.get(name)
        if isinstance(named, str) and named:
            yield name, secrets.resolve(named)


def _remote_digests(url: str) -> dict[str, str]:
    """Digest a file of code in an object store; what it imports is elsewhere."""
    with tempfile.TemporaryDirectory() as folder:
        return source_digests(remote.fetch(url, os.path.join(folder, os.path.basename(url))))


def merged_digests(sources: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return digests by file from several sources.

    Files of one name in two folders, or one file asked for twice, count together.
    """
    merged: dict[str, list[str]] = {}
    for source in sources:
        for file, digest in source.items():
            merged.setdefault(file, []).append(digest)
    return {
        file: (digests[0] if len(digests) == 1 else _digest(*digests))[:_SHORT]
        for file, digests in merged.items()
    }


@dataclass(frozen=True)
class Earlier:
    """What earlier executions with a key have made.

    `outputs` are those of the newest whose artifacts are all intact, `execution_id`; None where
    there is none. `harm` then says why the newest of all cannot be used, "" if there is none.
    """

    outputs: dict[str, list[Any]] | None = None
    execution_id: int | None = None
    harm: str = ""


def cached_outputs(store: Store, key: str, seconds: int = 0) -> Earlier:
    """Return what the newest complete execution with a key has made that is as it was.

    It may have made it so many `seconds` ago, with 0 at any time.
    """
    newest = ""
    for execution, outputs in _with_key(store, key):
        harm = _too_old(execution, outputs, seconds) or first_damage(outputs)
        if not harm:
            return Earlier(outputs, execution.id)
        newest = newest or harm
    return Earlier(harm=newest)


def _too_old(
    execution: _tfx.ExecutionProto, outputs: Mapping[str, Iterable[Any]], seconds: int
) -> str:
    """Return that outputs were made too long ago, or "" where they were not."""
    if not seconds:
        return ""
    made = [a.mlmd_artifact.create_time_since_epoch for of_key in outputs.values() for a in of_key]
    # One that took what was made before says nothing of when, if it was no artifact.
    is_first = execution.last_known_state == _tfx.metadata_store_pb2.Execution.COMPLETE
    if not made and not is_first:
        return "nobody knows when it was made"
    age = time.time() - min(made or [execution.create_time_since_epoch]) / 1000
    if age <= seconds:
        return ""
    return f"what was made is {shown_interval(age)} old, and may be {shown_interval(seconds)}"


def _with_key(store: Store, key: str) -> Iterator[tuple[Any, dict[str, list[Any]]]]:
    context = store.get_context_by_type_and_name(_tfx.context_lib.CONTEXT_TYPE_EXECUTION_CACHE, key)
    if context is None:
        return
    for execution in newest_first(store, context.id):
        if _tfx.execution_lib.is_execution_successful(execution):
            yield execution, execution_outputs(store, execution.id)


def recorded_fingerprint(execution: _tfx.ExecutionProto) -> Fingerprint | None:
    """Read the fingerprint that an execution was published with, None for one that has none."""
    if NODE_PROPERTY not in execution.custom_properties:
        return None
    row = Row(execution.type or "execution", execution.id, execution.name)
    return property_or(row, "its fingerprint", lambda: _recorded_fingerprint(execution), None)


def _recorded_fingerprint(execution: _tfx.ExecutionProto) -> Fingerprint:
    properties = execution.custom_properties
    parameters = {
        name: _tfx.data_types_utils.get_metadata_value(value)
        for source in (execution.properties, properties)
        for name, value in source.items()
        if not name.startswith("__")
    }
    text = text_of(execution, INPUTS_PROPERTY) if INPUTS_PROPERTY in properties else ""
    inputs = None if text in ("", "null") else json_of(text, dict, INPUTS_PROPERTY)
    return Fingerprint(
        text_of(execution, NODE_PROPERTY),
        json_of(text_of(execution, CODE_PROPERTY), dict, CODE_PROPERTY),
        parameters,
        None if inputs is None else {key: tuple(digests) for key, digests in inputs.items()},
    )


def _executor_digests(class_path: str, digests_of: _Digests) -> dict[str, str]:
    """Digest an executor's module, or its function where that is in no file, as in a notebook."""
    module, _, class_name = class_path.rpartition(".")
    if module.startswith("tfx."):
        return {module: _digest(module)}
    try:
        executor_class = _tfx.import_class_by_path(class_path)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserCodeError(
            f"the executor {class_path!r} that the pipeline names cannot be imported: {error}",
            hint="Compile the pipeline again, where its components are.",
        ) from error
    function = getattr(executor_class, "function", None)
    if function is not None and source_file(module) is None:
        return function_digests(function)
    entry = function.__name__ if function is not None else class_name
    return module_digests(module, entry, digests_of)


def module_digests(
    module: str, entry: str | None, digests_of: _Digests = source_digests
) -> dict[str, str]:
    """Return digests of a module's code and of the local code that it uses, by file."""
    path = source_file(module)
    if path is None or not path.endswith(".py"):
        return {module: _digest(module)}
    if is_library_component(module):
        return {module.removesuffix(".component"): library_digest(module)}
    return digests_of(path, entry=entry)


def source_file(module: str) -> str | None:
    """Return the file of a module, None for one without; packages that it is in are imported."""
    loaded = sys.modules.get(module)
    if loaded is not None:
        path = getattr(loaded, "__file__", None)
        return path if path and os.path.exists(path) else None
    try:
        spec = importlib.util.find_spec(module) if module else None
    except (ImportError, ValueError):
        return None
    return spec.origin if spec else None


def _digest(*parts: str | bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        whole.update(len(content).to_bytes(8, "big") + content)
    return whole.hexdigest()
