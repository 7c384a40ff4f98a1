"""Worker processes: every node's work is done in a process of its own.

A nursery is a small process that imports heavy modules once, ahead of time, and forks a worker for
each piece of work. There are two: one without heavy modules, which is ready at once, and one that
has what the pipeline's nodes will import. Neither ever opens the metadata store.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Protocol

from penstock.execution.workers import nursery_process
from penstock.execution.workers.jobs import Job, Report
from penstock.project import keras


class NurseryProcess(Protocol):
    """A nursery's process, whoever has started it."""

    def kill(self) -> None:
        """End it at once."""

    def join(self) -> None:
        """Wait for its end."""


# Where nurseries can be had from somebody who has imported modules already: given the modules and
# the path of the log, None where there is none.
Lend = Callable[[Sequence[str], str], "Nursery | None"]


class Nursery:
    """The caller's side of a nursery process."""

    def __init__(self, connection: Connection, process: NurseryProcess) -> None:
        self.connection = connection
        self._process = process

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


def start_nursery(preload: Sequence[str], log_path: str, *, fork: bool = False) -> Nursery:
    """Start a nursery, as a child of this process.

    `fork` makes it of the caller's own process, which must not have begun anything else yet: what
    that has imported need not be imported again, and what an interactive session defines is there.
    """
    context = multiprocessing.get_context("fork" if fork else "spawn")
    connection, far_end = context.Pipe()
    process = context.Process(  # type: ignore[attr-defined]  # both contexts have it
        target=nursery_process.main,
        args=(far_end, tuple(preload), log_path, os.getpid()),
        daemon=False,
    )
    # A copy has decided on Keras already.
    inherited = contextlib.nullcontext() if fork else keras.as_for_children()
    with _interrupts_held(), inherited:
        process.start()
    far_end.close()
    return Nursery(connection, process)


class Nurseries:
    """The nurseries of a run: by the modules that they import ahead, each started when asked for.

    `lasting` ones serve several runs: there is one beside that without modules, and it imports what
    later jobs need in addition. `lend` is asked first for those that are no copies of this process.
    `close` ends them.
    """

    def __init__(self, *, lasting: bool = False, lend: Lend = lambda *_: None) -> None:
        self.lasting = lasting
        self._lend = lend
        self._started: dict[tuple[str, ...], Nursery] = {}
        # Those of a session that is never closed end with it, before anybody waits for them.
        weakref.finalize(self, _close_all, self._started)

    def get(self, preload: tuple[str, ...], log_path: str, *, fork: bool = False) -> Nursery:
        """Return the nursery for jobs that need some of these modules."""
        key = preload[:1] and ("all",) if self.lasting else preload
        if key not in self._started:
            lent = None if fork else self._lend(preload, log_path)
            self._started[key] = lent or start_nursery(preload, log_path, fork=fork)
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
