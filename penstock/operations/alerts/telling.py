"""What a sink is to be told: a pure function of alerts, of what it was told, of silences and time.

A change of an alert is told to a sink once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from penstock.metadata.alerts import Addition, Raised
from penstock.operations.alerts.silences import Silence, silence_of
from penstock.project.alerting import Sink

# What can be told of an alert, in this order.
RAISED = "raised"
MORE = "more"
AGAIN = "again"
RESOLVED = "resolved"

# What a message has at most; the rest comes in the next one.
MOST_CHANGES = 100


# The name and the key of an alert, what is told of it, and the number of that.
Identity = tuple[str, str, str, int]


@dataclass(frozen=True)
class Change:
    """Something that is told of an alert: that it was raised, added to, is still open or over.

    `number` tells the additions and the repetitions of an alert apart.
    """

    kind: str
    raised: Raised
    at: datetime
    number: int = 0

    @property
    def identity(self) -> Identity:
        """What tells it from all others."""
        return self.raised.alert.name, self.raised.alert.key, self.kind, self.number

    @property
    def addition(self) -> Addition | None:
        """What was added, if that is what is told."""
        return self.raised.additions[self.number - 1] if self.kind == MORE else None


@dataclass(frozen=True)
class Told:
    """A message as it was recorded: its number, what it tells, and when it was."""

    number: int
    changes: tuple[Identity, ...]
    at: datetime


@dataclass(frozen=True)
class Due:
    """What a sink is to be told: now, or when more could have come to it (`later`)."""

    now: tuple[Change, ...] = ()
    later: tuple[Change, ...] = ()


def due(
    sink: Sink,
    alerts: Iterable[Raised],
    told: Sequence[Told],
    silences: Sequence[Silence],
    now: datetime,
) -> Due:
    """Return what a sink is to be told, the oldest first.

    A new sink is told what is open, and from then on of all changes.
    """
    began = min((message.at for message in told), default=now)
    known: dict[tuple[str, str], list[tuple[Told, Identity]]] = {}
    for message in told:
        for identity in message.changes:
            known.setdefault(identity[:2], []).append((message, identity))
    changes = [
        change
        for raised in alerts
        if _is_for(sink, raised)
        for change in _untold(
            sink, raised, known.get((raised.alert.name, raised.alert.key), []), silences, began, now
        )
    ]
    changes.sort(key=lambda change: change.at)
    if not changes or now - changes[0].at < timedelta(minutes=sink.group_minutes):
        return Due(later=tuple(changes))
    return Due(tuple(changes[:MOST_CHANGES]), tuple(changes[MOST_CHANGES:]))


def changes_of(raised: Raised) -> Iterator[Change]:
    """Yield what has happened to an alert, in its order."""
    yield Change(RAISED, raised, raised.alert.at)
    for number, addition in enumerate(raised.additions, 1):
        yield Change(MORE, raised, addition.at, number)
    if raised.end is not None:
        yield Change(RESOLVED, raised, raised.end.at)


def _is_for(sink: Sink, raised: Raised) -> bool:
    alert = raised.alert
    named = alert.data.get("sinks")
    is_named = not isinstance(named, list) or sink.name in named
    return is_named and sink.takes(alert.name, alert.severity)


def _untold(
    sink: Sink,
    raised: Raised,
    told: Sequence[tuple[Told, Identity]],
    silences: Sequence[Silence],
    began: datetime,
    now: datetime,
) -> Iterator[Change]:
    """Yield what a sink was not told of an alert that it takes; `told` is what it was."""
    known = {identity for _, identity in told}
    new = [change for change in changes_of(raised) if change.identity not in known]
    if raised.end is not None:
        if not told and (raised.end.at < began or _was_silenced(raised, raised.end.at, silences)):
            return
        yield from (
            change
            for change in new
            if (change.kind == RESOLVED and sink.send_resolved)
            or (change.kind != RESOLVED and not told)
        )
    elif silence_of(raised, silences, now) is None:
        yield from new
        repeat = timedelta(hours=sink.repeat_hours)
        if told and not new and repeat:
            last = max((message for message, _ in told), key=lambda message: message.number)
            if now - last.at >= repeat:
                yield Change(AGAIN, raised, last.at + repeat, last.number)


def _was_silenced(raised: Raised, end: datetime, silences: Sequence[Silence]) -> bool:
    """Whether it was somebody's wish that nobody is told, at any time until the end."""
    return any(
        each.matches(raised) and each.since < end and each.end > raised.alert.at
        for each in silences
    )
