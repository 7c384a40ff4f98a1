"""What a store says of artifacts, executions and runs, as far as it matters for removing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from penstock import _tfx
from penstock.ir.reading import RUN_CONTEXT
from penstock.metadata import attempts
from penstock.metadata.garbage import needed
from penstock.metadata.graph import claiming
from penstock.metadata.protocol import Store
from penstock.metadata.reading import (
    NODE_CONTEXT,
    PIPELINE_CONTEXT,
    ArtifactRecord,
    Link,
    Place,
    all_artifacts,
    all_contexts,
    all_executions,
    execution_ids,
    links_of_executions,
    places_of,
)
from penstock.metadata.registered import archived_artifacts, needed_artifacts, read_models
from penstock.metadata.run_requests import STATE_PROPERTY, run_state

FINAL_STATES = ("done", "failed", "canceled", "abandoned")
# A run whose state nobody recorded may be between two of its nodes.
MAY_STILL_RUN = timedelta(hours=1)
# What executions have left beside artifacts is not looked at before.
LEFTOVER_AGE = timedelta(days=1)

_EXECUTION = _tfx.metadata_store_pb2.Execution
# What is looked at of artifacts' properties.
_PROPERTIES = ("pushed", "pushed_destination", "blessed", "current_model_id", "is_external")
_NO_PROPERTIES: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Execution:
    """Of an execution of ML Metadata, what is looked at here: stores have many of them."""

    last_known_state: int
    create_time_since_epoch: int
    last_update_time_since_epoch: int

    @property
    def changed(self) -> datetime:
        """When it was changed last."""
        return datetime.fromtimestamp(self.last_update_time_since_epoch / 1000)

    @property
    def is_open(self) -> bool:
        """Whether it has not come to its end, as far as the store knows."""
        return self.last_known_state in (_EXECUTION.NEW, _EXECUTION.RUNNING)


@dataclass(frozen=True, slots=True)
class Run:
    """The same of a run's context; `state` is None where nobody has recorded it."""

    context_id: int
    name: str
    state: str | None
    create_time_since_epoch: int


@dataclass(frozen=True)
class Snapshot:
    """What a store says about artifacts and executions, as far as it matters here.

    `nodes` are names of pipelines and nodes; `served` and `blessed` are needed as `registered` is.
    """

    artifacts: Mapping[int, ArtifactRecord]
    executions: Mapping[int, Execution]
    places: Mapping[int, Place]
    links: tuple[Link, ...]
    nodes: frozenset[tuple[str, str]]
    run_states: Mapping[str, str]
    held_runs: frozenset[str]
    lone_runs: tuple[str, ...]
    served: frozenset[int]
    registered: frozenset[int]
    blessed: frozenset[int]


def read_snapshot(store: Store, now: datetime | None = None) -> Snapshot:
    """Read a store as a whole."""
    executions = {e.id: reduced_execution(e) for e in all_executions(store)}
    runs = [reduced_run(context) for context in all_contexts(store, RUN_CONTEXT)]
    places = _places(store, executions, runs)
    held = attempts.read_recent(store).held_runs()
    models = read_models(store, strict=True)
    artifacts = {a.artifact_id: reduced_artifact(a) for a in all_artifacts(store)}
    links = tuple(links_of_executions(store, executions))
    makers = makers_of(links, executions)
    return Snapshot(
        artifacts,
        executions,
        places,
        links,
        frozenset((p.pipeline_name, p.node_id) for p in places.values()),
        {run.name: run.state for run in runs if run.state is not None},
        held,
        lone_runs(runs, {p.run_id for p in places.values()}, held, now or datetime.now()),
        needed.served(artifacts.values()),
        needed_artifacts(models),
        needed.blessed(
            artifacts.values(),
            archived_artifacts(models),
            lambda artifact_id: pipelines_of(makers.get(artifact_id, ()), places),
        ),
    )


def reduced_execution(execution: Any) -> Execution:
    """Return what is looked at of ML Metadata's own execution."""
    return Execution(
        execution.last_known_state,
        execution.create_time_since_epoch,
        execution.last_update_time_since_epoch,
    )


def reduced_run(context: Any) -> Run:
    """Return what is looked at of the context of a run."""
    state = run_state(context) if STATE_PROPERTY in context.custom_properties else None
    return Run(context.id, context.name, state, context.create_time_since_epoch)


def reduced_artifact(artifact: ArtifactRecord) -> ArtifactRecord:
    """Return an artifact with the properties that are looked at."""
    properties = {n: artifact.properties[n] for n in _PROPERTIES if n in artifact.properties}
    return replace(artifact, properties=properties or _NO_PROPERTIES)


def makers_of(links: Iterable[Link], executions: Mapping[int, Execution]) -> dict[int, list[int]]:
    """Return the executions that made each artifact; not those that found it in the cache."""
    claims: dict[int, list[Link]] = {}
    for link in links:
        if link.is_output:
            claims.setdefault(link.artifact_id, []).append(link)
    makers = {}
    for artifact_id, of_artifact in claims.items():
        claimed = claiming(of_artifact)
        uncached = [e for e in claimed if executions[e].last_known_state != _EXECUTION.CACHED]
        makers[artifact_id] = uncached or claimed
    return makers


def went_well(state: str, executions: Iterable[Execution]) -> bool:
    """Whether a run has done what it was to do; `state` is "" where nobody has recorded it."""
    bad = (_EXECUTION.FAILED, _EXECUTION.CANCELED)
    return state == "done" or (not state and not any(e.last_known_state in bad for e in executions))


def pipelines_of(executions: Iterable[int], places: Mapping[int, Place]) -> set[str]:
    """Return the pipelines that executions belong to."""
    return {
        places[execution_id].pipeline_name for execution_id in executions if execution_id in places
    }


def lone_runs(
    runs: Iterable[Run], busy: Collection[str], held: Collection[str], now: datetime
) -> tuple[str, ...]:
    """Return the runs that may have begun and have no executions yet; those in `busy` have some."""
    soon = now - MAY_STILL_RUN
    return tuple(
        run.name
        for run in runs
        if run.name not in busy
        and (run.state or "") not in FINAL_STATES
        and (run.name in held or datetime.fromtimestamp(run.create_time_since_epoch / 1000) > soon)
    )


def _places(
    store: Store, executions: Mapping[int, Execution], runs: Iterable[Run]
) -> dict[int, Place]:
    """Return where each execution belongs.

    ML Metadata finds the contexts of an execution by reading through those of all executions, but
    the executions of a context at once. So the contexts are asked.
    """
    pipelines = [context.name for context in all_contexts(store, PIPELINE_CONTEXT)]
    nodes: dict[int, Place] = {}
    for context in all_contexts(store, NODE_CONTEXT):
        owners = [name for name in pipelines if context.name.startswith(f"{name}.")]
        # A name with several points may be that of nodes of several pipelines.
        if len(owners) == 1:
            place = Place(owners[0], "", context.name.removeprefix(f"{owners[0]}."))
            nodes.update(dict.fromkeys(execution_ids(store, context.id), place))
    places: dict[int, Place] = {}
    for run in runs:
        for execution in all_executions(store, run.context_id):
            if execution.id in nodes and execution.id in executions:
                node_place = nodes[execution.id]
                places[execution.id] = Place(node_place.pipeline_name, run.name, node_place.node_id)
    places.update(places_of(store, executions.keys() - places.keys()))
    return places
