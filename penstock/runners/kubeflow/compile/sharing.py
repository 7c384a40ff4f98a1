"""Tasks that are alike share a component: its definitions, its container and its pod.

Kubeflow's backend writes a component into the workflow once, by a digest of its container. So it
takes the definitions of one component for those of every other that has the same container, which
must therefore be the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from penstock.runners.kubeflow.compile.compilation import Task

# In the environment of a container, which then is no other component's.
_COMPONENT_VARIABLE = "PENSTOCK_COMPONENT"


def shared(tasks: Iterable[Task]) -> list[Task]:
    """Return tasks of which those that are alike have one component, named after the first."""
    components: dict[tuple[bytes, ...], Task] = {}
    containers: set[bytes] = set()
    named: list[Task] = []
    for task in tasks:
        parts = tuple(map(_digested, (task.container, task.component, task.pod)))
        if parts not in components:
            components[parts] = _apart(task) if parts[0] in containers else task
            containers.add(parts[0])
        first = components[parts]
        task.spec.component_ref.name = f"comp-{first.name}"
        named.append(replace(task, owner=first.name, container=first.container))
    return named


def _apart(task: Task) -> Task:
    """Return a task whose container is that of no other component."""
    container = type(task.container)()
    container.CopyFrom(task.container)
    container.env.add(name=_COMPONENT_VARIABLE, value=task.name)
    return replace(task, container=container)


def _digested(message: Any) -> bytes:
    content: bytes = message.SerializeToString(deterministic=True)
    return content
