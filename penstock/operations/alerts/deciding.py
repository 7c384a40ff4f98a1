"""What the measures of windows mean: pure functions, without clock or store.

What an incident is follows from the judged windows alone, in the order of event time, whatever
order they were judged in (`incidents_in`). What is done about it follows from that and from what
was rung before (`decide`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from penstock.monitoring.measures import ALARM, UNKNOWN, Measure, Window
from penstock.project.alerting import AlertRule


@dataclass(frozen=True)
class Judged:
    """A window as it was judged: its alarms, what nobody knows, and how many measures were fine.

    What is no alarm and not unknown is fine, also what is not measured any more.
    """

    window: Window
    alarms: tuple[Measure, ...] = ()
    unknown: tuple[tuple[str, str], ...] = ()
    fine: int = 0

    @classmethod
    def of(cls, window: Window, measures: Iterable[Measure]) -> Judged:
        """Return what the measures of a kind say of a window."""
        listed = tuple(measures)
        unknown = tuple((m.subject, m.name) for m in listed if m.state == UNKNOWN)
        alarms = tuple(m for m in listed if m.state == ALARM)
        return cls(window, alarms, unknown, len(listed) - len(alarms) - len(unknown))

    @property
    def is_known(self) -> bool:
        """Whether anything is known of it."""
        return bool(self.fine or self.alarms)

    @property
    def place(self) -> tuple[datetime, datetime]:
        """Where it stands in the order of event time."""
        return self.window.begin, self.window.end


@dataclass(frozen=True)
class Incident:
    """A time in which subjects were alarms: from a window on, and until one, or still.

    `end` is the beginning of the window by which it was over, or the time at which somebody said
    so. `measures` are the alarms that made it one.
    """

    first: Window
    subjects: tuple[str, ...]
    end: datetime | None = None
    measures: tuple[Measure, ...] = ()
    key: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it is not over."""
        return self.end is None

    def meets(self, other: Incident) -> bool:
        """Whether both have a time in common."""
        return (other.end is None or self.first.begin < other.end) and (
            self.end is None or other.first.begin < self.end
        )


@dataclass(frozen=True)
class Ring:
    """An alert is raised, under the incident's key; one that has an end is over already."""

    incident: Incident
    at: datetime


@dataclass(frozen=True)
class Add:
    """An alert is about more subjects, too; `measures` are the alarms of these."""

    key: str
    subjects: tuple[str, ...]
    measures: tuple[Measure, ...]
    at: datetime


@dataclass(frozen=True)
class Resolve:
    """An alert is over, since the event time `end`."""

    key: str
    end: datetime
    why: str
    at: datetime


Action = Ring | Add | Resolve


def decide(
    rule: AlertRule, windows: Iterable[Judged], rung: Sequence[Incident], now: datetime
) -> tuple[Action, ...]:
    """Return what is to be done about the judged windows; `rung` are the incidents that were rung.

    Of these at most one is open, and so it is after each of the actions. Nothing is to be done
    where nothing is new.
    """
    changes: list[Action] = []
    rings: list[Action] = []
    known = list(rung)
    waiting = next((incident for incident in known if incident.is_open), None)
    ends = [incident.end for incident in known if incident.end is not None]
    ordered = sorted(windows, key=lambda judged: judged.place)
    for found in incidents_in(rule, ordered, ends):
        met = [incident for incident in known if incident.meets(found)]
        if waiting is not None and waiting in met:
            changes += _continued(waiting, found, now)
            known[known.index(waiting)] = replace(waiting, end=found.end)
            waiting = None
        elif not met:
            key = _free_key(found.first.key, {incident.key for incident in known})
            known.append(replace(found, key=key))
            rings.append(Ring(known[-1], now))
    if waiting is not None:
        why = "its windows were judged again, or its rule is another one"
        changes.append(Resolve(waiting.key, waiting.first.begin, why, now))
    return (*changes, *rings)


def incidents_in(
    rule: AlertRule, windows: Iterable[Judged], ends: Iterable[datetime] = ()
) -> list[Incident]:
    """Return the incidents in windows, which are in the order of event time; the last may be open.

    A window of which nothing is known neither begins nor ends anything, and so it is with subjects.
    What was said to be over at one of the `ends` was over then, and what comes after is another.
    """
    if not rule.enabled:
        return []
    found: list[Incident] = []
    under_way = _UnderWay()
    waiting = sorted(ends)
    for judged in windows:
        if not judged.is_known:
            continue
        while waiting and waiting[0] <= judged.window.begin:
            end = waiting.pop(0)
            if under_way.incident is not None:
                found.append(replace(under_way.incident, end=end))
            under_way = _UnderWay()
        alarms = [m for m in judged.alarms if rule.counts(m.subject, m.name)]
        unknown = {s for s, name in judged.unknown if rule.counts(s, name)}
        under_way = under_way.after(judged.window, alarms, unknown, rule)
        if under_way.ended is not None:
            found.append(under_way.ended)
    if under_way.incident is not None:
        found.append(under_way.incident)
    return found


@dataclass(frozen=True)
class _UnderWay:
    """How things stand after some windows.

    `standing` are the windows in a row in which subjects were alarms, `fine` in how many each
    subject of the incident was fine. `ended` is the incident that the last window has ended.
    """

    incident: Incident | None = None
    standing: Mapping[str, tuple[Window, ...]] = field(default_factory=dict)
    fine: Mapping[str, int] = field(default_factory=dict)
    ended: Incident | None = None

    def after(
        self, window: Window, alarms: Sequence[Measure], unknown: set[str], rule: AlertRule
    ) -> _UnderWay:
        """Return how things stand after the next window."""
        alarmed = dict.fromkeys(measure.subject for measure in alarms)
        unknown = unknown - set(alarmed)
        standing = {s: seen for s, seen in self.standing.items() if s in unknown}
        standing |= {s: (*self.standing.get(s, ()), window) for s in alarmed}
        fine = {
            s: 0 if s in alarmed else count + (s not in unknown) for s, count in self.fine.items()
        }
        incident = self.incident
        ringing = [s for s in alarmed if len(standing[s]) >= rule.windows and s not in fine]
        if ringing:
            measures = tuple(m for m in alarms if m.subject in ringing)
            first = min((standing[s][0] for s in ringing), key=lambda each: each.begin)
            incident = incident or Incident(first, ())
            incident = replace(
                incident,
                subjects=(*incident.subjects, *ringing),
                measures=(*incident.measures, *measures),
            )
            fine |= dict.fromkeys(ringing, 0)
        if incident is None or any(count < rule.resolve_windows for count in fine.values()):
            return _UnderWay(incident, standing, fine)
        # An alarm before the end counts no more, or the next incident would begin before it.
        still = dict.fromkeys(alarmed, (window,))
        return _UnderWay(None, still, {}, replace(incident, end=window.begin))


def _continued(rung: Incident, found: Incident, now: datetime) -> Iterator[Action]:
    """Yield what changes of an incident that was rung before."""
    new = tuple(subject for subject in found.subjects if subject not in rung.subjects)
    if new:
        measures = tuple(m for m in found.measures if m.subject in new)
        yield Add(rung.key, new, measures, now)
    if found.end is not None:
        yield Resolve(rung.key, found.end, "it is fine again", now)


def _free_key(key: str, taken: set[str]) -> str:
    """Return a key that no incident has: a window may be judged fine, and an alarm once more."""
    number, free = 1, key
    while free in taken:
        number += 1
        free = f"{key}+{number}"
    return free
