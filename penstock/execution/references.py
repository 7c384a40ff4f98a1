"""Secrets of a node: resolved just before its body runs, taken out of what the body gives back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from penstock import _tfx, ir
from penstock.errors import ParameterError
from penstock.safety import secrets, written_down
from penstock.safety.secrets import Redaction


def check(pipeline: ir.Pipeline, node_ids: Iterable[str] | None = None) -> None:
    """Check that what the nodes of bound IR refer to is there, before any of them runs.

    Raises:
      ParameterError: a variable is not set, or a reference stands where it cannot be resolved.
    """
    wanted = None if node_ids is None else set(node_ids)
    for node in pipeline:
        name, executor = node.id, node.executor
        if wanted is not None and name not in wanted:
            continue
        for key, value in node.proto.parameters.parameters.items():
            where = f"node {name}, parameter {key!r}"
            resolved = value.WhichOneof("value") == "field_value" and executor is not None
            for text in secrets.texts(value):
                _check(text, where, resolved)
        for text in secrets.texts(executor) if executor is not None else ():
            _check(text, f"node {name}, Beam arguments", True)


def warn_of_secrets(pipeline: ir.Pipeline, parameters: Mapping[str, Any]) -> None:
    """Warn of secrets that are written down in a run's parameters, or in those of its nodes."""
    places = [(f"parameter {name!r}", name, value) for name, value in parameters.items()]
    places += [
        (f"node {node.id}, parameter {name!r}", name, value)
        for node in pipeline
        for name, value in node.proto.parameters.parameters.items()
    ]
    written_down.warn(places)


def _check(text: str, where: str, resolved: bool) -> None:
    if "{env:" not in text:
        return
    try:
        names = secrets.names(text)
    except ParameterError as error:
        raise ParameterError(f"{where}: {error.message}", hint=error.hint) from None
    if names and not resolved:
        raise ParameterError(
            f"{where}: ${{env:{names[0]}}} cannot stand here, where the value is computed or "
            "recorded before the node runs",
            hint="Give the reference to a parameter of a component as it is.",
        )
    for name in names:
        if name not in os.environ:
            raise ParameterError(
                f"{where}: the environment variable {name} is not set",
                hint=f"The parameter refers to it as ${{env:{name}}}: set it before the command.",
            )


def resolve_parameters(info: _tfx.ExecutionInfo) -> dict[str, Any]:
    """Return an execution's parameters with secrets.

    Only what the pipeline itself says is resolved: a text that comes from an artifact or from a
    driver may not name variables.

    Raises:
      ParameterError: a variable is not set.
    """
    written = _tfx.data_types_utils.build_parsed_value_dict(
        {
            key: value
            for key, value in info.pipeline_node.parameters.parameters.items()
            if value.WhichOneof("value") == "field_value"
        }
    )
    resolved = {}
    for key, value in info.exec_properties.items():
        try:
            same = key in written and written[key] == value
            resolved[key] = secrets.resolve_in(value) if same else value
        except ParameterError as error:
            where = f"node {info.pipeline_node.node_info.id}, parameter {key!r}"
            raise ParameterError(f"{where}: {error.message}", hint=error.hint) from None
    return resolved


def take_back(properties: Any, references: Mapping[str, Any], resolved: Mapping[str, Any]) -> None:
    """Put the references back into the properties that an executor or driver hands on as is."""
    for key in properties:
        value = properties[key]
        if value.WhichOneof("value") != "string_value" or not isinstance(resolved.get(key), str):
            continue
        if value.string_value == resolved[key]:
            value.string_value = references[key]


def redact_executor_output(output: Any, redaction: Redaction, node_id: str) -> Any:
    """Return an `ExecutorOutput` without secrets.

    Raises:
      ParameterError: the address of an artifact holds one, and would be useless without it.
    """
    for key, artifacts in output.output_artifacts.items():
        for artifact in artifacts.artifacts:
            _refuse(artifact.uri, redaction, f"node {node_id}: the address of its output {key!r}")
    redacted = secrets.map_texts(output, redaction.text) if redaction else output
    _refuse(redacted.SerializeToString(), redaction, f"node {node_id}: a property of an output")
    return redacted


def check_driver_output(output: Any, redaction: Redaction, node_id: str) -> None:
    """Check that what a driver decided can be recorded.

    Raises:
      ParameterError: it holds a secret, and the executor could not do with less.
    """
    for text in secrets.texts(output):
        _refuse(text, redaction, f"node {node_id}: what its driver computed")


def check_results(outputs: Mapping[str, Iterable[Any]], redaction: Redaction, node_id: str) -> None:
    """Check the value artifacts that a body has written; remove them if they hold a secret.

    Raises:
      ParameterError: they do.
    """
    for key, artifacts in outputs.items():
        for artifact in artifacts:
            is_value = isinstance(artifact, _tfx.value_artifact.ValueArtifact)
            if not is_value or not os.path.isfile(artifact.uri):
                continue
            with open(artifact.uri, "rb") as file:
                content = file.read()
            try:
                _refuse(content, redaction, f"node {node_id}: its result {key!r}")
            except ParameterError:
                os.remove(artifact.uri)
                raise


def _refuse(content: str | bytes, redaction: Redaction, what: str) -> None:
    encoded = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    name = redaction.reference_in(encoded)
    if name is not None:
        raise ParameterError(
            f"{what} holds the value of {name}, and would be recorded",
            hint="Keep the secret inside the body; return what can be told.",
        )
