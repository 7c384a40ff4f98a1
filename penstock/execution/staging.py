"""Outputs are written in a staging folder and published by one rename.

A node's output has the address `{root}/{node}/{key}/{execution}` from the start in ML Metadata's
eyes; on disk it appears there only when the node's work is complete.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from penstock import _tfx
from penstock.metadata import layout
from penstock.safety import containment, presence


@dataclass(frozen=True)
class StagedOutput:
    """A folder of one output: where it is written, and where it will be.

    One that is `carried` is brought to its place by somebody else, who also made the place.
    """

    final: str
    staging: str
    carried: bool = False

    def to_final(self, uri: str) -> str:
        """Return where what is written at `uri` will be."""
        return _move_prefix(uri, self.staging, self.final)


def stage(
    outputs: _tfx.Artifacts,
    node_folder: str,
    execution_id: int,
    folders: Mapping[str, StagedOutput] | None = None,
) -> list[StagedOutput]:
    """Redirect artifacts that will stand in the node's own folder to a new staging folder.

    `folders` are other folders for some keys. Artifacts elsewhere, as those that an executor or
    driver places itself, stay where they are.
    """
    base = layout.staging_folder(node_folder, execution_id)
    containment.inside(os.path.dirname(node_folder), base)
    shutil.rmtree(base, ignore_errors=True)
    staged = []
    for key, artifacts in outputs.items():
        own = os.path.join(node_folder, key, str(execution_id))
        inside = [a for a in artifacts if _is_inside(a.uri, own)]
        if not inside:
            continue
        folder = (folders or {}).get(key) or StagedOutput(own, os.path.join(base, key))
        for artifact in inside:
            artifact.uri = _move_prefix(artifact.uri, own, folder.staging)
        staged.append(folder)
    return staged


def make_folders(outputs: _tfx.Artifacts) -> None:
    """Make the folder of every artifact; for a value artifact, the one that holds its file."""
    for artifacts in outputs.values():
        for artifact in artifacts:
            is_file = isinstance(artifact, _tfx.value_artifact.ValueArtifact)
            os.makedirs(os.path.dirname(artifact.uri) if is_file else artifact.uri, exist_ok=True)


def publish(folder: StagedOutput) -> None:
    """Make a staged output visible at its address.

    Raises:
      StorageError: it cannot be told whether there is one.
    """
    if folder.carried or not presence.is_there(folder.staging):
        return
    os.makedirs(os.path.dirname(folder.final), exist_ok=True)
    os.rename(folder.staging, folder.final)


def discard(node_folder: str, execution_id: int) -> None:
    """Remove all that an execution has written but not published."""
    for folder in layout.working_folders(node_folder, execution_id):
        if containment.is_inside(os.path.dirname(node_folder), folder):
            shutil.rmtree(folder, ignore_errors=True)


def discard_carried(staged: Iterable[StagedOutput]) -> None:
    """Remove what was written for somebody else to carry."""
    for folder in staged:
        if folder.carried:
            shutil.rmtree(folder.staging, ignore_errors=True)


def withdraw(
    root: str, run_id: str, node_id: str, execution_id: int, *, published: bool = True
) -> None:
    """Remove what an execution has staged and, if `published`, what stands in its place already.

    The store's word is not enough to remove anything: the root must have the run's own folder.
    """
    if not (containment.is_name(run_id) and containment.is_name(node_id)):
        return
    node_folder = os.path.join(root, node_id)
    own = os.path.isdir(layout.run_folder(root, run_id))
    if not own or not containment.is_inside(root, node_folder):
        return
    if published:
        take_back(node_folder, execution_id)
    else:
        discard(node_folder, execution_id)


def take_back(node_folder: str, execution_id: int) -> None:
    """Remove all that an execution has written, also what stands in its place already."""
    for key in os.listdir(node_folder) if os.path.isdir(node_folder) else ():
        published = os.path.join(node_folder, key, str(execution_id))
        link = os.path.islink(published) or not containment.is_inside(node_folder, published)
        if key != layout.SYSTEM and os.path.isdir(published) and not link:
            shutil.rmtree(published, ignore_errors=True)
    discard(node_folder, execution_id)


def _is_inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + os.sep)


def _move_prefix(path: str, source: str, target: str) -> str:
    return target + path[len(source) :] if _is_inside(path, source) else path
