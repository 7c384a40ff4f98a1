"""How runs on Kubeflow Pipelines have ended, of which their server alone knows for sure."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.operations.alerts.outcomes import CANCELED, FAILED, SUCCEEDED, Outcome
from penstock.operations.starting.kubeflow import ended_runs
from penstock.operations.starting.protocol import RunState
from penstock.project.profiles import Profile

_NEWEST_RUNS = 100
_STATES = {
    RunState.SUCCEEDED: SUCCEEDED,
    RunState.FAILED: FAILED,
    RunState.CANCELED: CANCELED,
}


def outcomes_on(profile: Profile, pipelines: Iterable[str]) -> dict[str, list[Outcome]]:
    """Return how the newest runs of pipelines have ended on a profile's server.

    Raises:
      ServiceError: the server cannot be asked.
    """
    return {
        pipeline: [
            Outcome(run.run_id, _STATES[run.state], run.ended, {"": run.error} if run.error else {})
            for run in ended_runs(profile, pipeline, _NEWEST_RUNS)
            if run.state in _STATES
        ]
        for pipeline in dict.fromkeys(pipelines)
    }
