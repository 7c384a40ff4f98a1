"""What a node of a run on the server has printed.

The server reads the log of a pod, or the log that Argo has archived, by the name of the pod. Its
answers name Argo's nodes and not their pods, so that the pods' names are put together as Argo
does. It says 200 before it looks, so that an error comes as text; it ignores `follow`, so that
following means reading again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from penstock.errors import RunError, suggestion
from penstock.runners.kubeflow.operations import (
    FINAL,
    expected_nodes,
    find_run,
    task_details,
)
from penstock.runners.kubeflow.service import Service

_TEMPLATE = "system-container-impl"


def read_log(service: Service, run: Mapping[str, Any], node: str) -> str | None:
    """Return what a node has printed so far, or None if its pod is not there.

    Raises:
      RunError: the run has no such node.
      ServiceError: the server cannot be reached, or refuses.
    """
    for pod in pods(service, run, node):
        path = f"/apis/v1alpha1/runs/{run['run_id']}/nodes/{pod}/log"
        text = service.text(path, f"read the log of {node}")
        if not _is_failure(text):
            return text
    return None


def follow(service: Service, run_id: str, node: str) -> Iterator[str]:
    """Yield what a node prints, as long as its run or the node itself is not over.

    Raises:
      RunError: the run has no such node, or its log is not there in the end.
      ServiceError: the server cannot be reached, or refuses.
    """
    told = ""
    while True:
        run = find_run(service, run_id)
        text = read_log(service, run, node)
        if text is not None:
            # A pod that was tried again has a log of its own.
            yield text[len(told) :] if text.startswith(told) else text
            told = text
        state = task_details(run).get(node, {}).get("state")
        if state in FINAL or run.get("state") in FINAL:
            if not told and text is None:
                raise no_log(service, run, node)
            return
        service.patience.sleep(service.patience.interval)


def no_log(service: Service, run: Mapping[str, Any], node: str) -> RunError:
    """Return the error for a node without a log, with the reasons that there can be."""
    state = task_details(run).get(node, {}).get("state")
    if state is None or state in ("PENDING", "SKIPPED"):
        why = "it has not run" if state != "SKIPPED" else "it was skipped or taken from the cache"
        return RunError(f"{node} of run {run['run_id']} has no log: {why}")
    namespace = service.namespace or "kubeflow"
    candidates = list(pods(service, run, node))
    command = f"kubectl logs -n {namespace} {candidates[-1] if candidates else 'POD'} -c main"
    return RunError(
        f"{service.host} has no log of {node} of run {run['run_id']}: its pod is gone, or it took "
        "its outputs from the cache",
        hint="Logs outlive their pods where Argo archives them (archiveLogs); while the pod is "
        f"there: {command}.",
    )


def pods(service: Service, run: Mapping[str, Any], node: str) -> Iterator[str]:
    """Yield what the pod that did a node's work can be called, the likeliest first.

    Raises:
      RunError: the run has no such node.
    """
    details = task_details(run)
    detail = details.get(node)
    if detail is None:
        known = expected_nodes(service, run)
        if node not in known:
            raise RunError(
                f"run {run['run_id']} has no node {node!r}",
                hint=suggestion(node, known, noun="node"),
            )
        return
    own = [detail.get("pod_name"), (detail.get("executor_detail") or {}).get("main_job")]
    children = [child.get("pod_name") for child in detail.get("child_tasks") or ()]
    seen = set()
    for name in (*own, *(n for c in children if c for n in _pod_names(c))):
        if name and name not in seen:
            seen.add(name)
            yield name


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
