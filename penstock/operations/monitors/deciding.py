"""Which windows of a log are to be judged: a plain function, with no clock, log or store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from penstock.monitoring.measures import Window
from penstock.monitoring.windows import window_of_spans
from penstock.project.intervals import parse_interval
from penstock.project.monitors import Monitor

# A window whose run fails is tried so often with the same data.
MOST_TRIES = 3


@dataclass(frozen=True)
class Logged:
    """What there is of a window; `fingerprint` changes when more has come, or went."""

    window: Window
    fingerprint: str


@dataclass(frozen=True)
class Past:
    """A window that was judged, or was to: of which data, how often, and what is still missing.

    `waiting` rows had no label then. `labels` is the fingerprint of those that had come.
    """

    fingerprint: str
    labels: str = ""
    waiting: int = 0
    is_done: bool = True
    tries: int = 1


@dataclass(frozen=True)
class Due:
    """A window that is to be judged, and why."""

    logged: Logged
    why: str


def windows_in(spans: Mapping[int, str], monitor: Monitor) -> list[Logged]:
    """Return the windows of which there are spans, in their order.

    `spans` are fingerprints by the number of a span. Windows of an interval begin at multiples of
    their length since 1970.
    """
    parts: dict[tuple[int, int], list[int]] = {}
    for number in spans:
        parts.setdefault(monitor.window_with(number), []).append(number)
    return [
        Logged(
            window_of_spans(first, last, monitor.log_span),
            _digest(f"{number} {spans[number]}" for number in sorted(numbers)),
        )
        for (first, last), numbers in sorted(parts.items())
    ]


def due(
    monitor: Monitor,
    logged: Iterable[Logged],
    past: Mapping[str, Past],
    labels: str,
    now: datetime,
) -> list[Due]:
    """Return the windows that are to be judged, in the order of event time.

    `past` are the windows that were, by their keys; `labels` is the fingerprint of the labels that
    have come.
    """
    found = []
    for one in logged:
        why = _why(monitor, one, past.get(one.window.key), labels, now)
        if why:
            found.append(Due(one, why))
    return found


def _why(monitor: Monitor, logged: Logged, past: Past | None, labels: str, now: datetime) -> str:
    grace = timedelta(seconds=parse_interval(monitor.grace))
    if now < logged.window.end + grace:
        return ""
    if past is None:
        return "it is over, and was not judged yet"
    if past.fingerprint != logged.fingerprint:
        return "more of it has come"
    if not past.is_done:
        return "the run that was to judge it failed" if past.tries < MOST_TRIES else ""
    if monitor.labels is not None and past.waiting and past.labels != labels:
        waits = timedelta(seconds=parse_interval(monitor.labels.wait))
        return "labels have come" if now < logged.window.end + waits else ""
    return ""


def _digest(lines: Iterable[str] | Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
