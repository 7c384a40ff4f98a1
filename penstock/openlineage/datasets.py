"""Artifacts and folders as OpenLineage datasets.

A dataset keeps its name from run to run, and has versions. The artifacts that a node makes for one
key are versions of one dataset, so the execution's id, which TFX puts into an artifact's URI, is no
part of the name. Names and namespaces follow the specification's rules for file systems and object
stores.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from penstock.metadata.reading import DIGEST_PROPERTY

# {root}/{node}/{key}/{execution id}, and below it a file for artifacts that are a value.
_MADE_BY_EXECUTION = re.compile(r"^(?P<name>.*/[^/]+/[^/]+)/(?P<execution>\d+)(/value)?/?$")
_MODELS = ("Model", "ModelRun", "PushedModel")
_OBJECT_STORES = ("s3", "gs", "abfs", "abfss", "wasb", "wasbs")

# Parameters by which components are given data that no node of the pipeline made.
_FOLDER, _FOLDER_FINGERPRINT = "input_base", "input_fingerprint"


@dataclass(frozen=True)
class DatasetRecord:
    """A dataset as one event tells of it; `version` is a digest of its contents where known."""

    namespace: str
    name: str
    kind: str = "FILE"
    version: str = ""
    type_name: str = ""
    uri: str = ""
    artifact_id: int | None = None
    file_format: str = ""

    @property
    def storage_layer(self) -> str:
        """The kind of file system or object store."""
        return self.namespace.partition(":")[0]


def dataset_name(uri: str) -> tuple[str, str]:
    """Return the namespace and the name that the specification gives a path or URI."""
    parts = urlsplit(uri)
    if "://" not in uri or not parts.scheme:
        return "file", os.path.abspath(uri)
    if parts.scheme == "file":
        remote = parts.netloc not in ("", "localhost")
        return f"file://{parts.netloc}" if remote else "file", unquote(parts.path)
    # What stands before an @ could be a secret.
    host = parts.netloc.rpartition("@")[2] if parts.password else parts.netloc
    path = parts.path.lstrip("/") if parts.scheme in _OBJECT_STORES else parts.path
    return f"{parts.scheme}://{host}", path.rstrip("/") or "/"


def dataset_of(artifact: Any) -> DatasetRecord:
    """Return an artifact's dataset."""
    uri, version = artifact.uri, artifact.get_string_custom_property(DIGEST_PROPERTY)
    match = _MADE_BY_EXECUTION.match(uri)
    if match and _is_a_nodes(artifact):
        uri, version = match["name"], version or match["execution"]
    namespace, name = dataset_name(uri)
    return DatasetRecord(
        namespace,
        name,
        "MODEL" if artifact.type_name in _MODELS else "FILE",
        version,
        artifact.type_name,
        artifact.uri,
        artifact.id or None,
        artifact.get_string_custom_property("file_format"),
    )


def _is_a_nodes(artifact: Any) -> bool:
    external = "is_external"
    is_recorded = artifact.has_custom_property(external)
    return bool(is_recorded and artifact.get_int_custom_property(external) == 0)


def input_datasets(
    artifacts: Mapping[str, Iterable[Any]], parameters: Mapping[str, Any]
) -> list[DatasetRecord]:
    """Return what a node reads: artifacts, and the folder that an ExampleGen is given.

    A folder that is that of an artifact, as where one ExampleGen reads what a node before it has
    written, is told of as the artifact alone.
    """
    inputs = [a for key in sorted(artifacts) for a in artifacts[key]]
    datasets = [dataset_of(a) for a in inputs]
    folder = parameters.get(_FOLDER)
    if isinstance(folder, str) and folder and not any(_is_below(folder, a.uri) for a in inputs):
        namespace, name = dataset_name(folder)
        version = str(parameters.get(_FOLDER_FINGERPRINT) or "")
        datasets.append(DatasetRecord(namespace, name, version=version, uri=folder))
    return _distinct(datasets)


def _is_below(folder: str, uri: str) -> bool:
    namespace, name = dataset_name(folder)
    other_namespace, other = dataset_name(uri)
    return namespace == other_namespace and f"{name}/".startswith(f"{other.rstrip('/')}/")


def output_datasets(artifacts: Mapping[str, Iterable[Any]]) -> list[DatasetRecord]:
    """Return what a node has written: artifacts, and the folder that a Pusher has pushed to."""
    datasets = []
    for key in sorted(artifacts):
        for artifact in artifacts[key]:
            datasets.append(dataset_of(artifact))
            if artifact.get_int_custom_property("pushed") == 1:
                destination = artifact.get_string_custom_property("pushed_destination")
                base, _, version = destination.rstrip("/").rpartition("/")
                namespace, name = dataset_name(base)
                datasets.append(DatasetRecord(namespace, name, "MODEL", version, uri=destination))
    return _distinct(datasets)


def _distinct(records: Iterable[DatasetRecord]) -> list[DatasetRecord]:
    return list(dict.fromkeys(records))
