"""How large the Argo workflow is that Kubeflow's backend makes of a pipeline.

After `backend/src/v2/compiler/argocompiler` of kubeflow/pipelines (dag.go, container.go, argo.go),
2.17; earlier versions write no more. Each component, container and pod is an argument of the
workflow, as JSON in JSON. Each task is two tasks of Argo's DAG, its driver, which has the task once
more as JSON, and its executor; and it stands in the component of its DAG, an argument as well.

Three limits, of which the last cannot be raised where Kubernetes is somebody else's:

- Argo's controller keeps a workflow, with the states of its nodes compressed, in 1 MiB
  (MAX_WORKFLOW_SIZE), unless node statuses are offloaded to a database: `workflow/packer` of
  argoproj/argo-workflows.
- etcd takes requests of 1.5 MiB (--max-request-bytes).
- Kubernetes' API server sends etcd no more than 2 MiB.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

ARGO_LIMIT = 1024 * 1024
LIMIT = 2 * 1024 * 1024

# A digest of a container, by which its component and itself are named.
_DIGEST = "0" * 64
# The templates of drivers and executors, which all tasks have in common, the workflow's own fields
# and what the API server adds: an estimate from the source, on the safe side.
_SAME_FOR_ALL = 24_000
# Executors with so many labels and annotations have templates of their own.
_TEMPLATE = 6_000
# What Go writes as six characters in JSON.
_ESCAPED = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}

Document = Mapping[str, Any]


def workflow_size(spec: Document, platform: Document) -> int:
    """Return how many bytes of JSON the workflow has of which a pipeline's documents speak."""
    pods = platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {})
    parts = list(_arguments(spec, pods.get("executors", {})))
    metadata = set()
    for component in _dags(spec):
        for name, task in component["dag"]["tasks"].items():
            label = spec["components"][task["componentRef"]["name"]].get("executorLabel")
            of_pod = pods.get("executors", {}).get(label, {}).get("podMetadata", {})
            metadata.add((len(of_pod.get("labels", {})), len(of_pod.get("annotations", {}))))
            parts += _tasks(name, task, of_pod)
    fixed = _SAME_FOR_ALL + _TEMPLATE * len(metadata - {(0, 0)})
    return fixed + sum(len(_json(part).encode()) + 1 for part in parts)


def _json(value: Any) -> str:
    """Return a value as JSON as Go writes it."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return text.translate(_ESCAPED)


def _dags(spec: Document) -> Iterator[Document]:
    for component in (spec["root"], *spec["components"].values()):
        if "dag" in component:
            yield component


def _arguments(spec: Document, pods: Document) -> Iterator[Document]:
    """Yield the arguments of a workflow."""
    yield {"name": "components-root", "value": _json(spec["root"])}
    executors = spec["deploymentSpec"]["executors"]
    for name, component in spec["components"].items():
        yield {"name": f"components-{_DIGEST}", "value": _json(component)}
        label = component.get("executorLabel")
        if label in executors:
            container = executors[label]["container"]
            yield {"name": f"implementations-{_DIGEST}", "value": _json(container)}
        if label in pods:
            yield {"name": f"kubernetes-{name}", "value": _json(pods[label])}


def _tasks(name: str, task: Document, metadata: Document) -> Iterator[Document]:
    """Yield the tasks of Argo's that a task becomes."""
    driver = f"{name}-driver"
    component = task["componentRef"]["name"]
    yield {
        "name": driver,
        "template": "system-container-driver",
        "arguments": _parameters(
            {
                "component": f"{{{{workflow.parameters.components-{_DIGEST}}}}}",
                "task": _json(task),
                "container": f"{{{{workflow.parameters.implementations-{_DIGEST}}}}}",
                "task-name": name,
                "parent-dag-id": "{{inputs.parameters.parent-dag-id}}",
                "kubernetes-config": f"{{{{workflow.parameters.kubernetes-{component}}}}}",
            }
        ),
        "depends": " && ".join(f"{before}.Succeeded" for before in task.get("dependentTasks", ())),
    }
    outputs = f"{{{{tasks.{driver}.outputs.parameters"
    yield {
        "name": name,
        "template": "metadata-00-00-system-container-executor",
        "arguments": _parameters(
            {
                "pod-spec-patch": f"{outputs}.pod-spec-patch}}}}",
                "cached-decision": f"{outputs}.cached-decision}}}}",
                **_metadata("annotation", metadata.get("annotations", {})),
                **_metadata("label", metadata.get("labels", {})),
            }
        ),
        "default": "false",
        "depends": f"{driver}.Succeeded",
        "when": f"{outputs}.condition}}}} != false" if "triggerPolicy" in task else "",
    }


def _parameters(values: Mapping[str, str]) -> Document:
    return {"parameters": [{"name": name, "value": value} for name, value in values.items()]}


def _metadata(kind: str, pairs: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters that bring labels or annotations to a pod."""
    numbered: Iterable[tuple[int, str]] = enumerate(sorted(pairs), 1)
    return {
        f"pod-metadata-{kind}-{part}-{number:02}": text
        for number, key in numbered
        for part, text in (("key", key), ("val", pairs[key]))
    }
