"""What a node of a run on the server has printed.

The server reads the log of a pod, or the log that Argo has archived, by the name of the pod. Its
answers name Argo's nodes and not their pods, so that the pods' names are put together as Argo
does. It says 200 before it looks, so that an error comes as text; it ignores `follow`, so that
following means reading again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penstock.errors import RunError
from penstock.runners.kubeflow.contract.documents import Task
from penstock.runners.kubeflow.server.operations import FINAL, find_run, find_task, task_details
from penstock.runners.kubeflow.server.service import Service

_TEMPLATE = "system-container-impl"


def read_log(service: Service, run: Mapping[str, Any], node: str) -> str:
    """Return what a node has printed so far.

    Raises:
      RunError: the run has no such node, or the server no log of it.
      ServiceError: the server cannot be reached, or refuses.
    """
    task = find_task(service, run, node)
    text = _read(service, run, task)
    if text is None:
        raise _no_log(service, run, task)
    return text


def follow(service: Service, run_id: str, node: str) -> Iterator[str]:
    """Yield what a node prints, as long as neither its run nor the node itself is over.

    Raises:
      RunError: the run has no such node, or its log is not there in the end.
      ServiceError: the server cannot be reached, or refuses.
    """
    run = find_run(service, run_id)
    task = find_task(service, run, node)
    printed = ""
    while True:
        text = _read(service, run, task)
        if text is not None:
            # A pod that was tried again has a log of its own.
            yield text[len(printed) :] if text.startswith(printed) else text
            printed = text
        state = task_details(run).get(task.key, {}).get("state")
        if state in FINAL or run.get("state") in FINAL:
            if text is None and not printed:
                raise _no_log(service, run, task)
            return
        service.patience.sleep(service.patience.interval)
        run = find_run(service, run["run_id"])


def _read(service: Service, run: Mapping[str, Any], task: Task) -> str | None:
    for pod in _pods(run, task):
        path = f"/apis/v1alpha1/runs/{run['run_id']}/nodes/{pod}/log"
        text = service.text(path, f"read the log of {task.title}")
        if not _is_failure(text):
            return text
    return None


def _no_log(service: Service, run: Mapping[str, Any], task: Task) -> RunError:
    state = task_details(run).get(task.key, {}).get("state")
    if state in (None, "PENDING", "SKIPPED"):
        why = "it was skipped" if state == "SKIPPED" else "it has not run"
        return RunError(f"{task.title} of run {run['run_id']} has no log: {why}")
    namespace = service.namespace or "kubeflow"
    pod = next(_pods(run, task), "POD")
    return RunError(
        f"{service.host} has no log of {task.title} of run {run['run_id']}: its pod is gone, or "
        "has not begun, or its outputs came from the cache",
        hint="Logs outlive their pods where Argo archives them (archiveLogs); while the pod is "
        f"there: kubectl logs -n {namespace} {pod} -c main.",
    )


def _pods(run: Mapping[str, Any], task: Task) -> Iterator[str]:
    """Yield what the pod that did a task's work can be called, the likeliest first."""
    detail = task_details(run).get(task.key, {})
    children = {
        str(node["pod_name"]): [str(c["pod_name"]) for c in node.get("child_tasks") or ()]
        for node in (run.get("run_details") or {}).get("task_details") or ()
        if node.get("pod_name")
    }
    own = [detail.get("pod_name"), (detail.get("executor_detail") or {}).get("main_job")]
    below = [child.get("pod_name") for child in detail.get("child_tasks") or ()]
    nodes = [node for child in below if child for node in _down_to_pods(str(child), children)]
    names = [*(name for node in nodes for name in _pod_names(node)), *own]
    yield from dict.fromkeys(name for name in names if name)


def _down_to_pods(node: str, children: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield Argo's nodes at and below one, those that are pods first, and of them the last try."""
    for child in reversed(children.get(node, ())):
        yield from _down_to_pods(child, children)
    yield node


def _pod_names(argo_node: str) -> tuple[str, str]:
    """Return what the pod of one of Argo's nodes is called: newer releases name the template."""
    workflow, _, number = argo_node.rpartition("-")
    return f"{workflow}-{_TEMPLATE}-{number}", argo_node


def _is_failure(text: str) -> bool:
    """Say whether the server has written an error in the place of a log."""
    if not text.startswith('{"error_message"'):
        return False
    try:
        return set(json.loads(text)) <= {"error_message", "error_details"}
    except ValueError:
        return False
