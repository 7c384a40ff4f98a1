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
_ITERATION = re.compile(r"iteration-iterations\((\d+):.*\)")
_OF_PODS = ("RUNTIME", "IMPORTER")
_MOMENT = timedelta(seconds=1)
# As many tries of a pod are looked for.
_TRIES = 3


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
    return {str(d.get("display_name", "")): _of_detail(d, details) for d in details}


def item_runs(run: Mapping[str, Any], task: Task) -> dict[int, TaskRun]:
    """Return what there is of a loop's task for each item, by the item's place; {} if not known."""
    if not task.loop:
        return {}
    if run.get("tasks"):
        by_id = {str(one.get("task_id", "")): one for one in run["tasks"]}
        return {
            index: _of_task(one)
            for one in _in_order(run["tasks"])
            if one.get("name") == task.key and (index := _iteration_of(one, by_id)) is not None
        }
    details = _in_order((run.get("run_details") or {}).get("task_details") or ())
    names = [str(d.get("display_name", "")) for d in details]
    known = [int(match[1]) for name in names if (match := _ITERATION.fullmatch(name))]
    nodes = {
        node: index
        for index in range(max(known, default=-1) + 1)
        for node in _nodes_of_item(details, names, task, index)
    }
    runs = {}
    for detail in details:
        if detail.get("display_name") == task.key:
            for child in _children(detail):
                if child in nodes:
                    runs[nodes[child]] = _of_detail(detail, details)
    return dict(sorted(runs.items()))


def _iteration_of(task: Mapping[str, Any], by_id: Mapping[str, Mapping[str, Any]]) -> int | None:
    """Return the place of the item for which a task ran: a task above it has that."""
    seen: set[str] = set()
    above = str(task.get("parent_task_id") or "")
    while above in by_id and above not in seen:
        seen.add(above)
        index = (by_id[above].get("type_attributes") or {}).get("iteration_index")
        if index is not None:
            return int(index)
        above = str(by_id[above].get("parent_task_id") or "")
    return None


def _nodes_of_item(
    details: Sequence[Mapping[str, Any]], names: Sequence[str], task: Task, index: int
) -> Iterator[str]:
    """Yield what Argo's node of a task's executor is called, for an item of its loop.

    (iterationItemTask in backend/src/v2/compiler/argocompiler/dag.go, 2.17.0.) Where Argo tries
    everything again, each node of the path is the first try of one.
    """
    workflows = {child.rpartition("-")[0] for detail in details for child in _children(detail)}
    for workflow in workflows:
        for group in _groups(names):
            around = [workflow, "root", *filter(None, [group.rstrip(".")]), task.loop]
            around += [argo_name_of(index), "iteration-item"]
            # One that is tried again has its tries below it.
            yield f"{workflow}-{fnv1a('.'.join([*around, task.key, 'executor']))}"
            tries = [f"{part}(0)" for part in around]
            yield f"{workflow}-{fnv1a('.'.join([*tries, f'{task.key}(0)']))}"


def _groups(names: Sequence[str]) -> list[str]:
    """Return the beginnings of paths below the root, those of inner graphs too."""
    return ["", *(f"{name}." for name in names if f"{name}{_DRIVER}" in names)]


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


def _of_detail(detail: Mapping[str, Any], details: Sequence[Mapping[str, Any]]) -> TaskRun:
    state = str(detail.get("state") or "")
    return TaskRun(
        CACHED if state == "SUCCEEDED" and _is_cached(detail, details) else state,
        time_of(detail.get("start_time")),
        time_of(detail.get("end_time")),
        message_of(detail),
        tuple(dict.fromkeys(_pods(detail, details))),
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


def _pods(detail: Mapping[str, Any], details: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    by_name = {str(d["pod_name"]): d for d in details if d.get("pod_name")}
    names = [str(d.get("display_name", "")) for d in details]
    groups = _groups(names)
    for child in _children(detail):
        nodes = [*_down_to_pods(child, by_name)]
        for node in nodes[:-1]:
            yield from _pod_names(node)
        for node in (*_tries(child, str(detail.get("display_name", "")), groups), *nodes[-1:]):
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


def _tries(executor: str, task: str, groups: Sequence[str]) -> Iterator[str]:
    """Yield Argo's nodes for the tries of a task, the last first, where its executor has tries.

    Servers up to 2.17 name the executor alone. The number in a node's name is the FNV-1a hash of
    its path, so that the path of a try can be put together once that of the executor is found.
    (NodeID in pkg/apis/workflow/v1alpha1/workflow_types.go of argoproj/argo-workflows.)
    """
    workflow, _, number = executor.rpartition("-")
    for group in groups:
        path = f"{workflow}.root.{group}{task}.executor"
        if str(fnv1a(path)) == number:
            for count in reversed(range(_TRIES)):
                yield f"{workflow}-{fnv1a(f'{path}({count})')}"
            return


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
