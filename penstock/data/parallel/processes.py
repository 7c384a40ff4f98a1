"""Work in several processes at once: its parts are done in forks of this process.

What this process has imported and read, its forks have too, so a part and the function for it need
not be sent; what comes of a part is, by pickle.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from penstock.errors import PenstockError

_PR_SET_PDEATHSIG = 1

_THREADS_OF_TENSORFLOW = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")

# Results that wait for those of parts before them: that many for each process.
_AHEAD = 2

Part = TypeVar("Part")
Result = TypeVar("Result")
Advance = Callable[[int], None]


@dataclass(frozen=True)
class _Returned:
    result: Any


@dataclass(frozen=True)
class _Raised:
    """Its exception comes after it, alone: it may be one that cannot be sent, or not be read."""

    message: str
    details: str


class ChildTracebackError(Exception):
    """Where an exception was raised in another process; shown as its cause."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


@dataclass
class Child:
    """This process's side of a fork; `part` is the one that it is at."""

    process_id: int
    connection: Connection
    part: int | None = None


def available_processes() -> int:
    """Return how many processes can work at once; 1 where this one should do all itself."""
    return _processors() if may_fork() else 1


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return 1


def may_fork() -> bool:
    """Whether a fork of this process can work.

    A fork has only the thread that forked. Locks that another one held stay locked in it, and
    TensorFlow, once it has started, waits for threads that are not there. So none is forked where
    Python has other threads, as in a notebook, or TensorFlow runs. The pools of Arrow and OpenBLAS
    begin anew in a fork.
    """
    return threading.active_count() == 1 and not tensorflow_runs()


def tensorflow_runs() -> bool:
    """Whether TensorFlow has started in this process: its threads are not there in a fork."""
    module = sys.modules.get("tensorflow.python.eager.context")
    context = module.context_safe() if module is not None else None
    return context is not None and bool(context._initialized)


def in_processes(
    work: Callable[[Part, Advance], Result],
    parts: Sequence[Part],
    *,
    named: Callable[[Part], str] = str,
    advance: Advance = lambda _: None,
    together: bool = False,
    at_most: int | None = None,
) -> Iterator[Result]:
    """Yield what `work` returns for each part, in the order of the parts.

    The parts are begun in their order, one in each of `available_processes()`, `at_most` so many;
    if that is one, in this process. All processes are forked before the first result, so what is
    done with results may start threads. `together`, for parts that need each other, begins all at
    once, each in a process of its own; whichever fails first ends all. `work` gets a function to
    say by how much it has advanced, which calls `advance` in this process. `named` says of a part
    what a process did that died at it.

    Raises:
      PenstockError: a process died.
      Exception: what `work` raised; that of the first part that failed.
    """
    count = (
        len(parts) if together else min(len(parts), at_most or sys.maxsize, available_processes())
    )
    if count < 2:
        for part in parts:
            yield work(part, advance)
        return
    children: list[Child] = []
    try:
        for _ in range(count):
            children.append(fork(functools.partial(_do_each, work, parts), children, count))
        yield from outcomes(children, parts, range(len(parts)), named, advance, together=together)
    finally:
        end(children)


def outcomes(
    children: Sequence[Child],
    parts: Sequence[Part],
    asked: Sequence[Any],
    named: Callable[[Part], str],
    advance: Advance,
    *,
    together: bool = False,
) -> Iterator[Any]:
    """Yield what forks return that are sent what is `asked` for each part, in the parts' order.

    Raises: as `in_processes`.
    """
    found: dict[int, Any] = {}
    begun, failed = 0, False
    for index in range(len(parts)):
        while index not in found:
            for child in children:
                last = len(parts) if not failed else 0
                if child.part is None and begun < min(last, index + _AHEAD * len(children)):
                    child.part, begun = begun, begun + 1
                    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                        child.connection.send(asked[child.part])  # its death is seen below
            at_work = {child.connection: child for child in children if child.part is not None}
            for connection in wait(list(at_work)):
                child = at_work[connection]  # type: ignore[index]
                outcome = _receive(child, lambda index: named(parts[index]))
                if isinstance(outcome, int):
                    advance(outcome)
                    continue
                failed = failed or isinstance(outcome, BaseException)
                if failed and together:
                    raise outcome
                found[child.part] = outcome  # type: ignore[index]  # it is at work
                child.part = None
        outcome = found.pop(index)
        if isinstance(outcome, BaseException):
            raise outcome
        yield outcome.result


def end(children: Sequence[Child]) -> None:
    """End forks at once, whatever they are doing."""
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.process_id, signal.SIGKILL)
        child.connection.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child.process_id, 0)


def die_with(parent: int) -> None:
    """Have this process killed when its parent ends; also if it has ended already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def how_it_ended(status: int) -> tuple[str, str | None]:
    """Return how a process ended that was waited for, and the signal that killed it, by name."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended with exit code {code}", None
    name = signal.Signals(-code).name
    message = f"was killed by {name}"
    if name == "SIGKILL":
        message += " (was there enough memory?)"
    return message, name


def fork(serve: Callable[[Connection], None], others: Sequence[Child], count: int) -> Child:
    """Fork a process that does what it is told over a connection, as `serve` does.

    It has not the connections to `others`, dies with this process, and has its share of the
    processors, as one of `count`.
    """
    parent = os.getpid()
    connection, far_end = multiprocessing.Pipe()
    flush()
    process_id = os.fork()
    if process_id:
        far_end.close()
        return Child(process_id, connection)
    try:
        die_with(parent)
        # What has been imported lives on: a fork that looked for garbage there would find none,
        # and copy every page.
        gc.freeze()
        for other in (connection, *(child.connection for child in others)):
            other.close()
        _take_share(count)
        serve(far_end)
    except BaseException:
        # The parent has taken it for dead, or is at its own end: nobody is there to be told.
        pass
    finally:
        os._exit(1)


def _take_share(count: int) -> None:
    """Let TensorFlow, if it starts here, have as many threads as each of some processes can have.

    Else each of them has one for each processor, and they wait for each other.
    """
    share = max(1, _processors() // count)
    for threads in _THREADS_OF_TENSORFLOW:
        os.environ.setdefault(threads, str(share))


def _do_each(work: Callable[..., Any], parts: Sequence[Any], connection: Connection) -> None:
    while True:
        do(work, parts[connection.recv()], connection)


def do(work: Callable[..., Any], part: Any, to: Connection) -> None:
    """Do a part in a fork, and send what came of it."""
    try:
        to.send(_Returned(work(part, to.send)))
    except BaseException as error:
        to.send(_Raised(f"{type(error).__name__}: {error}", traceback.format_exc()))
        try:
            to.send(error)
        except Exception:  # what exceptions hold cannot always be pickled
            to.send(None)
    flush()


def _receive(child: Child, named: Callable[[Any], str]) -> Any:
    """Return by how much a child has advanced, what its work returned, or an exception."""
    try:
        outcome = child.connection.recv()
        return _raised(child, outcome) if isinstance(outcome, _Raised) else outcome
    except (EOFError, ConnectionResetError):
        _, status = os.waitpid(child.process_id, 0)
        ended, _ = how_it_ended(status)
        return PenstockError(f"the process that should {named(child.part)} {ended}")


def _raised(child: Child, raised: _Raised) -> BaseException:
    try:
        error = child.connection.recv()
    except (EOFError, ConnectionResetError):
        raise
    except Exception:  # not all exceptions that can be pickled can be made again
        error = None
    if not isinstance(error, BaseException):
        error = PenstockError(raised.message)
    error.__cause__ = ChildTracebackError(raised.details)
    return error


def flush() -> None:
    """Write what waits in the standard streams; a fork would write it again."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # there may be none
            stream.flush()
