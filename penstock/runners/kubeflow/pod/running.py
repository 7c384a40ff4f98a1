"""A task in a pod, with as many attempts as it may have."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from penstock import ir
from penstock.execution import needs, preconditions, work
from penstock.execution.recovery import mark_abandoned, mark_superseded
from penstock.execution.waiting import StoreWait
from penstock.execution.workers.interrupts import Interrupts, counted_interrupts
from penstock.execution.workers.nursery import Nurseries
from penstock.execution.workers.pool import Pool
from penstock.metadata import attempts, leases, turns
from penstock.metadata.databases.patience import Patience
from penstock.metadata.store import connect, connection_config
from penstock.project.profiles import Profile
from penstock.project.retrying import Retries
from penstock.runners.kubeflow.contract.task import DECIDE, MAKE_ITEMS, RUN, PodTask
from penstock.runners.kubeflow.contract.tries import TRIES_VARIABLE, Tries
from penstock.runners.kubeflow.pod.attempt import (
    CANCELED,
    DONE,
    FAILED,
    LOOK_SECONDS,
    Pod,
    attempt,
    log_path,
)
from penstock.runners.kubeflow.pod.binding import bind
from penstock.runners.kubeflow.pod.deciding import decide, make_items
from penstock.runners.kubeflow.pod.launcher import ExecutorInput
from penstock.safety import secrets


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
        if task.action == MAKE_ITEMS:
            make_items(task, executor_input, pipeline, metadata)
            return DONE
        if task.action == DECIDE:
            decide(task, executor_input, node, metadata)
            return DONE
        mark_abandoned(metadata)
        mark_superseded(metadata, node.run_id, node.id)

        def made_attempt() -> tuple[str, str]:
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
                        waiting.interrupts,
                        workers,
                        tries.timeout_seconds,
                    )
                    state, failure = attempt(pod)
            finally:
                turns.end(metadata.store, begun, state)
            return state, failure

        return _try(made_attempt, tries.retries, waiting.interrupts)


def _try(make: Callable[[], tuple[str, str]], retries: Retries, interrupts: Interrupts) -> str:
    """Make attempts at a node, as its options allow, until one succeeds; return how it ended.

    An attempt says how it ended and of what its work failed.
    """
    for tried in itertools.count():
        state, failure = make()
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
        time.sleep(min(left, LOOK_SECONDS))
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
    pool = Pool(Nurseries(), needs, log_path(), fork=True, apart=False)
    pool.warm_up()
    try:
        yield pool
    finally:
        pool.close()


def _say_waiting(reason: str) -> None:
    if reason:
        print(f"waiting for the metadata store: {reason}", file=sys.stderr, flush=True)
