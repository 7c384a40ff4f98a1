"""A model in a server: its versions, and who of them answers whom."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.opentelemetry.predictions import CARRIED, AnswerTelemetry
from penstock.serving.evidence import Evidence
from penstock.serving.frames import Answer, Question
from penstock.serving.routes import CANARY, PRODUCTION, ROLES, SHADOW, Routes, Servable, is_chosen
from penstock.serving.server.answer_counts import AnswerCounts
from penstock.serving.server.limits import Limits
from penstock.serving.server.recording import Recorder
from penstock.serving.server.state import ModelState, write_state
from penstock.serving.server.tally import Tally, evidence_of
from penstock.serving.server.versions import DRAINING, FAILED, READY, Version
from penstock.serving.sketches import bin_of

_COUNT_SECONDS = 1.0
_SHADOW_ROLE = ROLES.index(SHADOW)

_log = logging.getLogger("penstock.serving")


class RefusedError(Exception):
    """A change of a model that is not made, and why."""


class OverloadedError(Exception):
    """A model has as much to do as it takes on, and of what."""


class UnknownModelError(Exception):
    """A model is asked that is not there."""


@dataclass
class ServedModel:
    """A model that a server has: what is asked of it goes to a version of it."""

    name: str
    limits: Limits
    folder: Path
    recorder: Recorder | None = None
    versions: dict[int, Version] = field(default_factory=dict)
    routes: Routes | None = None
    followed: int | None = None
    # Why there is nothing to serve yet.
    trouble: str = ""
    totals: dict[tuple[int, str, int], int] = field(default_factory=dict)
    refusals: int = 0
    # Of the bodies of all requests that are read, or wait for their answers.
    body_bytes: int = 0
    telemetry: AnswerTelemetry | None = None
    # Since the server started, as a sketch of seconds.
    latency: dict[int, int] = field(default_factory=dict)
    # By version and role, since it was last told to the log.
    measured: dict[tuple[int, str], AnswerCounts] = field(default_factory=dict)
    _tally: Tally | None = None
    _epochs: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    _copies: int = 0

    @property
    def is_ready(self) -> bool:
        """Whether callers are answered."""
        production = self.routes and self.versions.get(self.routes.production)
        return bool(production and production.is_ready)

    def prepare(self, servable: Servable) -> Version:
        """Begin to load a version, if it is not loaded already.

        Raises:
          RefusedError: another folder is loaded under its number.
        """
        known = self.versions.get(servable.version)
        if known is not None and known.state not in (FAILED, DRAINING):
            if known.servable.path != servable.path:
                raise RefusedError(
                    f"version {servable.version} of {self.name} is that in {known.servable.path}"
                )
            return known
        version = Version(self.name, servable, self.limits)
        self.versions[servable.version] = version
        self._in_background(version.load())
        return version

    async def prepared(self, servable: Servable) -> Version:
        """Return a version when it is ready, or has failed."""
        version = self.prepare(servable)
        while version.state not in (READY, FAILED):
            await asyncio.sleep(0.02)
        return version

    async def shift(self, routes: Routes) -> None:
        """Let other versions answer, from the next request on.

        Raises:
          RefusedError: a version is not ready.
        """
        if routes == self.routes:
            return
        for number in routes.versions():
            version = self.versions.get(number)
            if version is None or version.state != READY:
                state = "not here" if version is None else version.state
                reason = f": {version.reason}" if version is not None and version.reason else ""
                raise RefusedError(f"version {number} of {self.name} is {state}{reason}")
        before = {}
        for number in routes.versions():
            counted = await self.versions[number].count(_COUNT_SECONDS)
            before[number] = sum(part["cpu_seconds"] for part in counted)
        # Kept before it is done: a server that ends here does it when it comes back.
        self._write(routes)
        self._tally = Tally(routes.token, next(self._epochs), cpu_before=before)
        self.routes = routes

    async def remove(self, number: int, seconds: float) -> None:
        """Drain a version, and end its workers.

        Raises:
          RefusedError: callers are answered by it.
        """
        if self.routes is not None and number in self.routes.versions():
            raise RefusedError(f"version {number} of {self.name} serves; shift the routes first")
        version = self.versions.get(number)
        if version is not None:
            await version.drain(seconds)
            if self.versions.get(number) is version:
                del self.versions[number]

    async def evidence(self) -> Evidence | None:
        """Return what was seen since the routes are as they are; None before there are any."""
        tally, routes = self._tally, self.routes
        if tally is None or routes is None:
            return None
        named = [(n, self.versions[n]) for n in routes.versions() if n in self.versions]
        counted = await asyncio.gather(*(v.count(_COUNT_SECONDS) for _, v in named))
        return evidence_of(tally, routes, dict(zip([n for n, _ in named], counted, strict=True)))

    def ask(
        self, question: Mapping[str, Any], caller: str, number: int | None
    ) -> tuple[asyncio.Future[Answer] | None, int, str]:
        """Have a version asked: that of a number, or that which the routes choose for a caller.

        Returns the answer to come, None where nobody can give one; the version and its role.
        """
        tally, routes = self._tally, self.routes
        if number is not None or routes is None or tally is None:
            version = None if number is None else self.versions.get(number)
            asked = None if version is None else version.ask(Question(**question))
            return asked, number or 0, ""
        role, chosen = PRODUCTION, routes.production
        if routes.canary is not None and self._is_canary(routes, caller):
            canary = self.versions.get(routes.canary.version)
            # Nobody waits for a canary that cannot answer; that it could not is counted.
            if canary is not None and canary.is_ready:
                role, chosen = CANARY, routes.canary.version
            else:
                tally.roles[CANARY].add(503, 0.0, 0.0)
        shadowed = role == PRODUCTION and routes.shadow is not None and self._is_copied(routes)
        version = self.versions.get(chosen)
        if version is None:
            return None, chosen, role
        counted = {"role": ROLES.index(role), "epoch": tally.epoch}
        whole = Question(
            **{**question, **counted, "summarized": shadowed or question["summarized"]}
        )
        asked = version.ask(whole)
        if asked is not None and shadowed:
            asked.add_done_callback(lambda done: self._copy(whole, done, tally, routes))
        return asked, chosen, role

    def answered(
        self,
        version: int,
        role: str,
        status: int,
        seconds: float,
        work: float = 0.0,
        rows: int = 0,
        *,
        headers: Iterable[tuple[bytes, bytes]] = (),
        protocol: str = "http",
    ) -> None:
        """Count an answer that was given, and the seconds that a worker took for it.

        The request's `headers` may say in which trace it is.
        """
        if self.telemetry is not None:
            carried = dict.fromkeys(CARRIED, "")
            carried.update(
                (name, value.decode("latin-1"))
                for key, value in headers
                if (name := key.decode("latin-1")) in carried
            )
            self.telemetry.answered(
                *(self.name, version, role, status, seconds),
                rows=rows,
                protocol=protocol,
                parent=(carried["traceparent"], carried["tracestate"]),
            )
        self.measured_of(version, role).add(status, seconds, rows)
        key = (version, role, status)
        self.totals[key] = self.totals.get(key, 0) + 1
        taken = bin_of(seconds)
        self.latency[taken] = self.latency.get(taken, 0) + 1
        if role and self._tally is not None:
            self._tally.roles[role].add(status, seconds, work)

    def measured_of(self, version: int, role: str) -> AnswerCounts:
        """Return the counts of a version in a role, which its answers add to."""
        counts = self.measured.get((version, role))
        if counts is None:
            counts = self.measured[version, role] = AnswerCounts()
        return counts

    def served(self) -> list[tuple[int, str]]:
        """Return the versions that the routes name, each with its role."""
        routes = self.routes
        if routes is None:
            return []
        shares = [(CANARY, routes.canary), (SHADOW, routes.shadow)]
        named = [(share.version, role) for role, share in shares if share is not None]
        return [(routes.production, PRODUCTION), *named]

    def expire(self, now: float) -> None:
        """Answer those who have waited for too long."""
        for version in self.versions.values():
            for worker in version.workers:
                worker.expire(now)

    def waiting(self) -> int:
        """Return how many callers wait for an answer; copies are nobody's."""
        return sum(version.waiting() for version in self.versions.values()) - self._copies

    async def stop(self) -> None:
        """End all workers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(version.stop() for version in self.versions.values()))

    def _is_canary(self, routes: Routes, caller: str) -> bool:
        assert routes.canary is not None
        if routes.key and caller:
            return is_chosen(caller, routes.canary.percent, self.name)
        return random.random() * 100 < routes.canary.percent

    def _is_copied(self, routes: Routes) -> bool:
        assert routes.shadow is not None
        return random.random() * 100 < routes.shadow.percent

    def _copy(
        self, question: Question, done: asyncio.Future[Answer], tally: Tally, routes: Routes
    ) -> None:
        """Ask the shadow what production has just answered, unless it is busy."""
        assert routes.shadow is not None
        if tally is not self._tally or done.cancelled() or done.result().status != 200:
            return
        shadow = self.versions.get(routes.shadow.version)
        if shadow is None or not shadow.is_ready or self._copies >= self.limits.shadow_queue:
            tally.dropped += 1
            return
        started = time.monotonic()
        copied = shadow.ask(
            Question(
                verb=question.verb,
                body=question.body,
                role=_SHADOW_ROLE,
                epoch=tally.epoch,
                head=question.head,
                compared=done.result().summary,
            )
        )
        if copied is None:
            tally.dropped += 1
            return
        self._copies += 1
        number = routes.shadow.version
        copied.add_done_callback(lambda answer: self._copied(answer, number, tally, started))

    def _copied(
        self, answer: asyncio.Future[Answer], number: int, tally: Tally, started: float
    ) -> None:
        self._copies -= 1
        if answer.cancelled():
            return
        result, taken = answer.result(), time.monotonic() - started
        tally.roles[SHADOW].add(result.status, taken, result.seconds)
        self.measured_of(number, SHADOW).add(result.status, taken, result.rows)
        tally.failed += result.status != 200

    def _write(self, routes: Routes) -> None:
        named = [self.versions[number].servable for number in routes.versions()]
        try:
            write_state(self.folder, self.name, ModelState(routes, tuple(named), self.followed))
        except OSError as error:
            # Who is served well should not wait for a disk.
            _log.warning("%s cannot be written: %s", self.folder, error)

    def _in_background(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def model_named(models: Mapping[str, ServedModel], name: str) -> ServedModel:
    """Return a model by its name.

    Raises:
      UnknownModelError: there is none.
    """
    if name not in models:
        known = ", ".join(sorted(models)) or "none"
        raise UnknownModelError(f"there is no model {name!r} here, but {known}")
    return models[name]
