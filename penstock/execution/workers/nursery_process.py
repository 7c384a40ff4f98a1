"""What runs in a nursery: it imports, forks workers, and passes on what they report."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import time
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait

from penstock import _tfx
from penstock._tfx import gfile
from penstock.data.parallel.processes import die_with
from penstock.execution.workers import failures, forking, sampling
from penstock.execution.workers.forking import Worker
from penstock.execution.workers.jobs import Failed, Job, Started, Succeeded
from penstock.project import autograph, keras
from penstock.safety import unpickling

# What modules of pipelines import of ours, which else each worker would for itself.
OF_PIPELINES = ("penstock.components.standing_in", "penstock.runners.local")


def main(connection: Connection, preload: Sequence[str], log_path: str, parent: int) -> None:
    """Be the nursery of a run that is this process's parent."""
    take_signals()
    # Its workers die with it, and it with the run: also when that is killed.
    die_with(parent)
    serve(connection, preload, log_path)


def serve(connection: Connection, preload: Sequence[str], log_path: str) -> None:
    """Import, and start and stop workers as the other end of a connection says, until its end."""
    sampler = sampling.Sampler(connection) if sampling.is_possible() else None
    forking.write_to(forking.open_log(log_path))
    before_imports()
    to_import = [*preload, *OF_PIPELINES]
    imported = set(to_import)
    queue: list[tuple[str, Job]] = []
    workers: dict[Connection, Worker] = {}
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
                        worker.kill(content)
        _start(queue, to_import, workers, connection, sampler)
        if to_import:
            import_ahead(to_import.pop(0))
            _start(queue, to_import, workers, connection, sampler)


def before_imports() -> None:
    """Make ready what has to be so before heavy modules are imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    unpickling.guard()
    keras.settle_before_transform()
    autograph.keep()


def take_signals() -> None:
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
    workers: dict[Connection, Worker],
    connection: Connection,
    sampler: sampling.Sampler | None,
) -> None:
    """Fork a worker for every job in the queue that lacks none of its modules."""
    for token, job in list(queue):
        if set(job.needs) & set(to_import):
            continue
        queue.remove((token, job))
        try:
            log = forking.open_log(job.log_path)
        except OSError as error:
            connection.send((token, Started()))
            connection.send((token, Failed(failures.describe(error, job.log_path))))
            continue
        inherited = [connection, *workers, *([sampler.connection] if sampler else [])]
        measured = sampler is not None and sampling.begin(job.resources_path)
        began = time.monotonic()
        reports, worker = forking.fork(token, job, log, inherited, began if measured else None)
        if sampler is not None and measured:
            sampler.look_at(forking.subject_of(job, worker.process_id, began))
        workers[reports] = worker
        connection.send((token, Started()))


def import_ahead(module: str) -> None:
    """Import a heavy module; where that fails, say so in the log and go on."""
    # Nearly all that is made lives on. Who looks for garbage among it all the while takes 40 % of
    # an import of TFX.
    gc.disable()
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
    finally:
        gc.freeze()
        gc.enable()
    gfile.complete()


def _forward(source: Connection, workers: dict[Connection, Worker], connection: Connection) -> None:
    worker = workers[source]
    try:
        report = source.recv()
    except (EOFError, OSError):
        _, status = os.waitpid(worker.process_id, 0)
        del workers[source]
        source.close()
        worker.settle()
        connection.send((worker.token, forking.ending(status)))
        return
    if isinstance(report, (Succeeded, Failed)):
        worker.settle()
    connection.send((worker.token, report))


def _end(workers: dict[Connection, Worker]) -> None:
    for worker in workers.values():
        worker.kill(signal.SIGKILL)
    for worker in workers.values():
        os.waitpid(worker.process_id, 0)
