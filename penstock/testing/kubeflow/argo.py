"""The nodes of a workflow, as Argo names them and ties them together (3.5 to 4.1).

- A task's node has the path of the graph in which it stands, and its own name (taskNodeName in
  workflow/controller/dag.go).
- Where its template has a retry strategy, the node has its tries below it, and what stands in a
  graph that is tried has the path of the try: `w(0).root(0).train(0).executor(0)`. Templates of
  graphs have one as well where it comes by templateDefaults, as on stock installations
  (executeTemplate and mergedTemplateDefaultsInto in workflow/controller/operator.go).
- A task that is skipped is no template that is tried. One that goes over items has a node of its
  own, and below it one for each item, `name(0:0)` (executeDAGTask in dag.go).
- What comes after a task is a child of its last nodes; what comes first in a graph is a child of
  the graph's (connectDependencies in dag.go).
- What runs when a task has ended, whatever has become of it, is called `name.onExit`
  (runOnExitNode in exit_handler.go).
- A node is displayed by its path without that of its graph (initializeNode in operator.go).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

# A graph by its tasks, each after the one before it; a task that goes over items; or the state of
# a pod, of which SKIPPED is none.
Task: TypeAlias = "str | Mapping[str, Task] | Sequence[Task]"

SKIPPED = "SKIPPED"
# Of a task that runs when another has ended, after the other's name.
_HOOK = ".onExit"


@dataclass(frozen=True)
class Node:
    """A node of a workflow, by its path; `children` are paths."""

    path: str
    state: str
    children: tuple[str, ...]

    @property
    def name(self) -> str:
        """What is shown of it."""
        path, _, name = self.path.removesuffix(_HOOK).rpartition(".")
        return self.path.removeprefix(f"{path}.") if path else name


def nodes_of(workflow: str, graph: Task, tries: int = 1) -> list[Node]:
    """Return the nodes of a workflow whose graph has those tasks.

    All that can be tried has so many tries, of which the last counts; 0 if nothing can.
    """
    states: dict[str, str] = {}
    children: dict[str, list[str]] = {}

    def add(path: str, state: str) -> None:
        states[path], children[path] = state, []

    def place(path: str, task: Task) -> list[str]:
        """Add a node and all below it; return its last ones."""
        if task == SKIPPED:
            add(path, SKIPPED)
            return [path]
        if not isinstance(task, (str, Mapping)):
            add(path, state_of(task))
            last = []
            for index, item in enumerate(task):
                children[path].append(f"{path}({index}:{index})")
                last += place(children[path][-1], item)
            return last or [path]
        if not tries:
            return fill(path, task)
        add(path, state_of(task))
        for count in range(tries):
            children[path].append(f"{path}({count})")
            if count < tries - 1:
                add(children[path][-1], "FAILED")
        return fill(children[path][-1], task)

    def fill(path: str, task: Task) -> list[str]:
        add(path, state_of(task))
        last = [path]
        if isinstance(task, Mapping):
            for name, inner in task.items():
                own = f"{path}.{name}"
                for before in last:
                    children[before].append(own)
                last = place(own, inner)
        return last

    place(workflow, graph)
    return [Node(path, state, tuple(children[path])) for path, state in states.items()]


def state_of(task: Task) -> str:
    """Return the state of a task, by that of the pods below it."""
    if isinstance(task, str):
        return task
    states = [state_of(one) for one in (task.values() if isinstance(task, Mapping) else task)]
    return next((s for s in ("FAILED", "RUNNING", "PENDING") if s in states), "SUCCEEDED")
