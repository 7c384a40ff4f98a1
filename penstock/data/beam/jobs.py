"""A pipeline of Beam's whose job takes what the user has written, and ends with the node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

import apache_beam
from apache_beam.internal.cloudpickle import cloudpickle
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions

from penstock.data.beam import telling
from penstock.data.beam.watching import rows_of
from penstock.data.parallel.travelling import by_value

# A node that is asked to end has ten seconds for it.
_CANCEL_SECONDS = 8.0
_LOOK_SECONDS = 2.0


class JobPipeline(apache_beam.Pipeline):
    """A pipeline whose job is over when the block ends that has it, also by an interrupt.

    `progress` is told what the job has counted. With `takes_code` the user's modules go along by
    value, for workers in other processes. A job `elsewhere` is one that would outlive this process.
    """

    def __init__(
        self,
        args: Sequence[str],
        *,
        takes_code: bool,
        elsewhere: bool,
        progress: Callable[..., None] | None = None,
    ) -> None:
        super().__init__(options=PipelineOptions(list(args)))
        self._takes_code = takes_code
        self._elsewhere = elsewhere
        self._progress = progress or (lambda **_: None)

    def run(self, test_runner_api: bool | str = "AUTO") -> Any:
        """Run the job to its end.

        Raises:
          PenstockError: a worker has raised it, or the job has failed.
        """
        endpoint = self.options.view_as(PortableOptions).job_endpoint
        with ExitStack() as stack:
            ending = stack.enter_context(_asked_to_end()) if self._elsewhere else threading.Event()
            try:
                with by_value(cloudpickle) if self._takes_code else ExitStack():
                    run = partial(super().run, test_runner_api)
                    result = run() if self._elsewhere or not self._takes_code else _beside(run)
                if self._elsewhere:
                    self._tell_name(result)
                    stack.enter_context(_guarded(result, endpoint))
                _await(result, ending, self._count)
                self._count(result)
                return _Ended(result)
            except Exception as error:
                if ending.is_set():
                    _end()
                raise telling.told(error, endpoint) from error

    def _tell_name(self, result: Any) -> None:
        name = _name_of(result)
        if name:
            sys.stdout.write(f"Beam's job is {name}.\n")
            self._progress(note=name)

    def _count(self, result: Any) -> None:
        with suppress(Exception):  # not all runners have metrics, or have them all the time
            rows = rows_of(result)
            if rows is not None:
                self._progress(rows=rows)


class _Ended:
    """The result of a job that is over."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def wait_until_finish(self, _duration: int | None = None) -> Any:
        """Return the job's state at once."""
        return self._result.state

    def __getattr__(self, name: str) -> Any:
        return getattr(self._result, name)


def _beside(run: Callable[[], Any]) -> Any:
    """Run a job whose workers are processes of this machine; one that ends ends the job.

    Beam notices that in a thread of its own, and would wait for an answer forever.
    """
    over = threading.Event()
    results: list[Any] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(run())
        except BaseException as error:
            errors.append(error)
        finally:
            over.set()

    def notice(raised: threading.ExceptHookArgs) -> None:
        if telling.is_of_an_ended_worker(raised.exc_value):
            errors.append(raised.exc_value)
            over.set()
        before(raised)

    before, threading.excepthook = threading.excepthook, notice
    try:
        threading.Thread(target=work, daemon=True).start()
        over.wait()
    finally:
        threading.excepthook = before
    if errors:
        raise errors[0]
    return results[0]


def _await(result: Any, ending: threading.Event, look: Callable[[Any], None]) -> None:
    """Wait for a job, in a thread of its own so that this one can be asked to end."""
    over = threading.Event()
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            result.wait_until_finish()
        except BaseException as error:
            errors.append(error)
        finally:
            over.set()

    threading.Thread(target=wait, daemon=True).start()
    try:
        while not over.wait(_LOOK_SECONDS if not ending.is_set() else 0):
            if ending.is_set():
                _cancel(result, over)
                _end()
            look(result)
    except BaseException:
        _cancel(result, over)
        raise
    if errors:
        raise errors[0]


def _name_of(result: Any) -> str | None:
    """Return what a job is called where it runs; each runner has its own place for that."""
    name = getattr(result, "_job_id", None) or getattr(result, "job_id", None)
    return str(name() if callable(name) else name) if name else None


def _cancel(result: Any, over: threading.Event) -> None:
    with suppress(Exception):  # whoever does not answer has no job to end
        result.cancel()
    over.wait(_CANCEL_SECONDS)


@contextmanager
def _asked_to_end() -> Iterator[threading.Event]:
    """Note a SIGTERM in place of ending by it."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(*_: object) -> None:
        asked.set()

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)


def _end() -> None:
    """End as a process does that has taken no SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _guarded(result: Any, endpoint: str | None) -> Iterator[None]:
    """Have a process beside this one which cancels the job if this one is killed."""
    job_id = _name_of(result)
    if not (job_id and endpoint and ":" in endpoint):
        yield
        return
    command = [sys.executable, "-m", "penstock.data.beam.guard", endpoint, job_id]
    # A session of its own: what is sent to this process's group should not reach it. The log is
    # this process's, and whoever writes it waits for its end.
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as guard:
        try:
            yield
        finally:
            with suppress(BrokenPipeError):
                guard.communicate(b"over")
