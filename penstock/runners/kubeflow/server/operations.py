"""Runs on the server: what state they and their nodes are in, waiting for them, canceling them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from penstock.errors import RunError, ServiceError, UnansweredError, suggestion
from penstock.runners.kubeflow.contract.documents import Task, tasks
from penstock.runners.kubeflow.server.service import Service
from penstock.runners.kubeflow.server.tasks import (
    CACHED,
    NEVER,
    TaskRun,
    item_runs,
    message_of,
    seconds_of,
    task_runs,
    tasks_without_a_specification,
    tells_more,
)

# `wait_for_run_completion` of the SDK does not know that CANCELED is the end.
FINAL = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")


@dataclass(frozen=True)
class NodeStatus:
    """A node of a run. `seconds` is how long it has worked; None as long as it has not begun.

    Beside a server's own states there is CACHED: Kubeflow's cache has lent its outputs.
    """

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

    @property
    def all_cached(self) -> bool:
        """Whether Kubeflow's cache stood in for every node, so that no pod has recorded any."""
        states = {node.state for node in self.nodes}
        return self.succeeded and CACHED in states and states <= {CACHED, "SKIPPED"}


def find_run(service: Service, run_id: str, experiment: str = "") -> dict[str, Any]:
    """Return a run by its id, or the newest as `latest`.

    Raises:
      RunError: there is no such run.
      ServiceError: the server cannot be reached, or refuses.
    """
    if run_id != "latest":
        try:
            return _with_tasks(service, service.get(f"/runs/{run_id}", f"look at run {run_id}"))
        except ServiceError as error:
            if error.status != 404:
                raise
            raise RunError(
                f"{service.host} has no run {run_id!r}",
                hint="A run's id is on its page, and penstock submit prints it. `latest` is the "
                "newest one.",
            ) from None
    newest = newest_runs(service, 1, experiment)
    if not newest:
        raise RunError("the server has no runs yet", hint="Start one: penstock submit PIPELINE.")
    return find_run(service, newest[0]["run_id"])


def newest_runs(service: Service, most: int, experiment: str = "") -> list[dict[str, Any]]:
    """Return the newest runs of the server, or of an experiment by its id, without their tasks.

    Raises:
      ServiceError: the server cannot be reached, or refuses.
    """
    page = service.get(
        "/runs",
        "list the runs",
        experiment_id=experiment,
        namespace="" if experiment else service.namespace,
        sort_by="created_at desc",
        page_size=most,
    )
    return list(page.get("runs") or ())


def _with_tasks(service: Service, run: dict[str, Any]) -> dict[str, Any]:
    if not tells_more(run):
        return run
    run_id = run["run_id"]
    return service.get(f"/runs/{run_id}", f"look at the tasks of run {run_id}", view="FULL")


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
    expected = tasks(specification(service, run))
    if expected:
        return expected
    return tasks_without_a_specification(run)


def specification(service: Service, run: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the PipelineSpec of a run, an empty one where it has been removed."""
    spec = run.get("pipeline_spec")
    reference = run.get("pipeline_version_reference") or {}
    if not spec and reference.get("pipeline_version_id"):
        path = "/pipelines/{pipeline_id}/versions/{pipeline_version_id}".format(**reference)
        try:
            spec = service.get(path, "look at the pipeline's version").get("pipeline_spec")
        except ServiceError as error:
            if error.status != 404:  # it may have been removed since
                raise
    found: Mapping[str, Any] = (spec or {}).get("pipeline_spec", spec or {})
    return found


def _status(service: Service, run: Mapping[str, Any], expected: list[Task]) -> RunStatus:
    finished_at = run.get("finished_at") or ""
    return RunStatus(
        run_id=run["run_id"],
        name=run.get("display_name", ""),
        state=state_of(run),
        created_at=run.get("created_at", ""),
        finished_at="" if finished_at in NEVER else finished_at,
        nodes=_nodes(run, expected),
        address=service.page_of("runs", run["run_id"]),
        error=message_of(run),
    )


def _nodes(run: Mapping[str, Any], expected: list[Task]) -> tuple[NodeStatus, ...]:
    known = task_runs(run)
    nodes: list[NodeStatus] = []
    for task in expected:
        items = item_runs(run, task)
        nodes += [_node(run, _of_item(task, item), one) for item, one in items.items()]
        if not items:
            nodes.append(_node(run, task.title, known.get(task.key, TaskRun())))
    return tuple(nodes)


def _of_item(task: Task, item: tuple[int, ...]) -> str:
    """Return what the node of a loop is called for an item, as in the store."""
    return ".".join([task.title, *map(str, item)])


def _node(run: Mapping[str, Any], title: str, task: TaskRun) -> NodeStatus:
    over = run.get("state") in FINAL
    state = task.state or "PENDING"
    if over and state == "PENDING":
        return NodeStatus(title, "SKIPPED")
    if state == CACHED:
        return NodeStatus(title, state)
    if state == "FAILED" and state_of(run) == "CANCELED":
        state = "CANCELED"
    return NodeStatus(title, state, seconds_of(task, run, over=over), task.error)


def find_task(service: Service, run: Mapping[str, Any], node: str) -> Task:
    """Return a task of a run by the name of its node, in which upper and lower case are one.

    In a loop the place of an item may come after it, as a run's status has it: `Train.0`, in a loop
    within a loop `Train.0.1`.

    Raises:
      RunError: the run has no such node.
    """
    expected = expected_tasks(service, run)
    for task in expected:
        if _is_called(task, node):
            return task
    for task in expected:
        of_loop, *indices = node.rsplit(".", len(task.loops))
        are_items = len(indices) == len(task.loops) and all(map(str.isdecimal, indices))
        if task.loops and are_items and _is_called(task, of_loop):
            item = tuple(map(int, indices))
            return replace(task, title=_of_item(task, item), item=item)
    known = {name for task in expected for name in task.nodes or (task.title,)}
    raise RunError(
        f"run {run['run_id']} has no node {node!r}", hint=suggestion(node, known, noun="node")
    )


def _is_called(task: Task, name: str) -> bool:
    return name.lower() in (known.lower() for known in (task.title, task.key, *task.nodes))


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
