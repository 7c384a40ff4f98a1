"""What one of several nodes that share a pod sees of it, and what the pod reports of them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from penstock.runners.kubeflow.contract import parts
from penstock.runners.kubeflow.contract.task import PodTask
from penstock.runners.kubeflow.pod.attempt import Tried
from penstock.runners.kubeflow.pod.launcher import ExecutorInput, LaunchedArtifact, Reports

# What nodes of the pod have made, by node and by the key of the output.
Made = Mapping[str, Mapping[str, LaunchedArtifact]]


def seen_by(task: PodTask, whole: ExecutorInput, made: Made) -> ExecutorInput:
    """Return what the launcher would have told a node, had it a pod of its own."""
    inputs: dict[str, Sequence[LaunchedArtifact]] = {**parts.of_part(task.part, whole.inputs)}
    for taken in task.inputs:
        if taken.output in made.get(taken.producer, {}):
            inputs[taken.name] = [made[taken.producer][taken.output]]
    outputs = parts.of_part(task.part, whole.outputs)
    return replace(whole, inputs=inputs, outputs=outputs)


def made_by(task: PodTask, seen: ExecutorInput, tried: Tried) -> dict[str, LaunchedArtifact]:
    """Return what a node has put out, as a later one of the pod would be told by the launcher.

    What does not stand at the output's own path is looked for where it is recorded.
    """
    made = {}
    for output in task.outputs:
        if output.name in tried.reports:
            uri, metadata = tried.reports[output.name]
            path = seen.outputs[output.name].path if tried.worked else ""
            made[output.key] = LaunchedArtifact(uri, path, metadata)
    return made


def reports_of(task: PodTask, tried: Tried) -> Reports:
    """Return what a node's part of the pod reports, by the names that Kubeflow knows."""
    return {parts.name_in_pod(task.part, name): told for name, told in tried.reports.items()}
