"""What a store knows of a model: what made it, and what was found of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from penstock.errors import DataError, MissingExtra, RegistryError
from penstock.execution import contents
from penstock.ir.reading import RUN_CONTEXT
from penstock.metadata.evaluations import metrics_of
from penstock.metadata.graph import Graph, read_ancestors, read_descendants
from penstock.metadata.protocol import Store
from penstock.metadata.reading import (
    ArtifactRecord,
    read_artifacts,
)
from penstock.metadata.run_requests import run_environment
from penstock.metadata.runs import RunRecord, find_run, made_in_run
from penstock.models.layout import serving_model
from penstock.models.loading import facts_of
from penstock.models.of_run import MODEL

_EVALUATION = "ModelEvaluation"
_JUDGEMENTS = {
    _EVALUATION: "evaluation",
    "ModelBlessing": "blessing",
    "InfraBlessing": "infra_blessing",
}
# How Evaluators and InfraValidators call the model that they judge.
_JUDGED = "model"
_BASELINE = "baseline_model"


def describe(
    store: Store, artifact_id: int, judgements: Mapping[str, int] = MappingProxyType({})
) -> dict[str, Any]:
    """Return what is registered of a Model artifact: its address, its digest and its facts.

    `judgements` are the ids of evaluations and blessings that count, by their types.

    Raises:
      RegistryError: there is no such artifact, it is no model, or its files are not there.
    """
    graph = read_ancestors(store, [artifact_id])
    model = graph.artifacts.get(artifact_id)
    if model is None:
        raise RegistryError(f"the store does not say what made the artifact {artifact_id}")
    if model.type_name != MODEL:
        raise RegistryError(f"artifact {artifact_id} is a {model.type_name}, and no Model")
    if model.state != "live":
        raise RegistryError(f"the model {artifact_id} is {model.state}", hint="Train it again.")
    return {
        "artifact_id": artifact_id,
        "uri": model.uri,
        "digest": _digest(model),
        "facts": {
            **_origin(store, graph, artifact_id),
            **_of_files(model),
            **_judgements(store, artifact_id, judgements),
        },
    }


def model_of_run(store: Store, run_id: str, node_id: str | None = None) -> int:
    """Return the id of the Model artifact that a run made, or took from the cache.

    Raises:
      RunError: there is no such run.
      RegistryError: it has made none, or several, and `node_id` does not say which.
    """
    run = find_run(store, run_id)
    made = [(a, maker) for a, maker in models_of_run(store, run) if node_id in (None, maker)]
    if len(made) != 1:
        makers = ", ".join(dict.fromkeys(maker for _, maker in made))
        what = f"{len(made)} models: by {makers}" if made else "no model"
        raise RegistryError(
            f"expected one model of run {run.run_id}, and it has made {what}",
            hint="Say which: --node NODE, or model_nodes of the environment."
            if made
            else f"See what became of its Trainer: penstock show {run.run_id}.",
        )
    return made[0][0].artifact_id


def models_of_run(store: Store, run: RunRecord) -> list[tuple[ArtifactRecord, str]]:
    """Return the Model artifacts that a run made, or took from the cache, each with its node."""
    made_by = made_in_run(store, run)
    return [
        (artifact, made_by[artifact_id])
        for artifact_id, artifact in sorted(read_artifacts(store, made_by).items())
        if artifact.type_name == MODEL
    ]


def _digest(model: ArtifactRecord) -> str:
    path = contents.local_path(model.uri)
    if path is None:
        return model.digest
    if not os.path.exists(path):
        raise RegistryError(f"the files of the model are gone: {path}")
    digest = contents.measure(path).digest
    if model.digest and digest != model.digest:
        raise RegistryError(
            f"the files of the model are not those that its run made: {path} was changed",
            hint="Train it again; what was altered is not registered.",
        )
    return digest


def _origin(store: Store, graph: Graph, artifact_id: int) -> dict[str, Any]:
    """Return the run, data, schemas, code and parameters that a model was made from."""
    maker = graph.maker(artifact_id)
    sources = list(graph.nearest_first(artifact_id))
    facts: dict[str, Any] = {
        "data": [
            _data(graph, a) for a in sources if a.type_name == "Examples" and graph.is_ingested(a)
        ],
        "schemas": [_named(graph, a) for a in sources if a.type_name == "Schema"],
        "code": _code(graph, (a.artifact_id for a in sources)),
    }
    if maker is None or not maker.run_id:
        return facts
    run = find_run(store, maker.run_id)
    context = store.get_context_by_type_and_name(RUN_CONTEXT, maker.run_id)
    return {
        **facts,
        "run_id": maker.run_id,
        "pipeline": maker.pipeline_name,
        "node_id": maker.node.node_id,
        "image": maker.node.image,
        "parameters": dict(run.parameters),
        "environment": run_environment(context) if context is not None else {},
    }


def _of_files(model: ArtifactRecord) -> dict[str, Any]:
    """Return the flavor and the signature of a model, as far as its files tell."""
    path = contents.local_path(model.uri)
    if path is None:
        return {}
    try:
        facts = facts_of(serving_model(path))
    except (DataError, MissingExtra):
        return {}
    signature = facts.signature and facts.signature.to_json()
    return {"flavor": facts.flavor, "signature": signature, "packages": dict(facts.packages)}


def _judgements(store: Store, artifact_id: int, chosen: Mapping[str, int]) -> dict[str, Any]:
    """Return the evaluation and blessings of a model: those that were chosen, or the newest."""
    graph = read_descendants(store, [artifact_id])
    about = sorted(
        execution_id
        for execution_id, links in graph.inputs.items()
        if any(link.artifact_id == artifact_id and link.key == _JUDGED for link in links)
    )
    newest = {
        graph.artifacts[link.artifact_id].type_name: link.artifact_id
        for execution_id in about
        for link in graph.outputs.get(execution_id, ())
    }
    ids = {**newest, **chosen}
    judging = read_artifacts(store, [ids[kind] for kind in _JUDGEMENTS if kind in ids])
    found = {_JUDGEMENTS[a.type_name]: _judgement(a) for a in judging.values()}
    if "evaluation" in found:
        found["evaluation"]["baseline_id"] = _baseline_of(graph, found["evaluation"]["artifact_id"])
    return found


def _judgement(artifact: ArtifactRecord) -> dict[str, Any]:
    if artifact.type_name == _EVALUATION:
        metrics = [asdict(metric) for metric in metrics_of(artifact)]
        return {**_place(artifact), "metrics": metrics}
    return {**_place(artifact), "blessed": _blessed(artifact)}


def _baseline_of(graph: Graph, evaluation_id: int) -> int | None:
    """Return the model that was the baseline of an evaluation, which has its metrics too."""
    makers = [
        execution_id
        for execution_id, links in graph.outputs.items()
        if any(link.artifact_id == evaluation_id for link in links)
    ]
    baselines = (
        link.artifact_id
        for maker in makers
        for link in graph.inputs.get(maker, ())
        if link.key == _BASELINE
    )
    return next(baselines, None)


def _blessed(blessing: ArtifactRecord) -> bool | None:
    blessed = blessing.properties.get("blessed")
    return None if blessed is None else blessed == 1


def _place(artifact: ArtifactRecord) -> dict[str, Any]:
    return {"artifact_id": artifact.artifact_id, "uri": artifact.uri}


def _named(graph: Graph, artifact: ArtifactRecord) -> dict[str, Any]:
    maker = graph.maker(artifact.artifact_id)
    return {
        **_place(artifact),
        "digest": artifact.digest,
        "node_id": maker.node.node_id if maker else "",
    }


def _data(graph: Graph, examples: ArtifactRecord) -> dict[str, Any]:
    wanted = ("span", "version", "split_names", "input_fingerprint")
    known = {key: examples.properties[key] for key in wanted if key in examples.properties}
    return {**_named(graph, examples), **known}


def _code(graph: Graph, artifact_ids: Iterable[int]) -> dict[str, dict[str, str]]:
    """Return the digests of the code of the nodes that made some artifacts, by node."""
    makers = {a: graph.maker(a) for a in artifact_ids}
    return {
        maker.node.node_id: dict(maker.node.code)
        for maker in makers.values()
        if maker is not None and maker.node.code
    }
