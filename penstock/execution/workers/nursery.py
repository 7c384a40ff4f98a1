"""Worker processes: every node's work is done in a process of its own.

A nursery is a small process that imports heavy modules once, ahead of time, and forks a worker for
each piece of work. There are two: one without heavy modules, which is ready at once, and one that
has what the pipeline's nodes will import. Neither ever opens the metadata store.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait

from penstock import _tfx
from penstock._tfx import gfile
from penstock.data.parallel.processes import die_with, flush, how_it_ended
from penstock.execution.steps import Step
from penstock.execution.workers import failures, relay, sampling
from penstock.execution.workers.jobs import Advanced, Failed, Job, Report, Started, Succeeded
from penstock.metadata.layout import run_file_descriptor
from penstock.project import keras
from penstock.project.retrying import CRASH, MEMORY
from penstock.safety import unpickling
from penstock.safety.secrets import Redaction, redaction_for

_CRASHES = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL")


@dataclass(frozen=True)
class _Worker:
    """The nursery's side of a worker; `relay` writes its log if it knows secrets."""

    token: str
    process_id: int
    relay: relay.Relay | None = None

    def settle(self) -> None:
        """Wait until what it has written is in its log."""
        if self.relay is not None:
            self.relay.settle()


class Nursery:
    """The caller's side of a nursery process.

    `fork` makes it of the caller's own process, which must not have begun anything else yet: what
    that has imported need not be imported again, and what an interactive session defines is there.
    """

    def __init__(self, preload: Sequence[str], log_path: str, *, fork: bool = False) -> None:
        context = multiprocessing.get_context("fork" if fork else "spawn")
        self.connection, far_end = context.Pipe()
        self._process = context.Process(  # type: ignore[attr-defined]  # both contexts have it
            target=_nursery_main,
            args=(far_end, tuple(preload), log_path, os.getpid()),
            daemon=False,
        )
        # A copy has decided on Keras already.
        inherited = contextlib.nullcontext() if fork else keras.as_for_children()
        with _interrupts_held(), inherited:
            self._process.start()
        far_end.close()

    def submit(self, token: str, job: Job) -> None:
        """Start a worker for a job; its reports arrive under the token.

        A nursery that has died says so when its reports are asked for.
        """
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(("start", token, job))

    def stop(self, token: str, number: int = signal.SIGTERM) -> None:
        """Send a signal to a worker and all that it has started."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(("stop", token, number))

    def receive(self) -> list[tuple[str, Report]]:
        """Return the reports that have arrived.

        Raises:
          EOFError: the nursery itself has died.
        """
        reports = []
        while self.connection.poll():
            reports.append(self.connection.recv())
        return reports

    def close(self) -> None:
        """End the nursery at once, whatever it is importing; its workers die with it."""
        self.connection.close()
        self._process.kill()
        self._process.join()


class Nurseries:
    """The nurseries of a run: by the modules that they import ahead, each started when asked for.

    `lasting` ones serve several runs: there is one beside that without modules, and it imports what
    later jobs need in addition. `close` ends them.
    """

    def __init__(self, *, lasting: bool = False) -> None:
        self.lasting = lasting
        self._started: dict[tuple[str, ...], Nursery] = {}
        # Those of a session that is never closed end with it, before anybody waits for them.
        weakref.finalize(self, _close_all, self._started)

    def get(self, preload: tuple[str, ...], log_path: str, *, fork: bool = False) -> Nursery:
        """Return the nursery for jobs that need some of these modules."""
        key = preload[:1] and ("all",) if self.lasting else preload
        if key not in self._started:
            self._started[key] = Nursery(preload, log_path, fork=fork)
        return self._started[key]

    def all(self) -> list[Nursery]:
        """Return those that are there."""
        return list(self._started.values())

    def drop(self, nursery: Nursery) -> None:
        """End one; the next job starts another."""
        for key, started in list(self._started.items()):
            if started is nursery:
                self._started.pop(key).close()

    def close(self) -> None:
        """End all."""
        _close_all(self._started)


def _close_all(started: dict[tuple[str, ...], Nursery]) -> None:
    while started:
        started.popitem()[1].close()


def main_is_importable() -> bool:
    """Whether a new process finds what `__main__` defines; not so in an interactive session."""
    main = sys.modules.get("__main__")
    return getattr(main, "__spec__", None) is not None or os.path.exists(
        getattr(main, "__file__", None) or ""
    )


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold back Ctrl-C from a process that is started here until it ignores it by itself.

    Else it would end, with a traceback, a process that is still importing.
    """
    resource_tracker.ensure_running()  # its start, where it must be, lets them through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _nursery_main(
    connection: Connection, preload: Sequence[str], log_path: str, parent: int
) -> None:
    _take_signals()
    # Its workers die with it, and it with the run: also when that is killed.
    die_with(parent)
    sampler = sampling.Sampler(connection) if sampling.is_possible() else None
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    _write_to(_open_log(log_path))
    unpickling.guard()
    keras.settle_before_transform()
    to_import, imported = list(preload), set(preload)
    queue: list[tuple[str, Job]] = []
    workers: dict[Connection, _Worker] = {}
    while True:
        for source in wait([connection, *workers], 0 if to_import else None):
            if source is not connection:
                _forward(source, workers, connection)  # type: ignore[arg-type]
                continue
            try:
                order, token, content = connection.recv()
            except (EOFError, OSError):
                _end(workers)
                return
            if order == "start":
                queue.append((token, content))
                needed = [module for module in content.needs if module not in imported]
                to_import += needed
                imported.update(needed)
            else:
                queue[:] = [waiting for waiting in queue if waiting[0] != token]
                for worker in workers.values():
                    if worker.token == token:
                        _kill(worker.process_id, content)
        _start(queue, to_import, workers, connection, sampler)
        if to_import:
            _import(to_import.pop(0))
            _start(queue, to_import, workers, connection, sampler)


def _take_signals() -> None:
    """Ignore Ctrl-C, and end at all else as a new process does, also as a copy of another one."""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _start(
    queue: list[tuple[str, Job]],
    to_import: Sequence[str],
    workers: dict[Connection, _Worker],
    connection: Connection,
    sampler: sampling.Sampler | None,
) -> None:
    """Fork a worker for every job in the queue that lacks none of its modules."""
    for token, job in list(queue):
        if set(job.needs) & set(to_import):
            continue
        queue.remove((token, job))
        try:
            log = _open_log(job.log_path)
        except OSError as error:
            connection.send((token, Started()))
            connection.send((token, Failed(failures.describe(error, job.log_path))))
            continue
        inherited = [connection, *workers, *([sampler.connection] if sampler else [])]
        measured = sampler is not None and sampling.begin(job.resources_path)
        began = time.monotonic()
        reports, worker = _fork(token, job, log, inherited, began if measured else None)
        if sampler is not None and measured:
            sampler.look_at(_subject(job, worker.process_id, began))
        workers[reports] = worker
        connection.send((token, Started()))


def _import(module: str) -> None:
    try:
        if module.startswith("tensorflow"):
            keras.settle()
        if module.startswith("tfx.components"):
            _tfx.import_library_module(module)
        else:
            importlib.import_module(module)
    except (Exception, SystemExit):
        # A file of the user's may have been imported in a package's place. The node that needs it
        # will say so.
        traceback.print_exc()
    gfile.complete()


def _open_log(path: str) -> int:
    return run_file_descriptor(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _subject(job: Job, process_id: int, began: float) -> sampling.Subject:
    return sampling.Subject(process_id, job.resources_path, began, job.folders)


def _fork(
    token: str,
    job: Job,
    log: int,
    inherited: Sequence[Connection],
    measured_since: float | None,
) -> tuple[Connection, _Worker]:
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
        return reports, _Worker(token, process_id, relayed)
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
            _write_to(relayed.input)
        else:
            _write_to(log)
        subject = None if measured_since is None else _subject(job, os.getpid(), measured_since)
        with sampling.both_ends(subject):
            report = _without_secrets(_work(job, far_end.send, redaction), redaction)
        flush()
        if relayed:
            _write_to(os.open(os.devnull, os.O_WRONLY))  # the relay sees the end
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


def _write_to(descriptor: int) -> None:
    """Send all that this process and its children write to a file or pipe."""
    flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


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


def _forward(
    source: Connection, workers: dict[Connection, _Worker], connection: Connection
) -> None:
    worker = workers[source]
    try:
        report = source.recv()
    except (EOFError, OSError):
        _, status = os.waitpid(worker.process_id, 0)
        del workers[source]
        source.close()
        worker.settle()
        connection.send((worker.token, _how_it_ended(status)))
        return
    if isinstance(report, (Succeeded, Failed)):
        worker.settle()
    connection.send((worker.token, report))


def _how_it_ended(status: int) -> Failed:
    if status == 0:
        return Failed("", failure=CRASH)
    ended, killed_by = how_it_ended(status)
    message = f"its process {ended}"
    crashed = killed_by in _CRASHES
    if crashed:
        message += ": a native library crashed, as they do at damaged data or without memory"
    # Nobody else kills without asking first: what is to be stopped is known to have been.
    return Failed(message, "", crashed, MEMORY if killed_by == "SIGKILL" else CRASH)


def _kill(process_id: int, number: int) -> None:
    try:
        os.killpg(process_id, number)
    except ProcessLookupError:  # it has not made its group yet, or is gone
        with contextlib.suppress(ProcessLookupError):
            os.kill(process_id, number)


def _end(workers: dict[Connection, _Worker]) -> None:
    for worker in workers.values():
        _kill(worker.process_id, signal.SIGKILL)
    for worker in workers.values():
        os.waitpid(worker.process_id, 0)
