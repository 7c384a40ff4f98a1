"""Artifacts that are needed for their own sake: served, and blessed models."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from penstock.metadata.garbage.paths import may_be_there
from penstock.metadata.reading import ArtifactRecord

PUSHED, BLESSING = "PushedModel", "ModelBlessing"


def served(artifacts: Iterable[ArtifactRecord]) -> frozenset[int]:
    """Return pushed models that are where they were pushed to, and the newest of each place."""
    found: set[int] = set()
    newest: dict[str, int] = {}
    for artifact in _by_id(artifacts):
        if artifact.type_name != PUSHED or artifact.properties.get("pushed") != 1:
            continue
        destination = str(artifact.properties.get("pushed_destination", ""))
        newest[os.path.dirname(destination.rstrip("/"))] = artifact.artifact_id
        # Whether a remote or a relative destination is still there cannot be known here.
        if not os.path.isabs(destination) or may_be_there(destination):
            found.add(artifact.artifact_id)
    return frozenset(found | {*newest.values()})


def is_blessing(artifact: ArtifactRecord) -> bool:
    """Whether an artifact says that a model is good."""
    if artifact.type_name != BLESSING:
        return False
    says = artifact.properties.get("blessed")
    return says == 1 or (says is None and may_be_there(os.path.join(artifact.uri, "BLESSED")))


def blessed(
    artifacts: Iterable[ArtifactRecord],
    archived: frozenset[int],
    pipelines_of: Callable[[int], set[str]],
) -> frozenset[int]:
    """Return blessings and their models, but for what was registered and then archived.

    The newest of a pipeline stays all the same: it is what LatestBlessedModel finds.
    """
    judgements: dict[int, list[int]] = {}
    newest: dict[str, int] = {}
    for artifact in filter(is_blessing, _by_id(artifacts)):
        model = artifact.properties.get("current_model_id")
        ids = [artifact.artifact_id, *([int(model)] if model else [])]
        judgements[artifact.artifact_id] = ids
        newest |= dict.fromkeys(pipelines_of(artifact.artifact_id), artifact.artifact_id)
    return frozenset(
        each
        for artifact_id, ids in judgements.items()
        if artifact_id in newest.values() or archived.isdisjoint(ids)
        for each in ids
    )


def _by_id(artifacts: Iterable[ArtifactRecord]) -> list[ArtifactRecord]:
    return sorted(artifacts, key=lambda artifact: artifact.artifact_id)
