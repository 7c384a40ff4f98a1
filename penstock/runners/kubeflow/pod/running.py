"""The tasks of a pod, one after the other, each with as many attempts as it may have."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from penstock import _tfx, ir
from penstock.execution import needs, preconditions, work
from penstock.execution.recovery import mark_abandoned, mark_superseded
from penstock.execution.waiting import StoreWait
from penstock.execution.workers.interrupts import Interrupts, counted_interrupts
from penstock.execution.workers.nursery import Nurseries
from penstock.execution.workers.pool import Pool
from penstock.metadata import attempts, leases, turns
from penstock.metadata.databases.patience import Patience
from penstock.metadata.protocol import Metadata
from penstock.metadata.store import connect, connection_config
from penstock.project.profiles import Profile
from penstock.project.retrying import Retries
from penstock.runners.kubeflow.contract import parts
from penstock.runners.kubeflow.contract.task import DECIDE, MAKE_ITEMS, RUN, PodTask
from penstock.runners.kubeflow.contract.tries import TRIES_VARIABLE, Tries
from penstock.runners.kubeflow.pod import launcher, sharing
from penstock.runners.kubeflow.pod.attempt import (
    CANCELED,
    DONE,
    FAILED,
    LOOK_SECONDS,
    Pod,
    Tried,
    attempt,
    log_path,
)
from penstock.runners.kubeflow.pod.binding import bind
from penstock.runners.kubeflow.pod.deciding import decide, make_items
from penstock.runners.kubeflow.pod.launcher import ExecutorInput, LaunchedArtifact
from penstock.safety import secrets


@dataclass(frozen=True)
class _Shared:
    """What the nodes of a pod have in common."""

    metadata: Metadata
    connection: _tfx.Connection  # ML Metadata's connection config
    interrupts: Interrupts
    workers: Pool | None


def run_tasks(tasks: Sequence[PodTask], executor_input: ExecutorInput) -> str:
    """Do what tasks ask for and report to the launcher; return DONE, FAILED or CANCELED.

    Raises:
      PenstockError: nothing could be begun.
    """
    pipelines = [bind(task, executor_input) for task in tasks]
    nodes = [node for pipeline in pipelines for node in pipeline]
    connection = connection_config(secrets.resolve_address(tasks[0].store))
    for task, pipeline in zip(tasks, pipelines, strict=True):
        preconditions.check(pipeline)
        if task.action == RUN:
            needs.check(pipeline)
    waiting = StoreWait(_say_waiting)
    patience = Patience(Profile.metadata_patience, meanwhile=waiting)
    with (
        _workers(tasks[0].action, nodes) as workers,
        connect(connection, patience=patience) as metadata,
        counted_interrupts() as waiting.interrupts,
    ):
        if tasks[0].action == MAKE_ITEMS:
            make_items(tasks[0], executor_input, pipelines[0], metadata)
            return DONE
        if tasks[0].action == DECIDE:
            decide(tasks[0], executor_input, nodes[0], metadata)
            return DONE
        mark_abandoned(metadata)
        shared = _Shared(metadata, connection, waiting.interrupts, workers)
        return _run_nodes(shared, tasks, nodes, executor_input)


def _run_nodes(
    shared: _Shared, tasks: Sequence[PodTask], nodes: Sequence[ir.Node], whole: ExecutorInput
) -> str:
    """Run nodes one after the other; a failure stops those alone that wait for the node."""
    names = [node.id for node in nodes]
    made: dict[str, Mapping[str, LaunchedArtifact]] = {}
    reports: dict[str, tuple[str, Mapping[str, Any]]] = {}
    broken: list[str] = []
    for task, node in zip(tasks, nodes, strict=True):
        if len(tasks) > 1:
            print(parts.heading(names, node.id), file=sys.stderr, flush=True)
        if lacking := [name for name in task.after if name in broken]:
            print(f"{node.id}  not run: {lacking[0]} did not succeed", file=sys.stderr, flush=True)
            broken.append(node.id)
            continue
        seen = sharing.seen_by(task, whole, made)
        # What the last one makes the launcher takes away, if nothing has failed.
        brings = bool(broken) or task is not tasks[-1]
        tried = _run_node(shared, task, node, seen, brings=brings)
        if tried.state == CANCELED:
            return CANCELED
        if tried.state != DONE:
            broken.append(node.id)
        made[node.id] = sharing.made_by(task, seen, tried)
        reports |= sharing.reports_of(task, tried)
    if broken:
        if len(tasks) > 1:
            print(f"the pod failed: {', '.join(broken)}", file=sys.stderr, flush=True)
        return FAILED
    launcher.write_output(whole.output_file, reports)
    return DONE


def _run_node(
    shared: _Shared, task: PodTask, node: ir.Node, seen: ExecutorInput, *, brings: bool
) -> Tried:
    """Run a node, with as many attempts as it may have."""
    tries = Tries.from_text(os.environ.get(TRIES_VARIABLE, ""), node.id)
    mark_superseded(shared.metadata, node.run_id, node.id)

    def make() -> Tried:
        begun = attempts.begin(shared.metadata.store, node.run_id, node.id)
        state = FAILED
        try:
            with leases.kept(shared.connection, begun) as lease:
                tried = attempt(
                    Pod(
                        task,
                        seen,
                        node,
                        shared.metadata,
                        shared.connection,
                        lease,
                        shared.interrupts,
                        shared.workers,
                        tries.timeout_seconds,
                        brings,
                    )
                )
                state = tried.state
        finally:
            turns.end(shared.metadata.store, begun, state)
        return tried

    return _try(make, tries.retries, shared.interrupts)


def _try(make: Callable[[], Tried], retries: Retries, interrupts: Interrupts) -> Tried:
    """Make attempts at a node, as its options allow, until one succeeds."""
    for count in itertools.count():
        tried = make()
        pause = retries.pause(count, tried.failure)
        if tried.state != FAILED or pause is None:
            break
        soon = f" in {pause:g} s" if pause else ""
        print(f"retry {count + 1} of {retries.count}{soon}", file=sys.stderr, flush=True)
        if not _waited(pause, interrupts):
            return Tried(CANCELED)
    return tried


def _waited(seconds: float, interrupts: Interrupts) -> bool:
    """Let time pass; return whether the pod may go on then."""
    until = time.monotonic() + seconds
    while not interrupts.count and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, LOOK_SECONDS))
    return not interrupts.count


@contextmanager
def _workers(action: str, nodes: Sequence[ir.Node]) -> Iterator[Pool | None]:
    """Start what starts workers, before this process does anything else.

    It imports what the nodes' work needs while inputs are looked up and fetched.
    """
    working = [node for node in nodes if not node.works_in_store]
    if action != RUN or not working:
        yield None
        return
    modules: list[str] = []
    for node in working:
        # Code that does not load is told when the node has been registered.
        with contextlib.suppress(Exception):
            modules += work.preloads(node)
    pool = Pool(Nurseries(), tuple(dict.fromkeys(modules)), log_path(), fork=True, apart=False)
    pool.warm_up()
    try:
        yield pool
    finally:
        pool.close()


def _say_waiting(reason: str) -> None:
    if reason:
        print(f"waiting for the metadata store: {reason}", file=sys.stderr, flush=True)
