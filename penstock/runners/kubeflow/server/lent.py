"""Recording in our store what Kubeflow's cache has lent: no pod ran that would have done it.

The server says which tasks its cache stood in for, and not whose outputs they got. Its cache knows
a task by its image, what its container is told (with a digest of its code), its parameters and its
inputs, and lends what the last pod of these has made. All of that our store has too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from penstock import _tfx, ir
from penstock.errors import PenstockError
from penstock.execution.cache import GIVEN_PROPERTY, given_fingerprint, recorded_fingerprint
from penstock.execution.resolution import node_parameters
from penstock.execution.reuse import take_over
from penstock.ir.reading import RUN_CONTEXT
from penstock.metadata import leases, turns
from penstock.metadata.executions import node_executions
from penstock.metadata.protocol import Metadata, Store
from penstock.metadata.run_requests import record_parameters
from penstock.metadata.run_times import record_times
from penstock.metadata.runs import IMAGE_PROPERTY
from penstock.metadata.store import connect, execution_inputs, execution_outputs
from penstock.runners.kubeflow.contract import locations
from penstock.runners.kubeflow.contract.documents import told_tasks
from penstock.runners.kubeflow.contract.task import RUN, PodTask, code_digest
from penstock.runners.kubeflow.pod.launcher import bind_parameters
from penstock.runners.kubeflow.server.operations import FINAL, find_run, newest_runs, specification
from penstock.runners.kubeflow.server.service import Service
from penstock.runners.kubeflow.server.tasks import CACHED, task_runs
from penstock.safety.secrets import map_texts

_LEASE = "kubeflow_cache"
# Of a run's context: that it has been looked through.
_RECORDED = "kubeflow_cache"
_NEWEST = 20
_OFTEN_SECONDS = 60.0


@dataclass(frozen=True)
class _Lent:
    """A task that Kubeflow's cache stood in for: its node, bound to the run, and its image."""

    task: PodTask
    node: ir.Node
    image: str
    parameters: Mapping[str, Any]


def record_lent(
    metadata: Metadata, connection: _tfx.Connection, service: Service, run_id: str = ""
) -> list[str]:
    """Record what the cache has lent to runs that are over, once for each; return their names.

    It is done for the newest runs, or for the one that is named. `connection` is the store's.

    Raises:
      PenstockError: the server cannot be asked.
    """
    asked = [find_run(service, run_id)] if run_id else newest_runs(service, _NEWEST)
    runs = [run for run in asked if run.get("state") in FINAL]
    due = [run for run in runs if _is_due(metadata.store, run)]
    recorded = []
    if due:
        try:
            with leases.held(metadata.store, connection, _LEASE):
                # The oldest first, as runs are listed by when they came to the store.
                for run in reversed(due):
                    if _is_due(metadata.store, run) and _record(metadata, service, run["run_id"]):
                        recorded.append(str(run["run_id"]))
        except turns.Held:
            pass  # another process is at it
    return recorded


@contextmanager
def kept_recorded(
    connection: _tfx.Connection, reach: Callable[[], Service], seconds: float = _OFTEN_SECONDS
) -> Iterator[None]:
    """Record meanwhile, again and again, what the cache has lent to the newest runs.

    `reach` reaches the server each time: one that cannot be asked now is asked the next time, and
    so is the store.
    """
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(seconds):
            with suppress(PenstockError), connect(connection, create=False) as metadata:
                record_lent(metadata, connection, reach())

    thread = threading.Thread(target=repeat, name="what Kubeflow's cache lends", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


def _is_due(store: Store, run: Mapping[str, Any]) -> bool:
    """Whether a run may have something that is not recorded.

    One that has failed before any pod began has nothing that could be shown.
    """
    context = store.get_context_by_type_and_name(RUN_CONTEXT, run["run_id"])
    if context is None:
        return run.get("state") == "SUCCEEDED"
    return _RECORDED not in context.custom_properties


def _record(metadata: Metadata, service: Service, run_id: str) -> bool:
    """Record what a run was lent; return whether that was anything."""
    run = find_run(service, run_id)
    store = metadata.store
    had_pods = store.get_context_by_type_and_name(RUN_CONTEXT, run_id) is not None
    taken: dict[str, _tfx.Artifacts] = {}
    lent = False
    for entry in _lent_tasks(specification(service, run), run):
        if any(node_executions(store, entry.node.pipeline, entry.node.id, run=run_id)):
            continue
        record_parameters(metadata, entry.node, entry.parameters)
        inputs = _inputs(store, entry, taken)
        lender = _lender(store, entry, inputs)
        execution_id, outputs = lender if lender else (None, {})
        take_over(metadata, entry.node, execution_id, outputs, inputs or {})
        taken[entry.node.id] = outputs
        lent = True
    context = store.get_context_by_type_and_name(RUN_CONTEXT, run_id)
    if context is None:
        return False
    if lent and not had_pods:
        began, ended = (datetime.fromisoformat(run[at]) for at in ("created_at", "finished_at"))
        record_times(store, run_id, began, ended)
        context = store.get_context_by_type_and_name(RUN_CONTEXT, run_id)
        assert context is not None
    context.custom_properties[_RECORDED].string_value = "recorded"
    store.put_contexts([context])
    return lent


def _lent_tasks(spec: Mapping[str, Any], run: Mapping[str, Any]) -> Iterator[_Lent]:
    """Yield the tasks of a run that the cache stood in for, each after those that it needs."""
    states = {name: task.state for name, task in task_runs(run).items()}
    declared = spec.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    defaults = {
        name: entry["defaultValue"] for name, entry in declared.items() if "defaultValue" in entry
    }
    given = {**defaults, **((run.get("runtime_config") or {}).get("parameters") or {})}
    for key, (told, image) in told_tasks(spec).items():
        if states.get(key) != CACHED:
            continue
        try:
            task = PodTask.from_texts(told)
            if task.action != RUN or task.loops:
                continue
            parameters = bind_parameters(given, task.parameters)
            compiled = replace(task, pipeline=_as_in_pods(task)).ir()
            bound = ir.view(ir.bind(compiled, run_id=run["run_id"], parameters=parameters))
        except PenstockError:
            continue  # another version of Penstock has compiled it
        [node] = bound
        yield _Lent(task, node, image, parameters)


def _as_in_pods(task: PodTask) -> Mapping[str, Any]:
    """Return a task's pipeline with the paths that it has in its pod, as far as they are known."""
    return map_texts(task.pipeline, lambda text: locations.localize(text, task.project_folder))


def _inputs(
    store: Store, lent: _Lent, taken: Mapping[str, _tfx.Artifacts]
) -> dict[str, list[Any]] | None:
    """Return what a task took from others of its run by key, None if that is not known."""
    inputs: dict[str, list[Any]] = {}
    for wanted in lent.task.inputs:
        outputs = taken.get(wanted.producer)
        if outputs is None:
            executions = node_executions(
                store, lent.node.pipeline, wanted.producer, run=lent.node.run_id
            )
            done = next(filter(_tfx.execution_lib.is_execution_successful, executions), None)
            if done is None:
                return None
            outputs = execution_outputs(store, done.id)
        inputs.setdefault(wanted.key, []).extend(outputs.get(wanted.output, ()))
    return inputs


def _lender(
    store: Store, lent: _Lent, inputs: Mapping[str, list[Any]] | None
) -> tuple[int, _tfx.Artifacts] | None:
    """Return the newest execution of a node that did what a task would have done, its outputs."""
    if inputs is None:
        return None
    wanted = _ids(inputs)
    for execution in node_executions(store, lent.node.pipeline, lent.node.id):
        succeeded = _tfx.execution_lib.is_execution_successful(execution)
        if (
            succeeded
            and _is_like(execution, lent)
            and _ids(execution_inputs(store, execution.id)) == wanted
        ):
            return int(execution.id), execution_outputs(store, execution.id)
    return None


def _is_like(execution: _tfx.ExecutionProto, lent: _Lent) -> bool:
    """Whether an execution had a task's image, code and parameters."""
    recorded = recorded_fingerprint(execution)
    if recorded is None or _text(execution, IMAGE_PROPERTY) != lent.image:
        return False
    given = given_fingerprint(recorded.node, recorded.code, node_parameters(lent.node))
    return lent.task.code == code_digest(recorded.code) and given == _text(
        execution, GIVEN_PROPERTY
    )


def _text(execution: _tfx.ExecutionProto, name: str) -> str:
    properties = execution.custom_properties
    return properties[name].string_value if name in properties else ""


def _ids(artifacts: Mapping[str, Iterable[Any]]) -> dict[str, list[int]]:
    return {key: sorted(a.id for a in of_key) for key, of_key in artifacts.items() if of_key}
