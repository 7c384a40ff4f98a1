"""The outputs of a node in a pod: where they are written, and what the launcher is told of them.

The launcher uploads what stands at an output's local path to the output's URI, which lies below
the folder of the run: an output cannot be moved to the address of an earlier run's artifact. So an
output that comes from our cache, or that a resolver looked up, is nothing at its own URI, and its
metadata refers to the artifacts that it stands for (see `inputs`).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from typing import Any

from penstock import _tfx
from penstock.data.files import remote
from penstock.execution.contents import visible_properties
from penstock.execution.staging import StagedOutput
from penstock.metadata.reading import plain_value
from penstock.runners.kubeflow.contract.task import PodOutput
from penstock.runners.kubeflow.pod.inputs import NOT_MADE, REFERENCE, reference
from penstock.runners.kubeflow.pod.launcher import ExecutorInput, LaunchedArtifact, as_metadata

# Object stores have no empty folders: this file keeps one. It has no content, so that it holds no
# records for whoever takes it for a data file.
KEPT_FOLDER = ".empty_folder"

_LONGEST_SHOWN = 1000


def staged_outputs(
    outputs: Iterable[PodOutput], launched: Mapping[str, LaunchedArtifact]
) -> dict[str, StagedOutput]:
    """Return by the node's keys where outputs are written, and which URIs they will have."""
    return {
        output.key: StagedOutput(artifact.uri, artifact.path, carried=True)
        for output in outputs
        if (artifact := launched.get(output.name)) is not None
    }


def bring(outputs: Iterable[PodOutput], launched: Mapping[str, LaunchedArtifact]) -> None:
    """Copy outputs to their URIs as the launcher does, and the empty folders in them.

    Raises:
      StorageError: the store cannot be reached, or does not let us write there.
    """
    with tempfile.NamedTemporaryFile() as empty:
        for output in outputs:
            artifact = launched.get(output.name)
            if artifact is None or not remote.is_known(artifact.uri):
                continue
            for folder, folders, files in os.walk(artifact.path):
                uri = remote.join(artifact.uri, *_names_below(artifact.path, folder))
                for file in files:
                    remote.upload(os.path.join(folder, file), remote.join(uri, file))
                if not folders and not files:
                    remote.upload(empty.name, remote.join(uri, KEPT_FOLDER))


def _names_below(path: str, folder: str) -> list[str]:
    below = os.path.relpath(folder, path)
    return [] if below == os.curdir else below.split(os.sep)


def reported(
    outputs: Iterable[PodOutput],
    executor_input: ExecutorInput,
    published: _tfx.Artifacts,
    reason: str = "",
    *,
    worked: bool = True,
) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return URI and metadata of each output for the launcher; `published` are artifacts.

    Where nothing has `worked` nothing stands at the outputs' local paths: an earlier try of the pod
    may have brought it to their URIs, from where it was taken.
    Every output has something at its local path afterwards, as newer backends ask for.
    """
    reports: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for output in outputs:
        if output.name not in executor_input.outputs:
            continue
        launched = executor_input.outputs[output.name]
        artifacts = published.get(output.key, [])
        os.makedirs(launched.path, exist_ok=True)
        if worked and any(a.uri == launched.uri for a in artifacts):
            keep_empty_folders(launched.path)
        metadata: dict[str, Any] = {REFERENCE: reference(artifacts)}
        if reason:
            metadata[NOT_MADE] = reason
        if len(artifacts) == 1:
            metadata = {**_shown_properties(artifacts[0]), **metadata}
        reports[output.name] = (launched.uri, metadata)
    return reports


def keep_empty_folders(path: str) -> None:
    """Put an empty file into every folder that has nothing in it."""
    for folder, folders, files in os.walk(path):
        if not folders and not files:
            with open(os.path.join(folder, KEPT_FOLDER), "wb"):
                pass


def _shown_properties(artifact: Any) -> dict[str, Any]:
    """Return an artifact's properties for readers of Kubeflow's pages."""
    stored = artifact.mlmd_artifact
    as_text = as_metadata(
        {
            name: plain_value(source[name])
            for source in (stored.properties, stored.custom_properties)
            for name in source
            if name in visible_properties(stored)
        }
    )
    return {k: v for k, v in as_text.items() if not isinstance(v, str) or len(v) <= _LONGEST_SHOWN}
