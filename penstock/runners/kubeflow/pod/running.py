"""One node in a pod: the same steps as in a local run, with the launcher's paths around them."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from typing import Any

from penstock import ir
from penstock.data.files import tfx_files
from penstock.errors import PenstockError, RunError
from penstock.execution import nodes, preconditions, work
from penstock.execution.recovery import mark_abandoned, mark_superseded
from penstock.execution.workers import failures
from penstock.execution.workers.interrupts import Interrupts, counted_interrupts
from penstock.execution.workers.nursery import Failed, Job, Nursery, Report, Succeeded
from penstock.metadata import attempts, leases
from penstock.metadata.run_requests import record_parameters
from penstock.metadata.store import connect, connection_config
from penstock.runners.kubeflow.contract import names, places
from penstock.runners.kubeflow.contract.task import (
    DECIDE,
    HOLDS,
    RECORD,
    RUN,
    RUN_ID_VARIABLE,
    PodTask,
)
from penstock.runners.kubeflow.pod import inputs, launcher, outputs
from penstock.runners.kubeflow.pod import visualizations as shown
from penstock.runners.kubeflow.pod.launcher import ExecutorInput
from penstock.safety import secrets

_GRACE_SECONDS = 10.0
_CANCELED = "its pod was asked to end: the run was canceled, or it took longer than its timeout"
_LOST = "it was taken for abandoned while it was not heard of"

DONE, FAILED, CANCELED = "done", "failed", "canceled"


@dataclass
class Pod:
    """A node under way in a pod; `prepared` is what is registered of it so far."""

    task: PodTask
    given: ExecutorInput
    pipeline: Any
    node: Any
    run_id: str
    metadata: Any
    connection: Any
    lease: leases.Lease
    interrupts: Interrupts
    nursery: Nursery | None
    prepared: nodes.Prepared | None = None

    @property
    def node_id(self) -> str:
        """The node's name."""
        return str(self.node.node_info.id)

    @property
    def stopped(self) -> str:
        """Why the work must end now, "" if it need not."""
        if self.lease.lost.is_set():
            return _LOST
        return _CANCELED if self.interrupts.count else ""


def run_task(task: PodTask, given: ExecutorInput) -> str:
    """Do what a task asks for and report to the launcher; return DONE, FAILED or CANCELED.

    Raises:
      PenstockError: nothing could be begun.
    """
    pipeline, run_id = bind(task, given)
    [node] = ir.nodes(pipeline)
    connection = connection_config(secrets.resolve_address(task.store))
    preconditions.check(pipeline)
    with (
        _nursery(task, pipeline, node) as nursery,
        connect(connection) as metadata,
        counted_interrupts() as interrupts,
    ):
        if task.action == DECIDE:
            return _decide(task, given, pipeline, node, run_id, metadata)
        mark_abandoned(metadata)
        mark_superseded(metadata, run_id, task.node)
        attempt = attempts.begin(metadata.store, run_id, task.node)
        state = FAILED
        try:
            with leases.kept(connection, attempt) as lease:
                pod = Pod(
                    task,
                    given,
                    pipeline,
                    node,
                    run_id,
                    metadata,
                    connection,
                    lease,
                    interrupts,
                    nursery,
                )
                state = _run(pod)
        finally:
            attempts.end(metadata.store, attempt, state)
    return state


@contextmanager
def _nursery(task: PodTask, pipeline: Any, node: Any) -> Iterator[Nursery | None]:
    """Start what starts workers, before this process does anything else.

    It imports what the node's work needs while inputs are looked up and fetched.
    """
    if task.action != RUN or nodes.is_system_node(node):
        yield None
        return
    needs: tuple[str, ...] = ()
    # Code that does not load is told when the node has been registered.
    with contextlib.suppress(Exception):
        needs = work.preloads(ir.class_path(ir.executor_spec(pipeline, task.node)))
    nursery = Nursery(needs, _log(), fork=True)
    try:
        yield nursery
    finally:
        nursery.close()


def _log() -> str:
    """Return the path of this process's standard output: all of it is the node's log."""
    return f"/proc/{os.getpid()}/fd/1"


def bind(task: PodTask, given: ExecutorInput) -> tuple[Any, str]:
    """Return the task's IR with parameters and places filled in, and the run's name.

    Raises:
      ParameterError: a parameter has not come, or is none of its type.
      RunError: the run's name is not known.
    """
    localized = secrets.map_texts(
        task.pipeline, lambda text: places.localize(text, task.project_folder)
    )
    compiled = replace(task, pipeline=localized).ir()
    name = compiled.pipeline_info.id
    run_id = os.environ.get(RUN_ID_VARIABLE) or launcher.run_name(names.pipeline_name(name), given)
    values = launcher.bind_parameters(given.parameters, task.parameters)
    # What a node keeps while it works; its outputs are elsewhere.
    root = tempfile.mkdtemp(prefix=f"{name}-")
    compiled.runtime_spec.pipeline_root.field_value.string_value = root
    return ir.bind(compiled, run_id=run_id, parameters=values), run_id


def _run(pod: Pod) -> str:
    try:
        record_parameters(pod.metadata, pod.node, pod.run_id, _parameters(pod))
        outcome = _live(pod)
    except _Stopped as stopped:
        return _give_up(pod, CANCELED, str(stopped))
    except (PenstockError, OSError) as error:
        return _give_up(pod, FAILED, failures.describe(error, _root(pod)))
    except BaseException:
        _give_up(pod, FAILED, "its pod ended in an error")
        raise
    _tell(pod, outcome)
    return DONE


class _Stopped(RunError):
    """The work was stopped from outside."""


def _parameters(pod: Pod) -> dict[str, Any]:
    return launcher.bind_parameters(pod.given.parameters, pod.task.parameters)


def _root(pod: Pod) -> str:
    return str(pod.pipeline.runtime_spec.pipeline_root.field_value.string_value)


def _live(pod: Pod) -> nodes.Finished | nodes.Skipped:
    """Take the node through its life."""
    copies = inputs.copies(pod.given)
    tfx_files.register(copies.path)
    known = inputs.known_inputs(
        pod.metadata.store, pod.task, pod.pipeline.pipeline_info.id, pod.run_id, pod.given
    )
    if reason := _lacks(pod.node, known):
        return nodes.Skipped(reason)
    node = nodes.with_static_inputs(pod.node, known.ids)
    if pod.task.action == RECORD:
        return _record(pod, node, copies)
    site = nodes.Site(copies, outputs.places(pod.task.outputs, pod.given.outputs))
    outcome = nodes.prepare(pod.metadata, pod.pipeline, node, site=site)
    if isinstance(outcome, nodes.Prepared) and outcome.driver is not None:
        pod.prepared = outcome
        outcome = nodes.apply_driver(outcome, _work(pod, outcome, "driver").result)
    if isinstance(outcome, nodes.Prepared):
        pod.prepared = outcome
        outcome = nodes.look_up(pod.metadata, outcome)
    if isinstance(outcome, nodes.Prepared):
        pod.prepared = outcome
        done = _work(pod, outcome, "executor")
        outcome = nodes.publish(pod.metadata, outcome, done.result, done.measured)
    return outcome


def _record(pod: Pod, node: Any, copies: inputs.Copies) -> nodes.Finished | nodes.Skipped:
    """Write down what a container of its own has done: its outputs are among the task's inputs."""
    made = {name: found[0] for name, found in pod.given.inputs.items() if found}
    site = nodes.Site(copies, outputs.places(pod.task.outputs, made))
    outcome = nodes.prepare(pod.metadata, pod.pipeline, node, site=site)
    if not isinstance(outcome, nodes.Prepared):
        return outcome
    pod.prepared = outcome
    known = inputs.known_outputs(pod.metadata.store, pod.task.outputs, made)
    if known is not None:
        return nodes.take_known(pod.metadata, outcome, known)
    return nodes.take_made(pod.metadata, outcome)


def _lacks(node: Any, known: inputs.KnownInputs) -> str:
    """Return why a node cannot run because of what was not made, "" if it can."""
    for key, reason in known.not_made.items():
        if node.inputs.inputs[key].min_count:
            return f"its input {key!r} was not made: {reason}"
    return ""


def _work(pod: Pod, prepared: nodes.Prepared, kind: str) -> Succeeded:
    """Have a worker do the work of a driver or an executor.

    Raises:
      RunError: it failed.
      _Stopped: the pod was asked to end meanwhile.
    """
    if reason := pod.stopped:
        raise _Stopped(reason)
    spec = prepared.driver if kind == "driver" else prepared.executor
    assert pod.nursery is not None
    needs = work.preloads(ir.class_path(spec))
    sys.stdout.flush()
    connection = pod.connection if kind == "driver" else None
    job = Job(
        kind,
        prepared.invocation(),
        spec,
        _log(),
        connection,
        needs,
        pod.node_id,
        pipeline_root=_root(pod),
    )
    pod.nursery.submit(kind, job)
    report = _await(pod, pod.nursery, kind)
    if reason := pod.stopped:
        raise _Stopped(reason)
    if isinstance(report, Succeeded):
        return report
    raise RunError((report.message if isinstance(report, Failed) else "") or "it had no result")


def _await(pod: Pod, nursery: Nursery, token: str) -> Report:
    """Wait for a worker's end; once the pod is to end it is stopped, after a while for good."""
    deadline = None
    while True:
        if pod.stopped and deadline is None:
            nursery.stop(token, signal.SIGTERM)
            deadline = time.monotonic() + _GRACE_SECONDS
        if deadline is not None and time.monotonic() > deadline:
            nursery.stop(token, signal.SIGKILL)
            return Failed("it did not end when it was asked to")
        if not wait([nursery.connection], 0.2):
            continue
        try:
            reports = nursery.receive()
        except (EOFError, OSError):
            return Failed("the process that starts its worker was killed")
        for about, report in reports:
            # The end of the process that has worked before is told too.
            if about == token and isinstance(report, (Succeeded, Failed)):
                return report


def _give_up(pod: Pod, state: str, reason: str) -> str:
    """Record how the node failed, remove what it wrote, and say so last of all."""
    reason = secrets.redaction_for(pod.task.to_text().encode()).text(reason)
    if pod.prepared is not None:
        recorded = nodes.CANCELED if state == CANCELED else nodes.FAILED
        nodes.give_up(pod.metadata, pod.prepared, recorded, reason)
    print(f"{pod.node_id}  {state}  {reason}", file=sys.stderr, flush=True)
    return state


def _tell(pod: Pod, outcome: nodes.Finished | nodes.Skipped) -> None:
    """Report to the launcher."""
    made: Mapping[str, list[Any]] = {}
    reason = ""
    if isinstance(outcome, nodes.Skipped):
        reason, state = outcome.reason, f"skipped  {outcome.reason}"
    else:
        made, state = outcome.outputs, "cached" if outcome.cached else "done"
    told = outputs.reported(pod.task.outputs, pod.given, made, reason)
    told |= shown.reported(pod.task, pod.given, pod.metadata.store, pod.run_id, made, state)
    launcher.write_output(pod.given.output_file, told)
    print(f"{pod.node_id}  {state}", file=sys.stderr, flush=True)


def _decide(
    task: PodTask, given: ExecutorInput, pipeline: Any, node: Any, run_id: str, metadata: Any
) -> str:
    """Write whether a node's conditions hold."""
    tfx_files.register(inputs.copies(given).path)
    known = inputs.known_inputs(metadata.store, task, pipeline.pipeline_info.id, run_id, given)
    deciding = nodes.with_static_inputs(node, known.ids)
    holds = not _lacks(node, known) and nodes.conditions_hold(metadata, deciding)
    with open(given.files[HOLDS], "w", encoding="utf-8") as file:
        file.write("true" if holds else "false")
    launcher.write_output(given.output_file, {})
    print(f"{task.node}: its conditions {'hold' if holds else 'do not hold'}", flush=True)
    return DONE
