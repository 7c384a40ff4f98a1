"""What is made while a pipeline is compiled: its tasks, of what all its nodes have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from penstock import ir
from penstock.errors import ParameterError, PipelineError
from penstock.execution import needs
from penstock.project.kubeflow import KubeflowOptions
from penstock.project.pods import PodOptions
from penstock.runners.kubeflow.compile import platform
from penstock.runners.kubeflow.compile.project import Project


@dataclass(frozen=True)
class Compilation:
    """What the nodes of one pipeline have in common.

    `tasks` has the name of every node's task. `decisions` has the names of the tasks that decide
    about conditions, by the conditions' names in the IR, `loops` the names of the tasks of loops.
    `pods` are the nodes that share a pod, and so a task; `parts` has what they are called in it.
    With `accelerate` engines of ours do the work of TFX's executors, where they can.
    """

    pipeline: ir.Pipeline
    options: KubeflowOptions
    store: str
    project: Project
    tasks: Mapping[str, str]
    decisions: Mapping[frozenset[str], str] = field(default_factory=dict)
    loops: Mapping[str, str] = field(default_factory=dict)
    pods: Sequence[Sequence[str]] = ()
    parts: Mapping[str, str] = field(default_factory=dict)
    accelerate: bool = True

    def last_task(self, node_id: str) -> str:
        """Return the task of a node that those after it wait for."""
        task = self.tasks[node_id]
        return f"{task}-record" if self.pipeline.nodes[node_id].is_container else task

    def pod(self, node_id: str) -> PodOptions:
        """Return the options of a node's pod."""
        return pod_of(self.options, self.pipeline, self.pipeline.nodes[node_id])

    def helper_pod(self, name: str) -> PodOptions:
        """Return the options of the pod of a task that is not a node's own."""
        return _with_image(self.options, name, PodOptions(), lambda: True)


def pod_of(options: KubeflowOptions, pipeline: ir.Pipeline, node: ir.Node) -> PodOptions:
    """Return the options of a node's pod.

    Raises:
      PipelineError: they do not fit together.
    """
    own = platform.requested_options(node)
    return _with_image(options, node.id, own, lambda: needs.only_the_core(node, pipeline))


def _with_image(
    options: KubeflowOptions, name: str, own: PodOptions, needs_no_more: Callable[[], bool]
) -> PodOptions:
    """Return the options of a pod; without an image of its own it may have the core's."""
    try:
        pod = options.pod_of(name, own)
    except ParameterError as error:  # what each part says is right, and both together are not
        raise PipelineError(f"node {name}: {error.message}", hint=error.hint) from None
    is_named = own.image or options.nodes.get(name, PodOptions()).image
    if options.core_image and not is_named and needs_no_more():
        return replace(pod, image=options.core_image)
    return pod


@dataclass(frozen=True)
class Task:
    """A task, its component, its container and its pod.

    The last three are named after the task `owner`: the task itself, or one that is like it.
    `loop` is the task of the loop in which it stands, "" where it stands in none.
    """

    name: str
    owner: str
    spec: Any
    component: Any
    container: Any
    pod: Any
    loop: str = ""
