"""What a node of a run on the server has printed.

The server reads the log of a pod, or the log that Argo has archived, by the name of the pod. Its
answers name Argo's nodes and not their pods, so that the pods' names are put together as Argo
does. It says 200 before it looks, so that an error comes as text; it ignores `follow`, so that
following means reading again. What it cannot read of a pod that is there, Kubernetes is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from penstock.errors import RunError
from penstock.runners.kubeflow.contract.documents import Task
from penstock.runners.kubeflow.contract.parts import section
from penstock.runners.kubeflow.contract.task import RUN_ID_LABEL
from penstock.runners.kubeflow.server.operations import FINAL, find_run, find_task
from penstock.runners.kubeflow.server.pods import PodLog, read_pod_log
from penstock.runners.kubeflow.server.responses import message_of
from penstock.runners.kubeflow.server.service import Service
from penstock.runners.kubeflow.server.tasks import CACHED, TaskRun, item_runs, task_runs

ReadPod = Callable[[str, str, Task], PodLog]

_DEFAULT_NAMESPACE = "kubeflow"
_OVER = (*FINAL, CACHED)


def read_log(
    service: Service, run: Mapping[str, Any], node: str, read_pod: ReadPod = read_pod_log
) -> str:
    """Return what a node has printed so far.

    Raises:
      RunError: the run has no such node, or nobody a log of it.
      ServiceError: the server cannot be reached, or refuses.
    """
    task = find_task(service, run, node)
    found = _read(service, run, task, read_pod)
    if found.reason:
        raise _no_log(service, run, task, found.reason)
    return _of_node(found.text, task, node)


def follow(
    service: Service, run_id: str, node: str, read_pod: ReadPod = read_pod_log
) -> Iterator[str]:
    """Yield what a node prints, as long as neither its run nor the node itself is over.

    Raises:
      RunError: the run has no such node, or its log is not there in the end.
      ServiceError: the server cannot be reached, or refuses.
    """
    run = find_run(service, run_id)
    task = find_task(service, run, node)
    printed = ""
    while True:
        found = _read(service, run, task, read_pod)
        if not found.reason:
            text = _of_node(found.text, task, node)
            # A pod that was tried again has a log of its own.
            yield text[len(printed) :] if text.startswith(printed) else text
            printed = text
        if _state(run, task) in _OVER or run.get("state") in FINAL:
            if found.reason and not printed:
                raise _no_log(service, run, task, found.reason)
            return
        service.patience.sleep(service.patience.interval)
        run = find_run(service, run["run_id"])


def _of_node(log: str, task: Task, node: str) -> str:
    """Return what one node has printed, where several share a pod; by the task's name it is all."""
    named = [name for name in task.nodes if name.lower() == node.lower()]
    return section(log, task.nodes, named[0]) if len(task.nodes) > 1 and named else log


def _read(service: Service, run: Mapping[str, Any], task: Task, read_pod: ReadPod) -> PodLog:
    """Return a task's log, from the server or else from Kubernetes."""
    known = _known(run, task)
    if known.state in ("", "PENDING", "SKIPPED", CACHED):
        return PodLog(reason="it has no pod")
    refusals = []
    for pod in known.pods:
        path = f"/apis/v1alpha1/runs/{run['run_id']}/nodes/{pod}/log"
        text = service.text(path, f"read the log of {task.title}")
        refusal = _refusal(text)
        if not refusal:
            return PodLog(text)
        refusals.append(refusal)
    found = read_pod(service.namespace or _DEFAULT_NAMESPACE, run["run_id"], task)
    if not found.reason:
        return found
    said = refusals[0] if refusals else "it names no pod"
    return PodLog(reason=f"the server says: {said}; and {found.reason}")


def _known(run: Mapping[str, Any], task: Task) -> TaskRun:
    if not task.item:
        return task_runs(run).get(task.key, TaskRun())
    return item_runs(run, task).get(task.item, TaskRun())


def _state(run: Mapping[str, Any], task: Task) -> str:
    return _known(run, task).state


def _no_log(service: Service, run: Mapping[str, Any], task: Task, reason: str) -> RunError:
    whose = f"{task.title} of run {run['run_id']}"
    state = _state(run, task)
    if state == CACHED:
        return RunError(
            f"{whose} has no log: Kubeflow's cache has lent what an earlier run had made, and no "
            "pod was started",
            hint=f"Its page names what it lent: {service.page_of('runs', run['run_id'])}. "
            "penstock submit --no-cache has all nodes work.",
        )
    if state in ("", "PENDING", "SKIPPED"):
        why = "it was skipped" if state == "SKIPPED" else "it has not run"
        return RunError(f"{whose} has no log: {why}")
    namespace = service.namespace or _DEFAULT_NAMESPACE
    if state in FINAL:
        return RunError(
            f"{service.host} has no log of {whose}: its pod is gone ({reason})",
            hint="Logs outlive their pods, which Argo removes with the workflow, where it archives "
            "them (archiveLogs).",
        )
    return RunError(
        f"the log of {whose}, which is {state.lower()}, cannot be read: {reason}",
        hint="Servers for one user read no log of a pod that runs. With access to Kubernetes: "
        f"kubectl logs -n {namespace} -l {RUN_ID_LABEL}={run['run_id']} -c main --prefix "
        f"--tail=-1; where kubectl works here, penstock logs does too.",
    )


def _refusal(text: str) -> str:
    """Return what the server says in the place of a log, "" if this is one."""
    if not text.startswith('{"error_message"'):
        return ""
    try:
        content = json.loads(text)
    except ValueError:
        return ""
    return message_of(text) if set(content) <= {"error_message", "error_details"} else ""
