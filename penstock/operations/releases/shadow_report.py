"""The report on a shadow: a page and its numbers in a folder, which the store knows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from penstock import _tfx
from penstock.authoring.artifacts import ShadowReport
from penstock.metadata.protocol import Store
from penstock.operations.releases.gates import State
from penstock.operations.releases.records import Release, Step
from penstock.report import shadows
from penstock.safety.opening import make_folder_below, replace_below
from penstock.serving.evidence import Evidence
from penstock.serving.routes import SHADOW

PAGE = "report.html"
NUMBERS = "report.json"


def publish(store: Store, release: Release, step: Step, root: str) -> dict[str, Any]:
    """Write the report of a release's shadow, and let the store know it; once, if asked twice.

    Returns its verdict, its address, and the id of the artifact.
    """
    gates: list[Mapping[str, str]] = list(step.intent["gates"])
    evidence = Evidence.from_json(step.intent["evidence"])
    verdict = verdict_of(gates)
    folder = Path(root, "releases", release.deployment, str(release.number))
    title = f"{release.model}@{release.candidate} beside {release.model}@{release.production}"
    content = shadows.page(title, verdict, gates, evidence, SHADOW, datetime.now())
    numbers = {
        "model": release.model,
        "candidate": release.candidate,
        "production": release.production,
        "verdict": verdict,
        "gates": gates,
        "evidence": step.intent["evidence"],
    }
    # Whoever reads meanwhile finds what was there before.
    make_folder_below(root, str(folder))
    replace_below(root, str(folder / PAGE), content)
    replace_below(root, str(folder / NUMBERS), json.dumps(numbers, indent=2))
    artifact_id = _record(store, release, verdict, str(folder))
    return {"verdict": verdict, "uri": str(folder), "artifact_id": artifact_id}


def verdict_of(gates: list[Mapping[str, str]]) -> str:
    """Return the worst of what gates say."""
    states = {gate["state"] for gate in gates}
    for state in (State.ALARM, State.UNKNOWN):
        if state.value in states:
            return state.value
    return State.HOLDS.value if states else State.UNKNOWN.value


def _record(store: Store, release: Release, verdict: str, uri: str) -> int:
    name = f"{release.name}/shadow"
    known = store.get_artifacts_by_uri(uri)
    if known:
        return int(known[0].id)
    artifact_type = _tfx.metadata_store_pb2.ArtifactType(name=ShadowReport.TYPE_NAME)
    artifact = _tfx.metadata_store_pb2.Artifact(
        type_id=store.put_artifact_type(artifact_type, can_add_fields=True),
        uri=uri,
        state=_tfx.metadata_store_pb2.Artifact.LIVE,
    )
    texts = {
        "name": name,
        "verdict": verdict,
        "deployment": release.deployment,
        "model": release.model,
    }
    for key, text in texts.items():
        artifact.custom_properties[key].string_value = text
    for key, number in {
        "release": release.number,
        "candidate": release.candidate,
        "production": release.production or 0,
    }.items():
        artifact.custom_properties[key].int_value = number
    [artifact_id] = store.put_artifacts([artifact])
    return int(artifact_id)
