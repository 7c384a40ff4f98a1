"""One node in a pod: the same steps as in a local run, with the launcher's paths around them."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from penstock import _tfx, ir
from penstock.data.files import tfx_files
from penstock.errors import PenstockError
from penstock.execution import needs, preconditions, publication, work
from penstock.execution.lifecycle import Life
from penstock.execution.looping import items_of
from penstock.execution.publication import give_up, publish_recorded, publish_staged
from penstock.execution.recovery import mark_abandoned, mark_superseded
from penstock.execution.registration import prepare
from penstock.execution.resolution import conditions_hold, looked_up
from penstock.execution.schedule import State
from penstock.execution.stages import (
    Broken,
    Finished,
    Outcome,
    Placement,
    Prepared,
    Skipped,
    Work,
)
from penstock.execution.waiting import StoreWait
from penstock.execution.workers import failures
from penstock.execution.workers.interrupts import Interrupts, counted_interrupts
from penstock.execution.workers.jobs import Failed, Started, Succeeded, job_of
from penstock.execution.workers.nursery import Nurseries
from penstock.execution.workers.pool import Pool
from penstock.ir.loops import GIVEN
from penstock.ir.unfolding import given_items, unfold, value_items
from penstock.metadata import attempts, leases, turns
from penstock.metadata.databases.patience import Patience
from penstock.metadata.protocol import Metadata
from penstock.metadata.run_requests import record_parameters
from penstock.metadata.store import connect, connection_config
from penstock.project.profiles import Profile
from penstock.project.retrying import TIMEOUT, Retries
from penstock.runners.kubeflow.contract import items, locations, names
from penstock.runners.kubeflow.contract.task import (
    DECIDE,
    HOLDS,
    MAKE_ITEMS,
    RECORD,
    RUN,
    RUN_ID_VARIABLE,
    PodTask,
)
from penstock.runners.kubeflow.contract.tries import TRIES_VARIABLE, Tries
from penstock.runners.kubeflow.pod import inputs, launcher, outputs
from penstock.runners.kubeflow.pod import visualizations as shown
from penstock.runners.kubeflow.pod.launcher import ExecutorInput
from penstock.safety import secrets

_GRACE_SECONDS = 10.0
# How long it takes at most until what has happened meanwhile is seen.
_LOOK_SECONDS = 0.2
_CANCELED = "its pod was asked to end: the run was canceled, or it took longer than its timeout"
_LOST = "it was taken for abandoned while it was not heard of"

DONE, FAILED, CANCELED = "done", "failed", "canceled"


@dataclass(frozen=True)
class Pod:
    """A node under way in a pod, which holds an attempt at it."""

    task: PodTask
    executor_input: ExecutorInput
    node: ir.Node
    metadata: Metadata
    connection: _tfx.Connection  # ML Metadata's connection config
    lease: leases.Lease
    interrupts: Interrupts
    workers: Pool | None
    timeout_seconds: int = 0

    @property
    def stopped(self) -> str:
        """Why the work must end now, "" if it need not."""
        if self.lease.lost.is_set():
            return _LOST
        return _CANCELED if self.interrupts.count else ""


def run_task(task: PodTask, executor_input: ExecutorInput) -> str:
    """Do what a task asks for and report to the launcher; return DONE, FAILED or CANCELED.

    Raises:
      PenstockError: nothing could be begun.
    """
    pipeline = bind(task, executor_input)
    [node] = pipeline
    tries = Tries.from_text(os.environ.get(TRIES_VARIABLE, ""))
    connection = connection_config(secrets.resolve_address(task.store))
    preconditions.check(pipeline)
    if task.action == RUN:
        needs.check(pipeline)
    waiting = StoreWait(_say_waiting)
    patience = Patience(Profile.metadata_patience, meanwhile=waiting)
    with (
        _workers(task, node) as workers,
        connect(connection, patience=patience) as metadata,
        counted_interrupts() as waiting.interrupts,
    ):
        interrupts = waiting.interrupts
        if task.action == MAKE_ITEMS:
            return _make_items(task, executor_input, pipeline, metadata)
        if task.action == DECIDE:
            return _decide(task, executor_input, node, metadata)
        mark_abandoned(metadata)
        mark_superseded(metadata, node.run_id, node.id)

        def attempt() -> tuple[str, str]:
            begun = attempts.begin(metadata.store, node.run_id, node.id)
            state = FAILED
            try:
                with leases.kept(connection, begun) as lease:
                    pod = Pod(
                        task,
                        executor_input,
                        node,
                        metadata,
                        connection,
                        lease,
                        interrupts,
                        workers,
                        tries.timeout_seconds,
                    )
                    state, failure = _run(pod)
            finally:
                turns.end(metadata.store, begun, state)
            return state, failure

        return _try(attempt, tries.retries, interrupts)


def _try(attempt: Callable[[], tuple[str, str]], retries: Retries, interrupts: Interrupts) -> str:
    """Make attempts at a node, as its options allow, until one succeeds; return how it ended.

    An attempt says how it ended and of what its work failed.
    """
    for tried in itertools.count():
        state, failure = attempt()
        pause = retries.pause(tried, failure)
        if state != FAILED or pause is None:
            break
        soon = f" in {pause:g} s" if pause else ""
        print(f"retry {tried + 1} of {retries.count}{soon}", file=sys.stderr, flush=True)
        if not _waited(pause, interrupts):
            return CANCELED
    return state


def _waited(seconds: float, interrupts: Interrupts) -> bool:
    """Let time pass; return whether the pod may go on then."""
    until = time.monotonic() + seconds
    while not interrupts.count and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, _LOOK_SECONDS))
    return not interrupts.count


@contextmanager
def _workers(task: PodTask, node: ir.Node) -> Iterator[Pool | None]:
    """Start what starts workers, before this process does anything else.

    It imports what the node's work needs while inputs are looked up and fetched.
    """
    if task.action != RUN or node.works_in_store:
        yield None
        return
    needs: tuple[str, ...] = ()
    # Code that does not load is told when the node has been registered.
    with contextlib.suppress(Exception):
        needs = work.preloads(node)
    pool = Pool(Nurseries(), needs, _log(), fork=True, apart=False)
    pool.warm_up()
    try:
        yield pool
    finally:
        pool.close()


def _say_waiting(reason: str) -> None:
    if reason:
        print(f"waiting for the metadata store: {reason}", file=sys.stderr, flush=True)


def _log() -> str:
    """Return the path of this process's standard output: all of it is the node's log."""
    return f"/proc/{os.getpid()}/fd/1"


def bind(task: PodTask, executor_input: ExecutorInput) -> ir.Pipeline:
    """Return the task's pipeline with parameters and places filled in.

    Raises:
      ParameterError: a parameter has not come, or is none of its type.
      RunError: the run's name is not known.
    """
    localized = secrets.map_texts(
        task.pipeline, lambda text: locations.localize(text, task.project_folder)
    )
    compiled = replace(task, pipeline=localized).ir()
    ir.check(compiled)
    name = compiled.pipeline_info.id
    run_id = os.environ.get(RUN_ID_VARIABLE) or launcher.run_name(
        names.pipeline_name(name), executor_input
    )
    values = launcher.bind_parameters(executor_input.parameters, task.parameters)
    # What a node keeps while it works; its outputs are elsewhere.
    root = tempfile.mkdtemp(prefix=f"{name}-")
    compiled.runtime_spec.pipeline_root.field_value.string_value = root
    bound = ir.view(ir.bind(compiled, run_id=run_id, parameters=values))
    if task.loop is None:
        return bound
    [node] = bound
    looping = replace(node, loops=(task.loop,))
    pipeline = replace(bound, nodes=MappingProxyType({node.id: looping}))
    if task.action == MAKE_ITEMS:
        return pipeline
    return unfold(pipeline, task.loop, [items.read(executor_input.parameters.get(items.ITEM))])


def _run(pod: Pod) -> tuple[str, str]:
    """Make one attempt; return how it ended, and of what its work failed."""
    try:
        record_parameters(pod.metadata, pod.node, _parameters(pod))
        outcome = _live(pod)
    except (PenstockError, OSError) as error:
        outcome = Broken(State.FAILED, failures.describe(error, pod.node.root))
    except BaseException:
        _tell_broken(pod, Broken(State.FAILED, "its pod ended in an error"))
        raise
    if isinstance(outcome, Broken):
        return _tell_broken(pod, outcome), outcome.failure
    _tell(pod, outcome)
    return DONE, ""


def _parameters(pod: Pod) -> dict[str, Any]:
    return launcher.bind_parameters(pod.executor_input.parameters, pod.task.parameters)


def _live(pod: Pod) -> Outcome:
    """Take the node through its life."""
    copies = inputs.copies(pod.executor_input)
    tfx_files.register(copies.path)
    known_inputs = inputs.known_inputs(pod.metadata.store, pod.task, pod.node, pod.executor_input)
    if reason := _lacks(pod.node, known_inputs):
        return Skipped(reason)
    node = pod.node.with_static_inputs(known_inputs.ids)
    if pod.task.action == RECORD:
        return _record(pod, node, copies)
    placement = Placement(
        copies, outputs.staged_outputs(pod.task.outputs, pod.executor_input.outputs)
    )
    life = Life(pod.metadata, node, placement=placement, redaction=_redaction(pod))
    try:
        following = life.begin()
        while isinstance(following, Work):
            following = _do(pod, life, following)
    except (PenstockError, OSError) as error:
        return life.broken(failures.describe(error, node.root))
    except BaseException:
        life.broken("its pod ended in an error")
        raise
    return following


def _do(pod: Pod, life: Life, requested: Work) -> Work | Outcome:
    """Have a worker do what a life asks for; once the pod is to end it is stopped."""
    assert pod.workers is not None
    if reason := pod.stopped:
        return life.canceled(reason)
    sys.stdout.flush()
    token = f"{requested.kind} {requested.prepared.execution_id}"
    pod.workers.start(token, job_of(requested, _log(), pod.connection))
    report = _await(pod, pod.workers, token)
    if reason := pod.stopped:
        return life.canceled(reason)
    if isinstance(report, Succeeded):
        return life.succeeded(report.result, report.measured)
    return life.failed(failures.worker_failure(report.message), report.failure)


def _await(pod: Pod, workers: Pool, token: str) -> Succeeded | Failed:
    """Wait for a worker's end; it is stopped, after a while for good, at its timeout, or the pod's.

    The timeout counts from when it works: modules may have to be imported before.
    """
    overdue = killed = None
    while True:
        now = time.monotonic()
        late = overdue is not None and now > overdue
        if killed is None and (late or pod.stopped):
            workers.stop(token, signal.SIGTERM)
            killed = now + _GRACE_SECONDS
        if killed is not None and now > killed:
            workers.stop(token, signal.SIGKILL)
            return _overdue(pod) if late else Failed("it did not end when it was asked to")
        for _, report in workers.reports(timeout=_LOOK_SECONDS):
            if isinstance(report, Started) and pod.timeout_seconds:
                overdue = time.monotonic() + pod.timeout_seconds
            elif isinstance(report, Failed):
                return _overdue(pod) if late else report
            elif isinstance(report, Succeeded):
                return report


def _overdue(pod: Pod) -> Failed:
    message = f"it took longer than its timeout of {pod.timeout_seconds} s"
    return Failed(message, failure=TIMEOUT)


def _record(pod: Pod, node: ir.Node, copies: inputs.Copies) -> Outcome:
    """Write down what a container of its own has done: its outputs are among the task's inputs."""
    launched = {
        name: artifacts[0] for name, artifacts in pod.executor_input.inputs.items() if artifacts
    }
    placement = Placement(copies, outputs.staged_outputs(pod.task.outputs, launched))
    prepared = prepare(pod.metadata, node, placement=placement)
    if not isinstance(prepared, Prepared):
        return prepared
    try:
        recorded = inputs.known_outputs(pod.metadata.store, pod.task.outputs, launched)
        if recorded is not None:
            return publish_recorded(pod.metadata, prepared, recorded)
        return publish_staged(pod.metadata, prepared)
    except BaseException as error:
        give_up(
            pod.metadata,
            prepared,
            publication.FAILED,
            _redaction(pod).text(failures.describe(error, node.root)),
        )
        raise


def _lacks(node: ir.Node, known_inputs: inputs.KnownInputs) -> str:
    """Return why a node cannot run because of what was not made, "" if it can."""
    for key, reason in known_inputs.missing.items():
        if node.proto.inputs.inputs[key].min_count:
            return f"its input {key!r} was not made: {reason}"
    return ""


def _tell_broken(pod: Pod, broken: Broken) -> str:
    """Say last of all how the node failed."""
    state = CANCELED if broken.state is State.CANCELED else FAILED
    reason = _redaction(pod).text(broken.reason)
    print(f"{pod.node.id}  {state}  {reason}", file=sys.stderr, flush=True)
    return state


def _redaction(pod: Pod) -> secrets.Redaction:
    """Return what takes out all secrets of the task, also those of the store's address."""
    told = pod.task.to_texts()
    return secrets.redaction_for(told.shared.encode(), told.own.encode())


def _tell(pod: Pod, outcome: Finished | Skipped) -> None:
    """Report to the launcher."""
    artifacts: _tfx.Artifacts = {}
    reason = ""
    if isinstance(outcome, Skipped):
        reason, state = outcome.reason, f"skipped  {outcome.reason}"
    else:
        artifacts, state = outcome.outputs, "cached" if outcome.cached else "done"
        state = f"{state}  {outcome.note}" if outcome.note else state
    reports = outputs.reported(pod.task.outputs, pod.executor_input, artifacts, reason)
    reports |= shown.reported(
        pod.task, pod.executor_input, pod.metadata.store, pod.node.run_id, artifacts, state
    )
    launcher.write_output(pod.executor_input.output_file, reports)
    print(f"{pod.node.id}  {state}", file=sys.stderr, flush=True)


def _make_items(
    task: PodTask, executor_input: ExecutorInput, pipeline: ir.Pipeline, metadata: Metadata
) -> str:
    """Write the items of a loop, for Kubeflow to iterate over."""
    assert task.loop is not None, "items are made for a loop"
    tfx_files.register(inputs.copies(executor_input).path)
    [node] = pipeline
    if task.loop.kind == GIVEN:
        given = value_items(given_items(pipeline, task.loop))
    else:
        known = inputs.known_inputs(metadata.store, task, node, executor_input)
        resolved = looked_up(metadata, node.with_static_inputs(known.ids)) or {}
        given = items_of(task.loop, list(resolved.get(items.ITEMS, ())))
    with open(executor_input.files[items.ITEMS], "w", encoding="utf-8") as file:
        json.dump([items.write(one) for one in given], file)
    launcher.write_output(executor_input.output_file, {})
    for one in given:
        print(f"{task.loop.name}  item {one.item.index}  {one.item.text}", flush=True)
    return DONE


def _decide(task: PodTask, executor_input: ExecutorInput, node: ir.Node, metadata: Metadata) -> str:
    """Write whether a node's conditions hold."""
    tfx_files.register(inputs.copies(executor_input).path)
    known_inputs = inputs.known_inputs(metadata.store, task, node, executor_input)
    deciding = node.with_static_inputs(known_inputs.ids)
    holds = not _lacks(node, known_inputs) and conditions_hold(metadata, deciding)
    with open(executor_input.files[HOLDS], "w", encoding="utf-8") as file:
        file.write("true" if holds else "false")
    launcher.write_output(executor_input.output_file, {})
    print(f"{task.node}: its conditions {'hold' if holds else 'do not hold'}", flush=True)
    return DONE
