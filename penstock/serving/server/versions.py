"""A version of a model in a server: its workers, and whether it may answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.serving.frames import Answer, Question
from penstock.serving.routes import Servable
from penstock.serving.server.limits import Limits
from penstock.serving.server.workers import LoadError, Worker

_log = logging.getLogger("penstock.serving")

LOADING = "loading"
READY = "ready"
FAILED = "failed"
DRAINING = "draining"

# How long a version waits, after its workers have ended again and again, before the next try.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 30.0
_CALM_SECONDS = 60.0


@dataclass
class Version:
    """A version that is loaded, or on the way there; `reason` says why it failed."""

    model: str
    servable: Servable
    limits: Limits
    state: str = LOADING
    reason: str = ""
    workers: list[Worker] = field(default_factory=list)
    restarts: int = 0
    # Why the workers that ended were not replaced yet.
    trouble: str = ""
    _pause: float = _FIRST_PAUSE
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _started: float = 0.0
    # What ended workers had counted, so that their successors go on from there.
    _ended: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def is_ready(self) -> bool:
        """Whether there is a worker that answers."""
        return any(worker.is_ready for worker in self.workers)

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the workers say of the model: flavor, signature, a row of its example."""
        return next((worker.facts for worker in self.workers if worker.facts), {})

    async def load(self) -> None:
        """Start the workers; `state` says what came of it."""
        started = [self._worker() for _ in range(self.limits.workers)]
        results = await asyncio.gather(*(w.start() for w in started), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures or self.state != LOADING:
            await asyncio.gather(*(worker.stop() for worker in started))
            if failures:
                self.state, self.reason = FAILED, str(failures[0]) or repr(failures[0])
            return
        self.workers = started
        self.state = READY

    def ask(self, question: Question) -> asyncio.Future[Answer] | None:
        """Have the least busy worker asked; None where there is none that answers."""
        chosen = None
        for worker in self.workers:
            if worker.is_ready and (chosen is None or len(worker.waiting) < len(chosen.waiting)):
                chosen = worker
        return None if chosen is None else chosen.ask(question)

    def waiting(self) -> int:
        """Return how many questions have no answer yet."""
        return sum(len(worker.waiting) for worker in self.workers)

    async def count(self, seconds: float) -> list[Mapping[str, Any]]:
        """Return what the workers have counted, those too that have ended."""
        await asyncio.gather(*(worker.count(seconds) for worker in self.workers))
        return [*self._ended, *(worker.counts for worker in self.workers if worker.counts)]

    async def drain(self, seconds: float) -> None:
        """Answer what was asked, and end the workers."""
        self.state = DRAINING
        until = asyncio.get_running_loop().time() + seconds
        while self.waiting() and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.02)
        await self.stop()

    async def stop(self) -> None:
        """End the workers now."""
        self.state = DRAINING
        for task in self._tasks:
            task.cancel()
        workers, self.workers = self.workers, []
        await asyncio.gather(*(worker.stop() for worker in workers))

    def _worker(self) -> Worker:
        return Worker(self.model, self.servable, self.limits, on_end=self._ended_by_itself)

    def _ended_by_itself(self, worker: Worker) -> None:
        if worker not in self.workers or self.state == DRAINING:
            return
        if worker.counts:
            self._ended.append({**worker.counts, "memory_bytes": 0})
        code = worker.process.poll() if worker.process is not None else None
        _log.warning(
            "%s %d: a worker has ended (%s), and is started again",
            self.model,
            self.servable.version,
            code,
        )
        task = asyncio.get_running_loop().create_task(self._replaced(worker))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _replaced(self, ended: Worker) -> None:
        """Start a worker in the place of one that has ended, after a pause that grows."""
        loop = asyncio.get_running_loop()
        await ended.stop()
        if loop.time() - self._started > _CALM_SECONDS:
            self._pause = _FIRST_PAUSE
        while self.state == READY:
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            worker = self._worker()
            self.restarts += 1
            try:
                await worker.start()
            except LoadError as error:
                self._say(str(error))
                continue
            self._started, self.trouble = loop.time(), ""
            if self.state == READY and ended in self.workers:
                self.workers[self.workers.index(ended)] = worker
            else:
                await worker.stop()
            return

    def _say(self, trouble: str) -> None:
        """Say once why a worker does not start again."""
        if trouble != self.trouble:
            said = "%s %d: a worker does not start again: %s"
            _log.warning(said, self.model, self.servable.version, trouble)
        self.trouble = trouble
