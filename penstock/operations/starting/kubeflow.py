"""Runs on Kubeflow Pipelines: the token is a submission's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from penstock import ir
from penstock.errors import ConfigError
from penstock.operations.starting.protocol import Request, RunState, Started
from penstock.project.config import Config
from penstock.project.kubeflow import KubeflowOptions
from penstock.project.profiles import Profile
from penstock.runners.kubeflow.contract import documents as contract
from penstock.runners.kubeflow.server import connecting, submission, versions
from penstock.runners.kubeflow.server.operations import find_run, newest_runs, state_of, terminate
from penstock.runners.kubeflow.server.service import Service

WHERE = "kubeflow"
DEFAULT_EXPERIMENT = "Default"

_STATES = {
    "SUCCEEDED": RunState.SUCCEEDED,
    "SKIPPED": RunState.SUCCEEDED,
    "FAILED": RunState.FAILED,
    "CANCELED": RunState.CANCELED,
    "PENDING": RunState.RUNNING,
    "RUNNING": RunState.RUNNING,
    "PAUSED": RunState.RUNNING,
    "CANCELING": RunState.RUNNING,
}


def options_of(profile: Profile) -> KubeflowOptions:
    """Return a profile's table `kubeflow`.

    Raises:
      ConfigError: it has none.
    """
    if profile.kubeflow is None:
        raise ConfigError(f"profile {profile.name!r} has no table `kubeflow`")
    return profile.kubeflow


def read(profile: Profile, token: str) -> Started | None:
    """Return how the run of a submission stands, None if the server has none."""
    options = options_of(profile)
    service = connecting.connect_to(options)
    experiment = versions.find_experiment(service, options.experiment or DEFAULT_EXPERIMENT)
    if experiment is None:
        return None
    runs = submission.runs_of(service, str(experiment["experiment_id"]), token)
    # Of several one is kept; the others are being canceled.
    kept = [run for run in runs if state_of(run) not in ("CANCELING", "CANCELED")] or runs
    return _started(service, find_run(service, kept[0]["run_id"])) if kept else None


def start(config: Config, definition: Any, request: Request, token: str) -> Started:
    """Compile a pipeline, upload it as a version, and start a run of that.

    Raises:
      UnansweredError: nobody can say whether the run was started.
      PenstockError: it was not.
    """
    from penstock.runners.kubeflow.compile.compiling import compile_for_kubeflow

    profile = config.profile(request.profile).with_image(request.image)
    options = options_of(profile)
    whole = contract.read(compile_for_kubeflow(definition, profile, config.folder).to_yaml())
    values = contract.typed_values(whole, request.parameters)
    service = connecting.connect_to(options)
    if request.without_deployment:
        documents = _without_deployment(config, definition, profile)
        values = {key: value for key, value in values.items() if key in documents.parameters}
        # It is none of the pipeline's versions, of which each may be scheduled.
        source: dict[str, Any] = {"pipeline_spec": documents.as_value()}
    else:
        source = {"pipeline_version_reference": versions.upload(service, whole).reference()}
    experiment = options.experiment or DEFAULT_EXPERIMENT
    asked = submission.Request(
        source=source,
        parameters=values,
        experiment_id=versions.experiment_id(service, experiment),
        name=request.name or f"{whole.name} {token}",
        service_account=options.service_account,
        pipeline_root=whole.pipeline_root,
    )
    done = submission.submit(service, asked, token)
    address = service.page_of("runs", done.run_id)
    return Started(done.run_id, WHERE, RunState.RUNNING, address)


def _without_deployment(config: Config, definition: Any, profile: Profile) -> contract.Documents:
    from penstock.runners.kubeflow.compile.compiling import compile_for_kubeflow

    compiled = ir.compile_pipeline(definition, pipeline_root="", beam_args=profile.beam_args)
    reduced = ir.without_deployment(compiled)
    name, left = reduced.pipeline_info.id, ir.run_parameters(reduced)
    given = profile.parameters.get(name, {})
    kept = {name: {key: value for key, value in given.items() if key in left}}
    profile = replace(profile, parameters={**profile.parameters, **kept})
    return contract.read(compile_for_kubeflow(reduced, profile, config.folder).to_yaml())


def cancel(profile: Profile, token: str) -> None:
    """Ask the server to end the run of a submission, if it is under way."""
    started = read(profile, token)
    if started is not None and not started.state.final:
        terminate(connecting.connect_to(options_of(profile)), started.run_id)


@dataclass(frozen=True)
class EndedRun:
    """A run of the server's that has ended; `error` is what the server says of it."""

    run_id: str
    state: RunState
    ended: datetime
    parameters: Mapping[str, Any]
    error: str = ""


def ended_runs(profile: Profile, pipeline: str, most: int) -> list[EndedRun]:
    """Return the runs of a pipeline that have ended, of the newest of the server's."""
    service = connecting.connect_to(options_of(profile))
    found = versions.find_pipeline(service, pipeline)
    if found is None:
        return []
    return [
        EndedRun(
            run["run_id"],
            _STATES[state_of(run)],
            datetime.fromisoformat(run["finished_at"]),
            dict((run.get("runtime_config") or {}).get("parameters") or {}),
            _error_of(run),
        )
        for run in newest_runs(service, most)
        if _STATES.get(state_of(run), RunState.UNKNOWN).final
        and (run.get("pipeline_version_reference") or {}).get("pipeline_id") == found["pipeline_id"]
    ]


def _started(service: Service, run: Mapping[str, Any]) -> Started:
    return Started(
        run["run_id"],
        WHERE,
        _STATES.get(state_of(run), RunState.UNKNOWN),
        service.page_of("runs", run["run_id"]),
        error=_error_of(run),
    )


def _error_of(run: Mapping[str, Any]) -> str:
    error = run.get("error") or {}
    return str(error.get("message", "")) if isinstance(error, dict) else str(error)
