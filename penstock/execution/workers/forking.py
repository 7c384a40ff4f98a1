"""A worker: a fork of a nursery that does one piece of work, and reports what came of it."""

from __future__ import annotations

import atexit
import contextlib
import gc
import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import TextIO

from penstock.data.parallel.processes import die_with, flush, how_it_ended
from penstock.execution.steps import Step
from penstock.execution.workers import failures, relay, sampling
from penstock.execution.workers.jobs import Advanced, Failed, Job, Report, Succeeded
from penstock.metadata.layout import run_file_descriptor
from penstock.project.retrying import CRASH, MEMORY
from penstock.safety.secrets import Redaction, redaction_for

_CRASHES = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL")


@dataclass(frozen=True)
class Worker:
    """The nursery's side of a worker; `relay` writes its log if it knows secrets."""

    token: str
    process_id: int
    relay: relay.Relay | None = None

    def settle(self) -> None:
        """Wait until what it has written is in its log."""
        if self.relay is not None:
            self.relay.settle()

    def kill(self, number: int) -> None:
        """Send a signal to it and all that it has started."""
        try:
            os.killpg(self.process_id, number)
        except ProcessLookupError:  # it has not made its group yet, or is gone
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process_id, number)


def fork(
    token: str,
    job: Job,
    log: int,
    inherited: Sequence[Connection],
    measured_since: float | None,
) -> tuple[Connection, Worker]:
    """Start a worker; return the connection over which it reports, and this side of it.

    `inherited` are connections of this process that it must not hold open. What it takes is
    measured if it is said since when.
    """
    redaction = _redaction(job)
    relayed = relay.start(log, redaction) if redaction else None
    nursery = os.getpid()
    reports, far_end = multiprocessing.Pipe(duplex=False)
    # What has been imported lives on: a worker that looked for garbage there would find none, and
    # copy every page.
    gc.freeze()
    process_id = os.fork()
    if process_id:
        far_end.close()
        os.close(log)
        if relayed:
            relayed.hand_over()
        return reports, Worker(token, process_id, relayed)
    # What is to be done at the nursery's end is not the worker's to do.
    atexit._clear()
    # The worker's own process group, so that a signal reaches what it starts, and the terminal's
    # Ctrl-C does not; it dies with its nursery.
    os.setpgid(0, 0)
    die_with(nursery)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    status = 1
    try:
        for other in (reports, *inherited):
            other.close()
        if relayed:
            relayed.control.close()
            os.close(log)
            write_to(relayed.input)
        else:
            write_to(log)
        subject = None if measured_since is None else subject_of(job, os.getpid(), measured_since)
        with sampling.both_ends(subject):
            report = _without_secrets(_work(job, far_end.send, redaction), redaction)
            # As a process of its own would: libraries remove files, and send what they have left.
            atexit._run_exitfuncs()
        flush()
        if relayed:
            write_to(os.open(os.devnull, os.O_WRONLY))  # the relay sees the end
        far_end.send(report)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        flush()
        os._exit(status)


def _redaction(job: Job) -> Redaction:
    """Return what keeps a job's secrets out of its log: those it refers to, and the store's."""
    passwords = [
        getattr(getattr(job.metadata_connection, kind, None), "password", "")
        for kind in ("mysql", "postgresql")
    ]
    passwords.append(getattr(job.metadata_connection, "token", ""))
    return redaction_for(
        job.invocation,
        job.spec.SerializeToString(),
        more=[(password, "***") for password in passwords if password],
    )


def _without_secrets(report: Report, redaction: Redaction) -> Report:
    if not isinstance(report, Failed):
        return report
    return replace(
        report, message=redaction.text(report.message), details=redaction.text(report.details)
    )


def write_to(descriptor: int) -> None:
    """Send all that this process and its children write to a file or pipe."""
    flush()
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(descriptor, number)
        if not _is_of(getattr(sys, name), number):
            # In the process that this is a copy of, a test or a notebook had it go elsewhere.
            setattr(sys, name, _stream(number))
    os.close(descriptor)


def _is_of(stream: TextIO | None, number: int) -> bool:
    try:
        return stream is not None and stream.fileno() == number
    except (OSError, ValueError):
        return False


def _stream(number: int) -> TextIO:
    return open(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False)


def _work(job: Job, send: Callable[[Report], None], redaction: Redaction) -> Report:
    from penstock.execution import work

    began, before = time.monotonic(), _resources()
    job.on_step(Step.RESOLVING if job.kind == "driver" else Step.WORKING, job.node_id)
    try:
        if job.kind == "driver":
            result = work.run_driver(job.invocation, job.spec, job.metadata_connection, redaction)
        else:
            result = work.run_executor(
                job.invocation,
                job.spec,
                lambda note=None, **counts: send(Advanced(counts, note)),
                redaction,
                job.on_step,
                job.metadata_connection,
            )
    except BaseException as error:
        message = failures.tell(error, job.pipeline_root)
        return Failed(
            message, failures.encodable(traceback.format_exc()), failure=failures.kind(error)
        )
    cpu_before, _ = before
    cpu_after, memory = _resources()
    measured = {
        "wall_seconds": round(time.monotonic() - began, 3),
        "cpu_seconds": round(cpu_after - cpu_before, 3),
        "peak_memory_bytes": float(memory),
    }
    return Succeeded(result, measured)


def _resources() -> tuple[float, int]:
    """Return CPU seconds and peak memory in bytes of this process and its children."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    return seconds, max(own.ru_maxrss, children.ru_maxrss) * 1024


def open_log(path: str) -> int:
    """Open a log to which more is written."""
    return run_file_descriptor(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def subject_of(job: Job, process_id: int, began: float) -> sampling.Subject:
    """Return a job's worker as the sampler looks at it."""
    return sampling.Subject(process_id, job.resources_path, began, job.folders)


def ending(status: int) -> Failed:
    """Return what is reported of a worker that has ended without a report, by its status."""
    if status == 0:
        return Failed("", failure=CRASH)
    ended, killed_by = how_it_ended(status)
    message = f"its process {ended}"
    crashed = killed_by in _CRASHES
    if crashed:
        message += ": a native library crashed, as they do at damaged data or without memory"
    # Nobody else kills without asking first: what is to be stopped is known to have been.
    return Failed(message, "", crashed, MEMORY if killed_by == "SIGKILL" else CRASH)
