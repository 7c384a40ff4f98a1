"""What a trigger does about what has happened: a pure function, without clock or store.

Everything that happens has a key, and is decided on under it: it starts a run, it waits, or it is
left out. What waits is decided on again, the rest never.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from penstock.project.triggers import Trigger


@dataclass(frozen=True)
class Evidence:
    """Something that has happened: a span arrived, a time came, an alert was raised.

    `key` tells it from all else that the trigger waits for, `order` puts it before what came later,
    `at` is when it happened, and `what` says it in words. `values` are what templates refer to.
    """

    key: str
    at: datetime
    what: str
    order: tuple[float, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> tuple[tuple[float, ...], str]:
        """Where it stands in the order of all."""
        return self.order or (self.at.timestamp(),), self.key


class Verdict(enum.Enum):
    """What is done about something that has happened."""

    FIRE = "fire"
    WAIT = "wait"
    SKIP = "skip"


@dataclass(frozen=True)
class Past:
    """What was decided about something earlier.

    `fired` is when it was decided to start its run, None if it was not; `active` says that the run
    is not over, or is still to be started. `ending` says that it has been asked to end.
    """

    evidence: Evidence
    verdict: Verdict
    reason: str = ""
    fired: datetime | None = None
    active: bool = False
    ending: bool = False

    @property
    def key(self) -> str:
        """The key of what had happened."""
        return self.evidence.key


@dataclass(frozen=True)
class Decision:
    """What is to be done about something, and why.

    `replaces` are the keys of those whose runs are to end first.
    """

    evidence: Evidence
    verdict: Verdict
    reason: str
    replaces: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The key of what has happened."""
        return self.evidence.key


def decide(
    trigger: Trigger, evidence: Iterable[Evidence], history: Iterable[Past], now: datetime
) -> tuple[Decision, ...]:
    """Return what is to be done now about what has happened, in the order in which it happened.

    What was decided before, and stays so, is not among it. `history` has all that was decided,
    `evidence` may have it once more. Times are aware.
    """
    past = tuple(history)
    known = {entry.key for entry in past}
    waiting = {entry.key: entry for entry in past if entry.verdict is Verdict.WAIT}
    new: dict[str, Evidence] = {}
    for item in evidence:
        if item.key not in known:
            new.setdefault(item.key, item)
    candidates = sorted(
        [*new.values(), *(entry.evidence for entry in waiting.values())], key=lambda e: e.place
    )
    decisions: dict[str, Decision] = {}
    if trigger.catch_up == "none":
        for item in candidates:
            if item.key in new and now - item.at > trigger.late_time:
                decisions[item.key] = _late(item, now)
    if trigger.catch_up == "last" or trigger.concurrency == "replace":
        left = [item for item in candidates if item.key not in decisions]
        for item in left[:-1]:
            reason = f"{left[-1].what} came after it, and the last one counts"
            decisions[item.key] = Decision(item, Verdict.SKIP, reason)
    situation = _Situation.of(trigger, past, now)
    for item in candidates:
        if item.key in decisions:
            continue
        decision = situation.decision(item, trigger, now)
        if decision.verdict is Verdict.FIRE:
            situation = situation.with_a_start(item, now)
        earlier = waiting.get(item.key)
        if earlier is None or not _is_the_same(earlier, decision):
            decisions[item.key] = decision
    return tuple(sorted(decisions.values(), key=lambda d: d.evidence.place))


@dataclass(frozen=True)
class _Situation:
    """What counts of the past: the last start, how many there were today, what is under way."""

    last: datetime | None
    today: int
    active: tuple[Past, ...]

    @classmethod
    def of(cls, trigger: Trigger, past: Sequence[Past], now: datetime) -> _Situation:
        starts = [entry.fired for entry in past if entry.fired is not None]
        day = _day(trigger, now)
        return cls(
            max(starts, default=None),
            sum(_day(trigger, start) == day for start in starts),
            tuple(entry for entry in past if entry.active),
        )

    def with_a_start(self, item: Evidence, now: datetime) -> _Situation:
        started = Past(item, Verdict.FIRE, fired=now, active=True)
        return replace(self, last=now, today=self.today + 1, active=(*self.active, started))

    def decision(self, item: Evidence, trigger: Trigger, now: datetime) -> Decision:
        later = Verdict.SKIP if trigger.catch_up == "none" else Verdict.WAIT
        if trigger.limit_a_day is not None and self.today >= trigger.limit_a_day:
            runs = "1 run" if self.today == 1 else f"{self.today} runs"
            reason = f"{runs} began on {_day(trigger, now)}, and the limit is {trigger.limit_a_day}"
            return Decision(item, later, reason)
        over = self.last + trigger.cool_down_time if self.last and trigger.cool_down_time else now
        if now < over:
            over = over.astimezone(trigger.when.zone)
            return Decision(item, later, f"it cools down until {over:%Y-%m-%d %H:%M:%S %Z}")
        if not self.active:
            return Decision(item, Verdict.FIRE, f"{item.what} came")
        under_way = ", ".join(entry.evidence.what for entry in self.active)
        if trigger.concurrency == "skip":
            return Decision(item, Verdict.SKIP, f"the run of {under_way} is under way")
        if trigger.concurrency == "replace":
            replaced = tuple(entry.key for entry in self.active if not entry.ending)
            reason = f"it takes the place of the run of {under_way}, which has to end first"
            return Decision(item, Verdict.WAIT, reason, replaced)
        return Decision(item, Verdict.WAIT, f"the run of {under_way} has to end first")


def _is_the_same(earlier: Past, decision: Decision) -> bool:
    """Whether nothing is to be done that was not decided before."""
    if decision.verdict is not Verdict.WAIT or decision.replaces:
        return False
    return earlier.reason == decision.reason


def _late(item: Evidence, now: datetime) -> Decision:
    ago = _rounded(now - item.at)
    reason = f"it had come {ago} before anybody looked, and catch_up is none"
    return Decision(item, Verdict.SKIP, reason)


def _day(trigger: Trigger, at: datetime) -> Any:
    return at.astimezone(trigger.when.zone).date()


def _rounded(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
