"""What several nodes that share a pod are told apart by: their names in it, and in its log.

A shared pod is told one task after another, each as if it had the pod to itself. In Kubeflow's eyes
it is one task, whose inputs and outputs have the names that they have in the tasks, each after the
name of its node's part: `schemagen--schema`. What one of the nodes makes and another takes is no
input of that task. The nodes' lines in the pod's log stand below a heading each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

# Two hyphens stand in no name of a task.
_BETWEEN = "--"

_Value = TypeVar("_Value")


def name_in_pod(part: str, name: str) -> str:
    """Return what an input or output of a part is called in Kubeflow's task; "" is all of a pod."""
    return f"{part}{_BETWEEN}{name}" if part else name


def of_part(part: str, named: Mapping[str, _Value]) -> dict[str, _Value]:
    """Return what belongs to a part, under the names that its node knows."""
    if not part:
        return dict(named)
    prefix = f"{part}{_BETWEEN}"
    return {k.removeprefix(prefix): value for k, value in named.items() if k.startswith(prefix)}


def heading(nodes: Sequence[str], node: str) -> str:
    """Return the line that begins what a node's part prints."""
    return f"=== {node} ({nodes.index(node) + 1} of {len(nodes)}) ==="


def section(log: str, nodes: Sequence[str], node: str) -> str:
    """Return what a node has printed, of the log of a pod that nodes share; "" before it begins."""
    lines = log.splitlines(keepends=True)
    bare = [line.rstrip() for line in lines]
    following = nodes[nodes.index(node) + 1 :]
    try:
        start = bare.index(heading(nodes, node)) + 1
    except ValueError:
        return ""
    ends = {heading(nodes, other) for other in following}
    end = next((at for at in range(start, len(bare)) if bare[at] in ends), len(lines))
    return "".join(lines[start:end])
