"""Runs on the server: what state they and their nodes are in, waiting for them, canceling them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from penstock.errors import RunError, ServiceError, UnansweredError, suggestion
from penstock.runners.kubeflow.contract.documents import Task, tasks
from penstock.runners.kubeflow.server.service import Service

# `wait_for_run_completion` of the SDK does not know that CANCELED is the end.
FINAL = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")
# What one server or another writes of what has not happened yet.
_NEVER = ("1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z")


@dataclass(frozen=True)
class NodeStatus:
    """A node of a run. `seconds` is how long it has worked; None as long as it has not begun."""

    name: str
    state: str
    seconds: float | None = None
    error: str = ""


@dataclass(frozen=True)
class RunStatus:
    """A run on the server, its nodes in an order in which they can run."""

    run_id: str
    name: str
    state: str
    created_at: str
    finished_at: str
    nodes: tuple[NodeStatus, ...]
    address: str
    error: str = ""

    @property
    def final(self) -> bool:
        """Whether nothing changes any more."""
        return self.state in FINAL

    @property
    def succeeded(self) -> bool:
        """Whether the run did all that it should."""
        return self.state in ("SUCCEEDED", "SKIPPED")


def find_run(service: Service, run_id: str, experiment: str = "") -> dict[str, Any]:
    """Return a run by its id, or the newest as `latest`.

    Raises:
      RunError: there is no such run.
      ServiceError: the server cannot be reached, or refuses.
    """
    if run_id != "latest":
        try:
            return service.get(f"/runs/{run_id}", f"look at run {run_id}")
        except ServiceError as error:
            if error.status != 404:
                raise
            raise RunError(
                f"{service.host} has no run {run_id!r}",
                hint="A run's id is on its page, and penstock submit prints it. `latest` is the "
                "newest one.",
            ) from None
    page = service.get(
        "/runs",
        "list the runs",
        experiment_id=experiment,
        namespace="" if experiment else service.namespace,
        sort_by="created_at desc",
        page_size=1,
    )
    if not page.get("runs"):
        raise RunError("the server has no runs yet", hint="Start one: penstock submit PIPELINE.")
    return find_run(service, page["runs"][0]["run_id"])


def read_status(service: Service, run_id: str) -> RunStatus:
    """Return the state of a run and of its nodes."""
    return status_of(service, find_run(service, run_id))


def status_of(service: Service, run: Mapping[str, Any]) -> RunStatus:
    """Return the state of a run that was read."""
    return _status(service, run, expected_tasks(service, run))


def state_of(run: Mapping[str, Any]) -> str:
    """Return the state of a run that was read; the server ends canceled ones as failed."""
    state = str(run.get("state") or "PENDING")
    was_canceled = any(past.get("state") == "CANCELING" for past in run.get("state_history") or ())
    return "CANCELED" if state == "FAILED" and was_canceled else state


def expected_tasks(service: Service, run: Mapping[str, Any]) -> list[Task]:
    """Return a run's tasks, in an order in which they can run."""
    spec = run.get("pipeline_spec")
    reference = run.get("pipeline_version_reference") or {}
    if not spec and reference.get("pipeline_version_id"):
        path = "/pipelines/{pipeline_id}/versions/{pipeline_version_id}".format(**reference)
        try:
            spec = service.get(path, "look at the pipeline's version").get("pipeline_spec")
        except ServiceError as error:
            if error.status != 404:  # it may have been removed since
                raise
    expected = tasks((spec or {}).get("pipeline_spec", spec or {}))
    if expected:
        return expected
    # Without a specification, whatever has a driver is a task.
    details = task_details(run)
    return [Task(n, n) for n in sorted(details) if f"{n}-driver" in details and n != "root"]


def _status(service: Service, run: Mapping[str, Any], expected: list[Task]) -> RunStatus:
    finished_at = run.get("finished_at") or ""
    return RunStatus(
        run_id=run["run_id"],
        name=run.get("display_name", ""),
        state=state_of(run),
        created_at=run.get("created_at", ""),
        finished_at="" if finished_at in _NEVER else finished_at,
        nodes=_nodes(run, expected),
        address=service.page_of("runs", run["run_id"]),
        error=_message(run),
    )


def _nodes(run: Mapping[str, Any], expected: list[Task]) -> tuple[NodeStatus, ...]:
    details = task_details(run)
    return tuple(_node(run, task.title, details.get(task.key) or {}) for task in expected)


def _node(run: Mapping[str, Any], title: str, detail: Mapping[str, Any]) -> NodeStatus:
    over = run.get("state") in FINAL
    # One that never starts has no details, or no state in them.
    state = detail.get("state") or "PENDING"
    if over and state == "PENDING":
        return NodeStatus(title, "SKIPPED")
    if state == "FAILED" and state_of(run) == "CANCELED":
        state = "CANCELED"
    started, ended = _time(detail.get("start_time")), _time(detail.get("end_time"))
    if over and ended is None:
        ended = _time(run.get("finished_at"))
    seconds = None if started is None else ((ended or datetime.now(UTC)) - started).total_seconds()
    return NodeStatus(title, state, seconds, _message(detail))


def find_task(service: Service, run: Mapping[str, Any], node: str) -> Task:
    """Return a task of a run by the name of its node, in which upper and lower case are one.

    Raises:
      RunError: the run has no such node.
    """
    expected = expected_tasks(service, run)
    for task in expected:
        if node.lower() in (task.title.lower(), task.key.lower()):
            return task
    raise RunError(
        f"run {run['run_id']} has no node {node!r}",
        hint=suggestion(node, {task.title for task in expected}, noun="node"),
    )


def task_details(run: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the details of a run's tasks by their names; the newest of those of one name."""
    details = (run.get("run_details") or {}).get("task_details") or []
    ordered = sorted(details, key=lambda detail: detail.get("start_time") or "")
    return {detail.get("display_name", ""): detail for detail in ordered}


def _time(text: Any) -> datetime | None:
    return None if not text or text in _NEVER else datetime.fromisoformat(text)


def _message(task: Mapping[str, Any]) -> str:
    error = task.get("error") or {}
    return str(error.get("message", "")) if isinstance(error, dict) else str(error)


def wait(
    service: Service, run_id: str, changed: Callable[[RunStatus], None] = lambda _: None
) -> RunStatus:
    """Look at a run until it is over; `changed` is told of each new state.

    Raises:
      RunError: there is no such run.
      ServiceError: the server was not reached for longer than patience lasts.
    """
    run = find_run(service, run_id)
    expected = expected_tasks(service, run)
    seen: Any = None
    while True:
        status = _status(service, run, expected)
        states = (status.state, [(node.name, node.state) for node in status.nodes])
        if states != seen:
            changed(status)
            seen = states
        if status.final:
            return status
        service.patience.sleep(service.patience.interval)
        run = find_run(service, run["run_id"])


def cancel(
    service: Service, run_id: str, changed: Callable[[RunStatus], None] = lambda _: None
) -> tuple[RunStatus, bool]:
    """Cancel a run and wait for its end; say whether it was this that ended it.

    Raises:
      RunError: there is no such run.
      ServiceError: the server cannot be reached, or refuses.
    """
    run = find_run(service, run_id)
    if run.get("state") in FINAL:
        return status_of(service, run), False
    terminate(service, run["run_id"])
    status = wait(service, run["run_id"], changed)
    return status, status.state not in ("SUCCEEDED", "SKIPPED")


def terminate(service: Service, run_id: str) -> None:
    """Ask the server to end a run, unless it is over or ending; may be asked again.

    Raises:
      ServiceError: the server cannot be reached, or refuses.
    """

    def attempt() -> None:
        try:
            service.post(f"/runs/{run_id}:terminate", f"cancel run {run_id}")
        except UnansweredError:
            raise
        except ServiceError as error:
            # The server refuses to end what is over or ending.
            if error.status != 400 or not _is_ending(service, run_id):
                raise

    service.again(attempt)


def _is_ending(service: Service, run_id: str) -> bool:
    return find_run(service, run_id).get("state") in (*FINAL, "CANCELING")
