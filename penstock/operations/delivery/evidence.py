"""What is found of a model before it is decided whether it may be promoted."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from typing import Any

from penstock.data.files import remote
from penstock.data.results.evaluation import SliceMetric, summarize
from penstock.errors import DataError, PenstockError, StorageError
from penstock.execution import contents
from penstock.metadata.protocol import Store
from penstock.metadata.registered import Version
from penstock.metadata.store import artifacts_by_id
from penstock.models.checking import fresh_process
from penstock.models.layout import serving_model
from penstock.models.loading import trusted_code
from penstock.operations.delivery.gates import Judged

_ASK_SECONDS = 300.0
_BASELINE, _CANDIDATE = "baseline", "candidate"


def judged_artifact(
    store: Store, artifact_id: int, facts: Mapping[str, Any], *, load: bool
) -> Judged:
    """Return what is found of a model that is not registered yet; `load` sees that it answers."""
    infra = (facts.get("infra_blessing") or {}).get("blessed")
    if infra is None:
        answer = _ask(store, artifact_id) if load else None
    else:
        answer = "" if infra else "its InfraValidator did not bless it"
    return Judged(
        "the new model",
        (facts.get("blessing") or {}).get("blessed"),
        answer,
        facts.get("signature"),
        _metrics(facts, _CANDIDATE),
        _data(facts),
    )


def judged_version(version: Version, beside: Mapping[str, Any]) -> Judged:
    """Return what is known of a version, beside the facts of the model that it is compared with.

    Where the new model's Evaluator had this very version as its baseline, both were evaluated on
    the same rows, and those metrics count.
    """
    baseline = (beside.get("evaluation") or {}).get("baseline_id")
    if baseline == version.artifact_id:
        metrics, data = _metrics(beside, _BASELINE), _data(beside)
    else:
        metrics, data = _metrics(version.facts, _CANDIDATE), _data(version.facts)
    return Judged(
        version.name,
        version.is_blessed,
        None,
        version.facts.get("signature"),
        metrics,
        data,
    )


def _metrics(facts: Mapping[str, Any], model: str) -> tuple[SliceMetric, ...]:
    """Return the metrics of one of the models of an evaluation, as far as its files are there."""
    uri = (facts.get("evaluation") or {}).get("uri", "")
    if not uri:
        return ()
    try:
        if not remote.is_remote(uri):
            return _of_model(summarize(contents.local_path(uri) or uri), model)
        with tempfile.TemporaryDirectory() as folder:
            return _of_model(
                summarize(remote.fetch(uri, os.path.join(folder, "evaluation"))), model
            )
    except (DataError, StorageError):
        return ()


def _of_model(metrics: Iterable[SliceMetric], model: str) -> tuple[SliceMetric, ...]:
    wanted = ("", _CANDIDATE) if model == _CANDIDATE else (model,)
    return tuple(m for m in metrics if m.model in wanted and not m.metric.endswith("_diff"))


def _data(facts: Mapping[str, Any]) -> str:
    return " ".join(sorted(data["digest"] for data in facts.get("data", ())))


def _ask(store: Store, artifact_id: int) -> str:
    """Return why a model does not load and answer in a fresh process, "" if it does."""
    [artifact] = artifacts_by_id(store, [artifact_id])
    path = contents.local_path(artifact.uri)
    try:
        with tempfile.TemporaryDirectory() as folder, fresh_process() as process:
            if path is None:
                path = remote.fetch(artifact.uri, os.path.join(folder, "model"))
            process.ask(
                serving_model(path), trusted=trusted_code(artifact), timeout_seconds=_ASK_SECONDS
            )
    except PenstockError as error:
        return str(error)
    return ""
