"""One attempt at a node in a pod: the same life as in a local run, with the launcher's paths.

The launcher takes away what a pod has made when all of it has gone well. In a pod that nodes share
it may be another one that fails. So each brings its outputs to their addresses itself, before they
are published.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from penstock import _tfx, ir
from penstock.data.files import tfx_files
from penstock.errors import PenstockError
from penstock.execution import publication
from penstock.execution.lifecycle import Life
from penstock.execution.publication import give_up, publish_recorded, publish_staged
from penstock.execution.registration import prepare
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
from penstock.execution.workers import failures
from penstock.execution.workers.interrupts import Interrupts
from penstock.execution.workers.jobs import Failed, Started, Succeeded, job_of
from penstock.execution.workers.pool import Pool
from penstock.metadata import leases
from penstock.metadata.protocol import Metadata
from penstock.metadata.run_requests import record_parameters
from penstock.project.retrying import TIMEOUT
from penstock.runners.kubeflow.contract.task import RECORD, PodTask
from penstock.runners.kubeflow.pod import inputs, launcher, outputs
from penstock.runners.kubeflow.pod import visualizations as shown
from penstock.runners.kubeflow.pod.launcher import ExecutorInput
from penstock.safety import secrets

_GRACE_SECONDS = 10.0
# How long it takes at most until what has happened meanwhile is seen.
LOOK_SECONDS = 0.2
_CANCELED = "its pod was asked to end: the run was canceled, or it took longer than its timeout"
_LOST = "it was taken for abandoned while it was not heard of"

DONE, FAILED, CANCELED = "done", "failed", "canceled"


@dataclass(frozen=True)
class Pod:
    """A node under way in a pod, which holds an attempt at it.

    With `brings` it is not left to the launcher alone to take the node's outputs away.
    """

    task: PodTask
    executor_input: ExecutorInput
    node: ir.Node
    metadata: Metadata
    connection: _tfx.Connection  # ML Metadata's connection config
    lease: leases.Lease
    interrupts: Interrupts
    workers: Pool | None
    timeout_seconds: int = 0
    brings: bool = False

    @property
    def stopped(self) -> str:
        """Why the work must end now, "" if it need not."""
        if self.lease.lost.is_set():
            return _LOST
        return _CANCELED if self.interrupts.count else ""


@dataclass(frozen=True)
class Tried:
    """How an attempt has ended, of what its work failed, and what to tell the launcher of outputs.

    `worked` says whether what stands at the outputs' local paths was made there.
    """

    state: str
    failure: str = ""
    reports: launcher.Reports = field(default_factory=dict)
    worked: bool = False


def log_path() -> str:
    """Return the path of this process's standard output: all of it is the node's log."""
    return f"/proc/{os.getpid()}/fd/1"


def attempt(pod: Pod) -> Tried:
    """Make one attempt."""
    try:
        record_parameters(pod.metadata, pod.node, _parameters(pod))
        outcome = _live(pod)
    except (PenstockError, OSError) as error:
        outcome = Broken(State.FAILED, failures.describe(error, pod.node.root))
    except BaseException:
        _tell_broken(pod, Broken(State.FAILED, "its pod ended in an error"))
        raise
    if isinstance(outcome, Broken):
        return Tried(_tell_broken(pod, outcome), outcome.failure)
    return _tell(pod, outcome)


def _parameters(pod: Pod) -> dict[str, Any]:
    return launcher.bind_parameters(pod.executor_input.parameters, pod.task.parameters)


def _live(pod: Pod) -> Outcome:
    """Take the node through its life."""
    copies = inputs.copies(pod.executor_input)
    tfx_files.register(copies.path)
    known_inputs = inputs.known_inputs(pod.metadata.store, pod.task, pod.node, pod.executor_input)
    if reason := inputs.lacking(pod.node, known_inputs):
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
    pod.workers.start(token, job_of(requested, log_path(), pod.connection))
    report = _await(pod, pod.workers, token)
    if reason := pod.stopped:
        return life.canceled(reason)
    if isinstance(report, Succeeded):
        if pod.brings and requested.kind == "executor":
            try:
                outputs.bring(pod.task.outputs, pod.executor_input.outputs)
            except (PenstockError, OSError) as error:
                return life.failed(_not_brought(pod, error))
        return life.succeeded(report.result, report.measured)
    return life.failed(failures.worker_failure(report.message), report.failure)


def _not_brought(pod: Pod, error: Exception) -> str:
    described = failures.describe(error, pod.node.root)
    return (
        f"what it has made cannot be brought to its address, as is done where nodes share a pod: "
        f"{described}\nGive pods the keys of the object store, with the right to write, or leave "
        "share_pods out of the profile"
    )


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
        for _, report in workers.reports(timeout=LOOK_SECONDS):
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


def _tell(pod: Pod, outcome: Finished | Skipped) -> Tried:
    """Make what the launcher is to be told of."""
    artifacts: _tfx.Artifacts = {}
    reason = ""
    if isinstance(outcome, Skipped):
        reason, state = outcome.reason, f"skipped  {outcome.reason}"
    else:
        artifacts, state = outcome.outputs, "cached" if outcome.cached else "done"
        state = f"{state}  {outcome.note}" if outcome.note else state
    worked = isinstance(outcome, Finished) and not outcome.cached
    reports = outputs.reported(
        pod.task.outputs, pod.executor_input, artifacts, reason, worked=worked
    )
    reports |= shown.reported(
        pod.task, pod.executor_input, pod.metadata.store, pod.node.run_id, artifacts, state
    )
    print(f"{pod.node.id}  {state}", file=sys.stderr, flush=True)
    return Tried(DONE, reports=reports, worked=worked)
