"""The logs of a run's pods, from the API of Kubernetes.

The server of an installation for one user cannot read a running pod's log: it looks in the
namespace "" (ReadLog in backend/src/apiserver/resource/resource_manager.go, 2.17.0).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.runners.kubeflow.contract.documents import Task
from penstock.runners.kubeflow.contract.task import RUN_ID_LABEL
from penstock.runners.kubeflow.server.tasks import ITERATION

_TIMEOUT = (5, 30)
# Argo annotates a pod with the node that it is of: flights-1.root.trainer.executor(0)
_NODE_ANNOTATION = "workflows.argoproj.io/node-name"
_TRY = re.compile(r"\(\d+\)")
_CONTAINER = "main"


@dataclass(frozen=True)
class PodLog:
    """What a task's pod has printed, or why it cannot be read: one of them is ""."""

    text: str = ""
    reason: str = ""


def read_pod_log(namespace: str, run_id: str, task: Task) -> PodLog:
    """Read the log of a task's last pod, with a kubeconfig file or a service account."""
    import urllib3
    from kubernetes import client

    configuration = client.Configuration()
    if reason := _load(configuration):
        return PodLog(reason=reason)
    configuration.retries = False
    try:
        with client.ApiClient(configuration) as connection:
            api = client.CoreV1Api(connection)
            pods = api.list_namespaced_pod(
                namespace,
                label_selector=f"{RUN_ID_LABEL}={run_id}",
                _request_timeout=_TIMEOUT,
            ).items
            own = [pod for pod in pods if _is_of(pod.metadata.annotations or {}, task)]
            if not own:
                return PodLog(reason=f"the namespace {namespace} has no pod of it")
            newest = max(own, key=lambda pod: pod.metadata.creation_timestamp)
            answer = api.read_namespaced_pod_log(
                newest.metadata.name,
                namespace,
                container=_CONTAINER,
                _preload_content=False,
                _request_timeout=_TIMEOUT,
            )
            return PodLog(answer.data.decode("utf-8", "replace"))
    except client.ApiException as error:
        return PodLog(reason=f"Kubernetes refuses it with status {error.status}")
    except (urllib3.exceptions.HTTPError, OSError) as error:
        return PodLog(reason=f"Kubernetes is not reached ({type(error).__name__})")


def _load(configuration: Any) -> str:
    """Fill in where Kubernetes is and who asks; return why not, "" if it went well."""
    from kubernetes import config

    try:
        config.load_kube_config(client_configuration=configuration)
        return ""
    except config.ConfigException:
        pass  # as in a pod, or on a machine that has none
    try:
        config.load_incluster_config(client_configuration=configuration)
        return ""
    except config.ConfigException:
        return "there is no kubeconfig file here, and no service account of a pod"


def _is_of(annotations: Mapping[str, str], task: Task) -> bool:
    """Whether a pod does the work of a task: its driver, and other tasks' pods, do not."""
    node = annotations.get(_NODE_ANNOTATION, "")
    of_items = tuple(int(index) for index in ITERATION.findall(node))
    is_of_item = not task.item or of_items == task.item
    return is_of_item and _TRY.sub("", node).endswith(f".{task.key}.executor")
