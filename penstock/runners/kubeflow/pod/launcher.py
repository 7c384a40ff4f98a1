"""The contract with Kubeflow's launcher, which starts a container's command and waits for its end.

The launcher gives an `ExecutorInput` as JSON, has copied the input artifacts to local paths, and
afterwards uploads what it finds at the local paths of the outputs. In `executor_output.json` it
takes metadata of artifacts: text and numbers come back to later tasks, truth values as numbers,
whole numbers as floating-point numbers, lists and dicts wrapped.
"""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock.errors import ParameterError, RunError
from penstock.runners.kubeflow.contract.texts import OWN

_MOUNTS = {"gs://": "/gcs/", "minio://": "/minio/", "s3://": "/s3/"}
_TYPES: Mapping[str, type] = {"str": str, "int": int, "float": float, "bool": bool, "list": list}


# What the launcher is told of outputs, by their names: their URIs and their metadata.
Reports = Mapping[str, tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class LaunchedArtifact:
    """An artifact as the launcher knows it: its URI, and where it is in the container."""

    uri: str
    path: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ExecutorInput:
    """What the launcher says: parameters and artifacts by name, and where to report.

    `files` has, by the names of output parameters, where their values are written. `own` is what
    the node's task is told beside its container, "" for nothing.
    """

    parameters: Mapping[str, Any]
    inputs: Mapping[str, Sequence[LaunchedArtifact]]
    outputs: Mapping[str, LaunchedArtifact]
    files: Mapping[str, str]
    output_file: str
    own: str = ""

    @property
    def addresses(self) -> list[str]:
        """The URIs of all artifacts."""
        taken = [artifact.uri for artifacts in self.inputs.values() for artifact in artifacts]
        return [*(artifact.uri for artifact in self.outputs.values()), *taken]


def read_executor_input(text: str) -> ExecutorInput:
    """Read an `ExecutorInput` from the JSON that stands for `{{$}}`.

    Raises:
      RunError: it is none.
    """
    try:
        content = json.loads(text)
        inputs, outputs = content.get("inputs") or {}, content["outputs"]
        parameters = dict(inputs.get("parameterValues") or {})
        own = _text(parameters.pop(OWN, ""))
        return ExecutorInput(
            parameters,
            {name: _artifacts(entry) for name, entry in (inputs.get("artifacts") or {}).items()},
            {
                name: artifacts[0]
                for name, entry in (outputs.get("artifacts") or {}).items()
                if (artifacts := _artifacts(entry))
            },
            {
                name: _text(entry["outputFile"])
                for name, entry in (outputs.get("parameters") or {}).items()
            },
            _text(outputs["outputFile"]),
            own,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(
            f"expected Kubeflow's ExecutorInput, got {text[:200]!r}",
            hint="Kubeflow's launcher puts it in the place of {{$}}: run the container by a "
            "compiled pipeline.",
        ) from error


def local_path(uri: str) -> str:
    """Return where the launcher has an artifact in the container; other paths are as they are."""
    for scheme, folder in _MOUNTS.items():
        if uri.startswith(scheme):
            return folder + uri.removeprefix(scheme)
    return uri


def _artifacts(entry: Mapping[str, Any]) -> list[LaunchedArtifact]:
    return [
        LaunchedArtifact(
            _text(artifact["uri"]),
            _text(artifact.get("customPath") or local_path(artifact["uri"])),
            artifact.get("metadata") or {},
        )
        for artifact in entry.get("artifacts") or ()
        if artifact.get("uri")
    ]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def bind_parameters(arguments: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, Any]:
    """Return the run's parameters with their types: numbers arrive as floating-point numbers.

    Raises:
      ParameterError: one has not come, or is none of its type.
    """
    for name, kind in types.items():
        if kind not in _TYPES:
            raise ParameterError(
                f"the parameter {name!r} has the type {kind!r}, which no parameter has",
                hint="Compile the pipeline again.",
            )
    return {name: _cast(name, arguments, _TYPES[kind]) for name, kind in types.items()}


def _whole(value: Any) -> Any:
    """Return JSON in which whole numbers are integers, which stand for floats as well."""
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _cast(name: str, arguments: Mapping[str, Any], kind: type) -> Any:
    if name not in arguments:
        raise ParameterError(
            f"the parameter {name!r} did not come with the task",
            hint="Compile the pipeline again, and give the run a value for it.",
        )
    value = arguments[name]
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is bool and (isinstance(value, bool) or value in (0, 1)):
        return bool(value)
    if kind is int and is_number and int(value) == value:
        return int(value)
    if kind is float and is_number:
        return float(value)
    if kind is str and isinstance(value, str):
        return value
    if kind is list and isinstance(value, list):
        return _whole(value)
    raise ParameterError(
        f"the parameter {name!r}: expected {kind.__name__}, got {value!r} ({type(value).__name__})"
    )


def run_name(pipeline_name: str, executor_input: ExecutorInput) -> str:
    """Return the run's name as the URIs of the outputs have it.

    Below a pipeline root they are PIPELINE/RUN/TASK..., without a cluster RUN/TASK..., where RUN
    begins with PIPELINE and a hyphen.

    Raises:
      RunError: they have none.
    """
    addresses = [artifact.uri for artifact in executor_input.outputs.values()]
    addresses += [executor_input.output_file, *executor_input.files.values()]
    for address in addresses:
        parts = address.split("/")
        for part, following in itertools.pairwise(parts):
            if part == pipeline_name and following:
                return following
        for part in parts:
            if part.startswith(f"{pipeline_name}-"):
                return part
    raise RunError(
        "the name of the run is not known: neither KFP_RUN_ID nor the outputs' addresses have it",
        hint="Compile the pipeline again, with its platform document, and upload both.",
    )


def write_output(path: str, artifacts: Reports) -> None:
    """Write `executor_output.json`: for each output its URI and its metadata."""
    content = {
        "artifacts": {
            name: {"artifacts": [{"name": name, "uri": uri, "metadata": dict(metadata)}]}
            for name, (uri, metadata) in artifacts.items()
        }
    }
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, allow_nan=False)


def as_metadata(properties: Mapping[str, Any]) -> dict[str, str | int | float]:
    """Return properties as metadata that the backend takes and gives back with their values.

    What is neither text nor a number is JSON text.
    """
    return {name: _plain(value) for name, value in properties.items()}


def _plain(value: Any) -> str | int | float:
    if isinstance(value, str):
        return value
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and math.isfinite(value) else json.dumps(value)
