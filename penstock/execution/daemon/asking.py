"""Who asks a project's daemon: for a nursery, how it is, and to end."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock.errors import RunError, StorageError
from penstock.execution.daemon import messages, places, starting, surroundings, taking_on
from penstock.execution.daemon.places import opened
from penstock.execution.logs import add_line
from penstock.execution.workers.nursery import Nursery
from penstock.project import keras
from penstock.safety.private import connected

VARIABLE = "PENSTOCK_DAEMON"
# A run does not wait longer for a daemon that is busy importing; a person does.
_RUN_SECONDS, _PERSON_SECONDS = 3.0, 60.0
_NO_CI = ("", "0", "false")


@dataclass(frozen=True)
class DaemonStatus:
    """How a daemon is: since when (the time of day), what it has imported, what it has done.

    `refuses` is why it lends no nurseries, `differs` what is other around it than around who asks.
    """

    process_id: int
    began: float
    imported: tuple[str, ...]
    memory_bytes: int
    lent: int
    under_way: int
    idle_seconds: float
    refuses: str = ""
    differs: str = ""


@dataclass(frozen=True)
class _Copy:
    """A nursery that a daemon has forked: this process holds it, and nobody else's number."""

    held: int

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.held, signal.SIGKILL)

    def join(self) -> None:
        """Wait for its end; whose child it is takes it back."""
        ended = select.poll()
        ended.register(self.held, select.POLLIN)
        ended.poll()
        os.close(self.held)


def is_off(environment: Mapping[str, str] = os.environ) -> str:
    """Return what keeps runs from using a daemon, or an empty text."""
    said = environment.get(VARIABLE, "")
    if said:
        return "" if said == "on" else f"{VARIABLE} is {said!r}"
    if environment.get("CI", "").lower() not in _NO_CI:
        return "this is CI"
    return "this is a pod" if "KUBERNETES_SERVICE_HOST" in environment else ""


@dataclass
class Lender:
    """Asks the daemon of a project for nurseries; where it lends none, the log says why.

    `missed` is what a run has imported itself since there was no daemon, `log_path` its log.
    """

    project: str
    missed: tuple[str, ...] = field(default=(), init=False)
    log_path: str = field(default="", init=False)

    def __call__(self, preload: Sequence[str], log_path: str) -> Nursery | None:
        """Return a nursery, or None where a run has to make its own."""
        if is_off():
            return None
        answer = self.ask(preload, log_path)
        if isinstance(answer, str):
            add_line(log_path, f"the project's daemon lends none: {answer}")
            return None
        if answer is None:
            self.missed += tuple(module for module in preload if module not in self.missed)
            self.log_path = log_path
        return answer

    def ask(self, preload: Sequence[str], log_path: str) -> Nursery | str | None:
        """Return a nursery, why the daemon lends none, or None where there is none any more."""
        if not places.is_there(os.environ):
            return None
        try:
            with opened(self.project, os.environ) as place:
                asking = connected(place.folder, place.socket, _RUN_SECONDS)
                if asking is None:
                    return None
                with asking:
                    if not starting.is_ready(place):
                        return "it is importing"
                    return _lent(asking, self.project, preload, log_path)
        except (OSError, StorageError) as error:
            return f"it does not answer ({error})"


def stand_by(lender: Lender, idle_seconds: float) -> bool:
    """Start a daemon for what a run has missed one for; return whether that was done.

    Nobody waits for it. What keeps one from being started is in the log of the run.
    """
    if not lender.missed:
        return False
    options = starting.Options(os.path.realpath(lender.project), lender.missed, idle_seconds)
    try:
        with opened(lender.project, os.environ) as place:
            started = starting.start(options, place, keras.child_environment(), wait_seconds=0)
    except (OSError, StorageError) as error:
        add_line(lender.log_path, f"no daemon can be started for the project: {error}")
        return False
    if started is None:
        return False  # another run has started one
    started.wait_for_nothing()
    return True


def start(project: str, preload: Sequence[str], idle_seconds: float) -> DaemonStatus:
    """Start a project's daemon, unless there is one that would do; return how it is.

    Raises:
      RunError: it has not come.
      StorageError: there is no folder in which it may listen.
    """
    project = os.path.realpath(project)
    environment = keras.child_environment()
    options = starting.Options(project, tuple(preload), idle_seconds)
    status = status_of(project)
    if status is not None and not status.differs:
        return status
    if status is not None:
        stop(project)
    with opened(project, os.environ) as place:
        started = starting.start(options, place, environment)
        came = started is None or started.wait()
        status = status_of(project)
        if status is None:
            log = os.path.join(place.path, place.log)
            raise RunError(
                "the daemon has ended" if came else "the daemon has ended while it started",
                hint=f"What it said is in {log}.",
            )
    return status


def status_of(project: str) -> DaemonStatus | None:
    """Return how a project's daemon is; None where there is none."""
    return _ask(project, "status")


def stop(project: str) -> DaemonStatus | None:
    """End a project's daemon as soon as no run has a nursery of it; return how it was."""
    return _ask(project, "stop")


def _ask(project: str, what: str) -> DaemonStatus | None:
    if not places.is_there(os.environ):
        return None
    with opened(project, os.environ) as place:
        asking = connected(place.folder, place.socket, _PERSON_SECONDS)
    if asking is None:
        return None
    with asking:
        around = surroundings.of_this_process(project, keras.child_environment())
        try:
            messages.send(asking, {"ask": what, "surroundings": around})
            answer, _ = messages.receive(asking)
        except OSError:  # it has ended meanwhile
            return None
    return DaemonStatus(**{**answer, "imported": tuple(answer["imported"])})


def _lent(
    asking: socket.socket, project: str, preload: Sequence[str], log_path: str
) -> Nursery | str | None:
    environment = keras.child_environment()
    connection, far_end = multiprocessing.Pipe()
    with contextlib.ExitStack() as stack:
        stack.callback(far_end.close)
        given = [
            far_end.fileno(),
            _opened(stack, os.pidfd_open, os.getpid()),
            _opened(stack, os.open, ".", os.O_RDONLY | os.O_DIRECTORY),
            *(_stream(stack, number) for number in range(3)),
        ]
        around = surroundings.of_this_process(project, environment)
        request = {"ask": "nursery", "preload": list(preload), "surroundings": around}
        told = {
            "run": taking_on.of_this_process(environment),
            "preload": list(preload),
            "log_path": os.path.abspath(log_path),
        }
        try:
            messages.send(asking, request, given)
            answer, files = messages.receive(asking)
            if "refused" not in answer:  # it is the copy that asks for the rest
                messages.send(asking, told)
                answer, files = messages.receive(asking)
        except OSError as error:
            answer, files = {"refused": f"it does not answer ({error})"}, []
    if "refused" in answer or not files:
        connection.close()
        messages.close(files)
        refused = str(answer.get("refused", "its answer is none"))
        if answer.get("made_room"):
            add_line(log_path, f"the project's daemon lends none: {refused}")
            return None
        return refused
    number = answer["process_id"]
    add_line(log_path, f"they come of a copy of the project's daemon instead, process {number}")
    return Nursery(connection, _Copy(files[0]))


def _opened(stack: contextlib.ExitStack, opening: Any, *arguments: Any) -> int:
    file: int = opening(*arguments)
    stack.callback(os.close, file)
    return file


def _stream(stack: contextlib.ExitStack, number: int) -> int:
    """Return one of the standard streams; nothing in place of one that is closed."""
    try:
        os.fstat(number)
    except OSError:
        return _opened(stack, os.open, os.devnull, os.O_RDWR)
    return number
