"""How many runs of a pipeline are under way at once: each asks before it begins.

The decision is a pure function of the runs that are under way. It is made, and the run's attempt
taken, by one process at a time, which holds the lease `starts of PIPELINE`. Who finds afterwards
that the lease was taken from it gives its attempt back: whoever has taken it may not have seen
that. A run counts for as long as its own lease does, so that of one that was killed the place is
free as soon as anybody can know that. Those that wait stand in a queue: the first begins first.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, replace

from penstock import _tfx
from penstock.errors import RunError
from penstock.execution.recovery import mark_abandoned
from penstock.execution.waiting import StoreWait
from penstock.ir.reading import RUN_CONTEXT
from penstock.metadata import attempts, leases, queues, turns
from penstock.metadata.attempts import Attempt
from penstock.metadata.protocol import Metadata, Store
from penstock.metadata.reading import PIPELINE_CONTEXT
from penstock.project.limits import REFUSE, RunLimit
from penstock.runners.local.display import Display

_WITHDRAWN = "withdrawn"
_LOOK_SECONDS = 1.0
_STEP_SECONDS = 0.1


class Verdict(enum.Enum):
    """What becomes of a run that is to begin."""

    BEGIN = "begin"
    WAIT = "wait"
    REFUSE = "refuse"
    ASK_AGAIN = "ask again"
    """Runs have begun of which nobody can say yet whose they are."""


@dataclass(frozen=True)
class UnderWay:
    """The other runs that are under way: those of the pipeline, and those that may be.

    `ahead` is how many wait that came before.
    """

    runs: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    ahead: int = 0


class LimitReached(RunError):
    """As many runs of the pipeline are under way as may be; `runs` has their names."""

    def __init__(self, message: str, runs: Collection[str], *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.runs = tuple(sorted(runs))


def decide(limit: RunLimit, others: UnderWay) -> Verdict:
    """Return what becomes of a run, of the others that are under way."""
    if limit.when_reached == REFUSE:
        if len(others.runs) >= limit.runs_at_once:
            return Verdict.REFUSE
    elif len(others.runs) + others.ahead >= limit.runs_at_once:
        return Verdict.WAIT
    if len(others.runs | others.unknown) + others.ahead >= limit.runs_at_once:
        return Verdict.ASK_AGAIN
    return Verdict.BEGIN


def read_under_way(store: Store, pipeline: str, run_id: str) -> UnderWay:
    """Return the runs that are under way beside `run_id`, on whatever machine."""
    runs, unknown = set(), set()
    for name in attempts.read_recent(store).runs_under_way() - {run_id}:
        context = store.get_context_by_type_and_name(RUN_CONTEXT, name)
        parents = store.get_parent_contexts_by_context(context.id) if context is not None else ()
        named = {parent.name for parent in parents if parent.type == PIPELINE_CONTEXT}
        if pipeline in named:
            runs.add(name)
        elif not named:
            unknown.add(name)
    return UnderWay(frozenset(runs), frozenset(unknown))


@dataclass(frozen=True)
class Admission:
    """Lets a run begin as soon as the limit of its pipeline allows it.

    `connection` is the store's. `waiting` knows whether the run was asked to end.
    """

    metadata: Metadata
    connection: _tfx.Connection
    pipeline: str
    run_id: str
    limit: RunLimit | None
    display: Display
    waiting: StoreWait

    def begin(self) -> Attempt:
        """Take the next attempt at the run.

        Raises:
          LimitReached: as many runs are under way as may be, and the limit is not waited for.
          RunError: another process is at this run.
          KeyboardInterrupt: the run was asked to end while it waited.
        """
        if self.limit is None:
            return attempts.begin(self.metadata.store, self.run_id)
        with ExitStack() as kept:
            return self._begin_in_turn(self.limit, kept)

    def _begin_in_turn(self, limit: RunLimit, kept: ExitStack) -> Attempt:
        """Begin once there is room; until then the run's place in the queue is kept."""
        shown = ""
        before: list[int] | None = None
        while True:
            others = self._others(before)
            verdict = decide(limit, others)
            self.waiting.over()
            if verdict is Verdict.BEGIN:
                attempt = self._begin_alone(limit, before)
                if attempt is not None:
                    return attempt
            elif verdict is not Verdict.ASK_AGAIN:
                reason = reached(self.pipeline, limit, others)
                if verdict is Verdict.REFUSE:
                    raise LimitReached(
                        reason,
                        others.runs,
                        hint="Wait for the end of one; or with `when_reached` of the limit, "
                        "'wait', runs do that.",
                    )
                if before is None:
                    store = self.metadata.store
                    joined = queues.joined(store, self.connection, self._queue)
                    place = kept.enter_context(joined)
                    before = [
                        other for other in queues.waiting(store, self._queue) if other < place
                    ]
                if reason != shown:
                    self.display.queued(reason)
                    shown = reason
            self._pause()

    @property
    def _queue(self) -> str:
        return f"runs of {self.pipeline} that wait"

    def _others(self, before: list[int] | None) -> UnderWay:
        """Return the others that are under way, or wait at places before the run's own."""
        store = self.metadata.store
        if before is None:
            ahead = queues.waiting(store, self._queue)
        else:
            ahead = queues.still_waiting(store, self._queue, before)
        return replace(read_under_way(store, self.pipeline, self.run_id), ahead=len(ahead))

    def _begin_alone(self, limit: RunLimit, before: list[int] | None) -> Attempt | None:
        """Take the attempt unless others begin, or have begun, at the same moment."""
        store = self.metadata.store
        try:
            with leases.held(store, self.connection, f"starts of {self.pipeline}") as lease:
                # One that is taken for dead here may only have been stopped: it must notice.
                mark_abandoned(self.metadata)
                if decide(limit, self._others(before)) is not Verdict.BEGIN:
                    return None
                attempt = attempts.begin(store, self.run_id)
                if lease.is_ours(store):
                    return attempt
        except turns.Held as held:
            if isinstance(held.turn, Attempt):
                raise
            return None
        turns.end(store, attempt, _WITHDRAWN)
        return None

    def _pause(self) -> None:
        until = time.monotonic() + _LOOK_SECONDS
        while time.monotonic() < until:
            if self.waiting.interrupts.count:
                raise KeyboardInterrupt
            time.sleep(_STEP_SECONDS)


def reached(pipeline: str, limit: RunLimit, others: UnderWay) -> str:
    """Return in words that as many runs are under way, or next, as may be, and which."""
    names, told = sorted(others.runs), []
    if names:
        named = f"run {names[0]} is" if len(names) == 1 else f"runs {', '.join(names)} are"
        told.append(f"{named} under way")
    if others.ahead:
        told.append("another run waits" if others.ahead == 1 else f"{others.ahead} others wait")
        told[-1] += " that came before"
    return f"{', '.join(told)}, and {limit.runs_at_once} of {pipeline} may be at once"
