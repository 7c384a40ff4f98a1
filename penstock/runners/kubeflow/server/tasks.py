"""What a server says of the tasks of a run, in either of the two ways in which servers do.

Up to 2.17 a run has `run_details.task_details`: every node of Argo's workflow, the children by the
names of Argo's nodes (toApiPipelineTaskDetail in backend/src/apiserver/server/api_converter.go,
2.17.0). Servers without ML Metadata have `tasks`, with the states CACHED and the names of pods,
where they are asked for the view FULL; before that a run only says how many there are
(PipelineTask and GetRunRequest in backend/api/v2beta1/run.proto, branch mlmd-removal).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from penstock.runners.kubeflow.contract.documents import Task

# A task whose outputs Kubeflow's cache has lent.
CACHED = "CACHED"
# What one server or another writes of what has not happened yet.
NEVER = ("1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z")

_TEMPLATE = "system-container-impl"
# The tasks below a container's own in Argo: what starts its pod, and its tries.
_EXECUTOR = re.compile(r"executor(\(\d+\))?")
_DRIVER = "-driver"
# Argo's node of all that is done for one item of a loop.
ITERATION = re.compile(r"iteration-iterations\((\d+):\d+\)")
_OF_PODS = ("RUNTIME", "IMPORTER")
_MOMENT = timedelta(seconds=1)


@dataclass(frozen=True)
class TaskRun:
    """A task in a run; `state` is "" for one that has not begun.

    `pods` is what the pod that did the work can be called, the likeliest first.
    """

    state: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    error: str = ""
    pods: tuple[str, ...] = ()


def tells_more(run: Mapping[str, Any]) -> bool:
    """Whether a server has to be asked for the view FULL, to hear of a run's tasks."""
    return bool(run.get("task_count")) and not run.get("tasks")


def task_runs(run: Mapping[str, Any]) -> dict[str, TaskRun]:
    """Return what there is of a run's tasks, by their names; the newest of those of one name."""
    tasks = run.get("tasks")
    if tasks:
        return {str(task.get("name", "")): _of_task(task) for task in _in_order(tasks)}
    details = _in_order((run.get("run_details") or {}).get("task_details") or ())
    nodes = Nodes(details)
    runs = {}
    for detail in details:
        name = str(detail.get("display_name", ""))
        runs[name] = _of_detail(detail, nodes, dict(nodes.executors(nodes.graphs, name)))
    return runs


def item_runs(run: Mapping[str, Any], task: Task) -> dict[tuple[int, ...], TaskRun]:
    """Return what there is of a loop's task for each item; {} if that is not known.

    The keys are the places of the items, of each loop around it one.
    """
    if not task.loops:
        return {}
    if run.get("tasks"):
        by_id = {str(one.get("task_id", "")): one for one in run["tasks"]}
        ran = [(_items_of(one, by_id), one) for one in _in_order(run["tasks"])]
        return {
            item: _of_task(one)
            for item, one in ran
            if one.get("name") == task.key and len(item) == len(task.loops)
        }
    details = _in_order((run.get("run_details") or {}).get("task_details") or ())
    nodes = Nodes(details)
    executors = {
        node: (item, executor)
        for item, path in _paths_of_items(nodes, task.loops)
        for node, executor in nodes.executors(path, task.key)
    }
    runs = {}
    for detail in details:
        if detail.get("display_name") == task.key:
            own = {c: executors[c] for c in _children(detail) if c in executors}
            below = {node: executor for node, (_, executor) in own.items()}
            for item, _ in own.values():
                runs[item] = _of_detail(detail, nodes, below)
    return dict(sorted(runs.items()))


def _items_of(task: Mapping[str, Any], by_id: Mapping[str, Mapping[str, Any]]) -> tuple[int, ...]:
    """Return the places of the items for which a task ran: tasks above it have them."""
    seen: set[str] = set()
    items: list[int] = []
    above = str(task.get("parent_task_id") or "")
    while above in by_id and above not in seen:
        seen.add(above)
        index = (by_id[above].get("type_attributes") or {}).get("iteration_index")
        if index is not None:
            items.insert(0, int(index))
        above = str(by_id[above].get("parent_task_id") or "")
    return tuple(items)


def _paths_of_items(
    nodes: Nodes, loops: Sequence[str]
) -> Iterator[tuple[tuple[int, ...], list[str]]]:
    """Yield the items of loops in each other, with Argo's nodes of what is done for each.

    (iterationItemTask in backend/src/v2/compiler/argocompiler/dag.go, 2.17.0)
    """
    known: list[tuple[tuple[int, ...], list[str]]] = [((), nodes.graphs)]
    for loop in loops:
        known = [
            ((*item, index), below)
            for item, path in known
            for index in range(nodes.longest_loop)
            if (begun := nodes.begun(nodes.below(path, loop), argo_name_of(index)))
            for below in [nodes.below(begun, "iteration-item")]
        ]
    yield from known


def argo_name_of(index: int) -> str:
    """Return what Argo calls all that is done for one item of a loop, by the item's place."""
    return f"iteration-iterations({index}:{index})"


def tasks_without_a_specification(run: Mapping[str, Any]) -> list[Task]:
    """Return the tasks of a run whose specification is gone."""
    if run.get("tasks"):
        names = {str(t.get("name", "")) for t in run["tasks"] if t.get("type") in _OF_PODS}
    else:
        # Whatever has a driver is a task.
        known = task_runs(run)
        names = {name for name in known if f"{name}{_DRIVER}" in known and name != "root"}
    return [Task(name, name) for name in sorted(names)]


def time_of(text: Any) -> datetime | None:
    """Return a time as a server writes it, None for what has not happened."""
    return None if not text or text in NEVER else datetime.fromisoformat(text)


def message_of(entry: Mapping[str, Any]) -> str:
    """Return what is said of the failure of a run or a task, "" for nothing."""
    error = entry.get("error") or {}
    return str(error.get("message", "")) if isinstance(error, dict) else str(error)


def _in_order(entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(entries, key=lambda e: e.get("start_time") or e.get("create_time") or "")


def _of_task(task: Mapping[str, Any]) -> TaskRun:
    pods = [str(pod.get("name")) for pod in task.get("pods") or () if pod.get("type") == "EXECUTOR"]
    return TaskRun(
        str(task.get("state") or ""),
        time_of(task.get("create_time")),
        time_of(task.get("end_time")),
        str((task.get("status_metadata") or {}).get("message") or ""),
        tuple(reversed(pods)),
    )


def _of_detail(detail: Mapping[str, Any], nodes: Nodes, executors: Mapping[str, str]) -> TaskRun:
    state = str(detail.get("state") or "")
    return TaskRun(
        CACHED if state == "SUCCEEDED" and _is_cached(detail, nodes.details) else state,
        time_of(detail.get("start_time")),
        time_of(detail.get("end_time")),
        message_of(detail),
        tuple(dict.fromkeys(_pods(detail, nodes, executors))),
    )


def _is_cached(detail: Mapping[str, Any], details: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a task's executor was skipped, as its condition is that nothing was in the cache.

    (addContainerExecutorTemplate in backend/src/v2/compiler/argocompiler/container.go, 2.17.0.)
    A server that does not say which node is whose tells as much by the times: no pod begins and
    ends in a second.
    """
    executors = [d for d in details if _EXECUTOR.fullmatch(str(d.get("display_name", "")))]
    below = _children(detail)
    own = [d for d in executors if d.get("pod_name") in below]
    if own:
        return all(d.get("state") == "SKIPPED" for d in own)
    started, ended = time_of(detail.get("start_time")), time_of(detail.get("end_time"))
    if started is None or ended is None or ended - started > _MOMENT:
        return False
    skipped = [time_of(d.get("start_time")) for d in executors if d.get("state") == "SKIPPED"]
    return any(at is not None and abs(at - started) <= _MOMENT for at in skipped)


def _children(detail: Mapping[str, Any]) -> list[str]:
    children = [child.get("pod_name") for child in detail.get("child_tasks") or ()]
    return [str(child) for child in children if child]


def _pods(detail: Mapping[str, Any], nodes: Nodes, executors: Mapping[str, str]) -> Iterator[str]:
    by_name = {str(d["pod_name"]): d for d in nodes.details if d.get("pod_name")}
    for child in reversed(_children(detail)):
        below = [*_down_to_pods(child, by_name)]
        for node in below[:-1]:
            yield from _pod_names(node)
        if child in executors:
            for node in reversed(nodes.tries(executors[child])):
                yield from _pod_names(nodes.id_of(node))
        for node in below[-1:]:
            yield from _pod_names(node)
    own = [detail.get("pod_name"), (detail.get("executor_detail") or {}).get("main_job")]
    yield from (str(name) for name in own if name)


def _down_to_pods(node: str, by_name: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a task's nodes of Argo, those that are pods first, and of them the last try.

    What comes after a task is in Argo a child of the task's last node too.
    """
    detail = by_name.get(node)
    if detail is not None:
        if not _EXECUTOR.fullmatch(str(detail.get("display_name", ""))):
            return
        for child in reversed(_children(detail)):
            yield from _down_to_pods(child, by_name)
    yield node


class Nodes:
    """The nodes of Argo's workflow, by their paths, as far as a server tells of them.

    Servers up to 2.17 name of a node its children alone, by ids. The number in an id is the FNV-1a
    hash of the node's path, so that what the path of a node can be is known to be there, or not.

    Where templates have a retry strategy (on stock installations all have one, by templateDefaults
    of the controller's configuration: those of graphs too), a node `x` has its tries `x(0)`, `x(1)`
    below it, and what is in a graph stands below a try: `w(0).root(0).train(0).executor(0)`.
    (executeTemplate in workflow/controller/operator.go, taskNodeName in workflow/controller/dag.go
    and NodeID in pkg/apis/workflow/v1alpha1/workflow_types.go of argoproj/argo-workflows.) What is
    skipped, and what stands for all items of a loop, has no template that is tried.
    """

    def __init__(self, details: Sequence[Mapping[str, Any]]) -> None:
        self.details = details
        self.ids = frozenset(child for detail in details for child in _children(detail))
        self.names = [str(d.get("display_name", "")) for d in details]
        self.workflow = next((one.rpartition("-")[0] for one in sorted(self.ids)), "")
        known = [int(match[1]) for name in self.names if (match := ITERATION.match(name))]
        self.longest_loop = max(known, default=-1) + 1

    def id_of(self, path: str) -> str:
        """Return the id of a node."""
        return f"{self.workflow}-{fnv1a(path)}"

    def tries(self, path: str) -> list[str]:
        """Return the tries of a node in their order, or the node itself where it has none."""
        tries: list[str] = []
        while self.id_of(again := f"{path}({len(tries)})") in self.ids:
            tries.append(again)
        return tries or [path]

    def below(self, paths: Sequence[str], *names: str) -> list[str]:
        """Return the tries of a node in graphs, or in what stands in these."""
        for name in names:
            inner = [f"{path}.{name}" for path in paths]
            paths = [node for path in inner for node in self.tries(path)]
        return list(paths)

    def begun(self, paths: Sequence[str], name: str) -> list[str]:
        """Return the tries of a node in graphs where it is known to be there."""
        there = [path for path in paths if self.id_of(f"{path}.{name}") in self.ids]
        return self.below(there, name)

    def executors(self, paths: Sequence[str], task: str) -> Iterator[tuple[str, str]]:
        """Yield ids of what can be below a task's node in graphs, with the path of its executor.

        That is the executor, or a try of the task.
        """
        for path in self.below(paths, task):
            executor = f"{path}.executor"
            yield self.id_of(path), executor
            yield self.id_of(executor), executor

    @cached_property
    def graphs(self) -> list[str]:
        """The tries of the pipeline's graph, and of graphs in it that are no loops.

        What runs after all others is a hook of the graph that has them, `x.onExit` (addExitTask in
        backend/src/v2/compiler/argocompiler/common.go, 2.17.0, runOnExitNode in
        workflow/controller/exit_handler.go of argoproj/argo-workflows).
        """
        roots = self.below(self.tries(self.workflow), "root")
        names = set(self.names)
        groups = [f"{root}.{n}" for n in names if f"{n}{_DRIVER}" in names for root in roots]
        groups += [f"{group}.onExit" for group in groups]
        inner = [
            path for group in groups if self.id_of(group) in self.ids for path in self.tries(group)
        ]
        return [*roots, *(p for p in inner if self.id_of(f"{p}.executor") not in self.ids)]


def fnv1a(text: str) -> int:
    """Return the FNV-1a hash of 32 bits."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def _pod_names(argo_node: str) -> tuple[str, str]:
    """Return what the pod of one of Argo's nodes is called: newer releases name the template."""
    workflow, _, number = argo_node.rpartition("-")
    return f"{workflow}-{_TEMPLATE}-{number}", argo_node


def seconds_of(task: TaskRun, run: Mapping[str, Any], *, over: bool) -> float | None:
    """Return how long a task has worked, None if it has not begun."""
    if task.started is None:
        return None
    ended = task.ended
    if over and ended is None:
        ended = time_of(run.get("finished_at"))
    return ((ended or datetime.now(UTC)) - task.started).total_seconds()
