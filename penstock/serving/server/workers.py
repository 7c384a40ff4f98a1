"""A worker as the server has it: questions go there, answers come, and it is started again."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from penstock.serving.frames import (
    ANSWER,
    ASK,
    COUNT,
    COUNTS,
    FAILED,
    LOAD,
    READY,
    Answer,
    Frame,
    Question,
    Received,
    framed,
)
from penstock.serving.routes import Servable
from penstock.serving.server.limits import Limits
from penstock.serving.server.processes import spawn

_UNAVAILABLE = 503
# A worker that has not answered anything for this many times the patience of a request is hung.
_HANGS = 2.0


class LoadError(Exception):
    """A worker says why its model cannot serve."""


@dataclass
class Waiting:
    """A question that was sent, and whoever waits for its answer."""

    future: asyncio.Future[Answer]
    since: float


@dataclass
class Worker:
    """One process that has a model."""

    name: str
    servable: Servable
    limits: Limits
    on_end: Callable[[Worker], None]
    process: subprocess.Popen[bytes] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    waiting: dict[int, Waiting] = field(default_factory=dict)
    is_ready: bool = False
    counts: Mapping[str, Any] = field(default_factory=dict)
    _transport: asyncio.Transport | None = None
    _ready: asyncio.Future[None] | None = None
    _counting: deque[asyncio.Future[None]] = field(default_factory=deque)
    _number: int = 0
    _answered: float = 0.0

    async def start(self) -> None:
        """Start the process, and wait until the model is loaded and warm.

        Raises:
          LoadError: it does not load, dies, or takes too long.
        """
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        self._ready = loop.create_future()
        with theirs:
            self.process = spawn("penstock.serving.worker.process", theirs)
        ours.setblocking(False)
        self._transport, _ = await loop.create_connection(lambda: _Channel(self), sock=ours)
        order = {
            **self.servable.to_json(),
            "name": self.name,
            "most_rows": self.limits.rows,
            "batch_requests": self.limits.batch_requests,
            "batch_seconds": self.limits.batch_seconds,
        }
        self._transport.write(framed(LOAD, 0, json.dumps(order).encode()))
        try:
            await asyncio.wait_for(self._ready, self.limits.load_seconds)
        except TimeoutError:
            await self.stop()
            raise LoadError(f"it did not load within {self.limits.load_seconds:g} s") from None
        except LoadError:
            await self.stop()
            raise
        self.is_ready = True

    def ask(self, question: Question) -> asyncio.Future[Answer]:
        """Send a question; the answer is in the future, an error's too."""
        assert self._transport is not None
        self._number += 1
        number, future = self._number, asyncio.get_running_loop().create_future()
        now = time.monotonic()
        # A process that hangs owes answers that nobody waits for any more.
        self._answered = self._answered or now
        self.waiting[number] = Waiting(future, now)
        self._transport.write(framed(ASK, number, question.packed()))
        return future

    async def count(self, seconds: float) -> None:
        """Have `counts` brought up to date, if that takes no longer than some seconds."""
        if not self.is_ready or self._transport is None:
            return
        future = asyncio.get_running_loop().create_future()
        self._counting.append(future)
        self._transport.write(framed(COUNT, 0, b""))
        with suppress(TimeoutError):
            await asyncio.wait_for(future, seconds)

    def expire(self, now: float) -> None:
        """Answer those who have waited for too long; end a process that answers nobody."""
        limit = self.limits.request_seconds
        # They are in the order in which they came.
        for number, waiting in list(self.waiting.items()):
            if now - waiting.since <= limit:
                break
            del self.waiting[number]
            _settle(waiting.future, _error(504, f"the model took more than {limit:g} s"))
        if self.is_busy_since(now) > limit * _HANGS and self.process is not None:
            self.process.kill()

    def is_busy_since(self, now: float) -> float:
        """Return for how long answers are owed without any being given."""
        return now - self._answered if self._answered else 0.0

    async def stop(self) -> None:
        """End the process; who waits for an answer gets an error."""
        self.is_ready = False
        if self._transport is not None:
            self._transport.close()
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.kill()
            await asyncio.to_thread(self.process.wait)

    def received(self, frame: Frame) -> None:
        """Take what the process says."""
        assert self._ready is not None
        if frame.kind == ANSWER:
            self._answered = time.monotonic()
            waiting = self.waiting.pop(frame.number, None)
            if not self.waiting:
                self._answered = 0.0
            if waiting is not None:
                _settle(waiting.future, Answer.unpacked(frame.content))
        elif frame.kind == COUNTS:
            self.counts = json.loads(frame.content)
            if self._counting:
                _settle(self._counting.popleft(), None)
        elif frame.kind == READY:
            self.facts = json.loads(frame.content)
            _settle(self._ready, None)
        elif frame.kind == FAILED and not self._ready.done():
            self._ready.set_exception(LoadError(frame.content.decode()))

    def hung_up(self) -> None:
        """Answer all who wait: the process has ended."""
        was_ready, self.is_ready = self.is_ready, False
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(LoadError(f"its process ended{self._how()}"))
        waiting, self.waiting = self.waiting, {}
        for one in waiting.values():
            _settle(one.future, _error(_UNAVAILABLE, "the process of the model has ended"))
        while self._counting:
            _settle(self._counting.popleft(), None)
        if was_ready:
            self.on_end(self)

    def _how(self) -> str:
        if self.process is None:
            return ""
        with suppress(subprocess.TimeoutExpired):
            code = self.process.wait(timeout=1)
            return f" by signal {-code}" if code < 0 else f" with {code}"
        return ""


class _Channel(asyncio.Protocol):
    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._received = Received()

    def data_received(self, data: bytes) -> None:
        for frame in self._received.add(data):
            self._worker.received(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        self._worker.hung_up()


def _settle(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _error(status: int, message: str) -> Answer:
    return Answer(status, json.dumps({"error": message}).encode())
