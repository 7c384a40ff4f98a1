"""Starting a run once, however often it takes to hear of it.

The server starts a run for each request that it gets, and has no key by which it would know a
repetition. So each submission has a token, which stands in the description of its run, and

- before a run is created, the runs of the token are looked for: one that is there is the answer;
- the request is sent again only if it was certainly never sent: the server was not reached;
- when nobody can say whether it took effect, the token is looked for until it is found or
  patience ends; then the error says so, and the same submission can be asked for again;
- when there are several runs of the token, because something on the way has delivered the request
  twice, all but the oldest are canceled at once.

What remains impossible: knowing that a request which got no answer will not arrive later. Whoever
then asks for the same submission again cancels one of the two, but both have begun. Giving a run
its id would not help: the server starts the work before it notices that the id is taken.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.errors import ParameterError, ServiceError, UnansweredError
from penstock.project.kubernetes import check_no_braces
from penstock.runners.kubeflow.server.operations import FINAL, state_of, terminate
from penstock.runners.kubeflow.server.service import Service
from penstock.runners.kubeflow.server.versions import equals, runtime_config

_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{3,99}")


@dataclass(frozen=True)
class Request:
    """What run is to be started: `source` is a pipeline's version, or a specification."""

    source: Mapping[str, Any]
    parameters: Mapping[str, Any]
    experiment_id: str
    name: str
    service_account: str = ""
    pipeline_root: str = ""

    def __post_init__(self) -> None:
        check_no_braces(self.name, "the name of the run")
        check_no_braces(self.pipeline_root, "pipeline_root")

    def body(self, token: str) -> dict[str, Any]:
        """Return what the server is sent."""
        account = {"service_account": self.service_account} if self.service_account else {}
        return {
            "display_name": self.name,
            "description": description(token),
            "experiment_id": self.experiment_id,
            "runtime_config": runtime_config(self.parameters, self.pipeline_root),
            **self.source,
            **account,
        }


@dataclass(frozen=True)
class Submission:
    """A run that was started, or `found`; `canceled` are its twins, which should not be."""

    run_id: str
    token: str
    found: bool = False
    canceled: tuple[str, ...] = ()


def new_token() -> str:
    """Return a token for a new submission."""
    return secrets.token_hex(6)


def description(token: str) -> str:
    """Return the description of a submission's run."""
    return f"penstock submission {token}"


def submit(service: Service, request: Request, token: str) -> Submission:
    """Start a run, or find the one that this submission has started already.

    Raises:
      UnansweredError: nobody can say whether the run was started.
      ServiceError: it was not.
      ParameterError: the token is none, or belongs to a run of something else.
    """
    _check_token(token)
    there = runs_of(service, request.experiment_id, token)
    if there:
        _check_same(there[0], request, token)
        return _settled(service, there, token, found=True)
    body = request.body(token)
    try:
        _create(service, body)
    except UnansweredError as error:
        there = _look_for(service, request.experiment_id, token)
        if not there:
            raise _unknown(error, token) from None
    except ServiceError as error:
        # A server that fails may have started the run before.
        failed = (error.status or 0) >= 500
        there = runs_of(service, request.experiment_id, token) if failed else []
        if not there:
            raise
    else:
        there = _look_for(service, request.experiment_id, token)
        if not there:
            raise UnansweredError(
                f"{service.host} says that it has created a run, and does not list it",
                hint=_again(token),
            )
    return _settled(service, there, token)


def runs_of(service: Service, experiment_id: str, token: str) -> list[dict[str, Any]]:
    """Return the runs of a submission, the oldest first."""
    listed = service.listed(
        "/runs",
        "runs",
        "list the runs",
        experiment_id=experiment_id,
        filter=equals("description", description(token)),
    )
    own = [run for run in listed if run.get("description") == description(token)]
    return sorted(own, key=lambda run: (run.get("created_at", ""), run["run_id"]))


def _create(service: Service, body: Mapping[str, Any]) -> None:
    """Ask for the run; again only as long as the server is not reached at all."""
    for pause in service.patience.pauses:
        try:
            service.post("/runs", "create a run", body)
            return
        except UnansweredError:
            raise
        except ServiceError as error:
            if not error.transient or error.status is not None:
                raise
        service.patience.sleep(pause)
    service.post("/runs", "create a run", body)


def _look_for(service: Service, experiment_id: str, token: str) -> list[dict[str, Any]]:
    """Return the runs of a submission as soon as there are any."""
    for pause in service.patience.settling:
        with contextlib.suppress(ServiceError):
            if runs := runs_of(service, experiment_id, token):
                return runs
        service.patience.sleep(pause)
    with contextlib.suppress(ServiceError):
        return runs_of(service, experiment_id, token)
    return []


def _settled(
    service: Service, runs: list[dict[str, Any]], token: str, *, found: bool = False
) -> Submission:
    """Keep one of the runs of a submission."""
    kept, *others = sorted(runs, key=lambda run: state_of(run) in ("CANCELING", "CANCELED"))
    canceled = []
    for run in others:
        if run.get("state") not in FINAL:
            terminate(service, run["run_id"])
            canceled.append(run["run_id"])
    return Submission(kept["run_id"], token, found, tuple(canceled))


def _check_token(token: str) -> None:
    if not _TOKEN.fullmatch(token):
        raise ParameterError(
            f"expected a submission's token of 4 to 100 letters, digits, '.', '_' and '-', got "
            f"{token!r}"
        )


def _check_same(run: Mapping[str, Any], request: Request, token: str) -> None:
    """Check that a run of the token is what is asked for."""
    arguments = (run.get("runtime_config") or {}).get("parameters") or {}
    wanted = request.source.get("pipeline_version_reference")
    reference = run.get("pipeline_version_reference")
    same_source = wanted == reference if wanted and reference else True
    if same_source and arguments == dict(request.parameters):
        return
    what = "other parameters" if same_source else "another version of the pipeline"
    raise ParameterError(
        f"submission {token} has started run {run['run_id']} already, with {what}",
        hint="Take another token for another run, or none: then there is a new one.",
    )


def _unknown(error: UnansweredError, token: str) -> UnansweredError:
    return UnansweredError(
        f"{error.message}; a run of this submission is not listed, but it may still be on its way",
        status=error.status,
        hint=_again(token),
    )


def _again(token: str) -> str:
    return (
        f"Give the same command again in a while, with --submission {token}: a run that has been "
        "started is then found, and no second one is."
    )
