"""Judged windows as the store has them: the journal `judged/{monitor}/{kind}`, an entry a window.

The key of an entry is the window's beginning, so that those of a time are read without the others.
A window that is judged again has what was found last in its entry's outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from penstock.metadata import journal
from penstock.metadata.protocol import Store
from penstock.monitoring.measures import Measure, Window
from penstock.operations.alerts.deciding import Judged

WINDOWS = "judged"


def note_window(
    store: Store, monitor: str, kind: str, judged: Judged, now: datetime, *, who: str
) -> None:
    """Write what a window says, in the place of what it said before.

    What somebody has found later stays.
    """
    name, key = _journal(monitor, kind), time_key(judged.window.begin)
    told = _as_json(judged)
    content = {**told, "judged": now.astimezone(UTC).isoformat()}
    try:
        journal.intend(store, name, key, content, who=who, state=journal.DONE)
    except journal.TakenError as taken:
        said = _content(taken.entry)
        is_later = datetime.fromisoformat(said["judged"]) > now
        if not is_later and any(said[each] != told[each] for each in told):
            journal.conclude(store, taken.entry, journal.DONE, content)


def judged_windows(
    store: Store, monitor: str, kind: str, since: datetime | None = None
) -> list[Judged]:
    """Return the windows that were judged, of those that begin at a time or later, in their order.

    With no time, all of them.
    """
    first_key = None if since is None else time_key(since)
    entries = journal.entries(store, _journal(monitor, kind), first_key=first_key)
    found = journal.told(entries, judged_of)
    return sorted(found, key=lambda judged: judged.place)


def measure_as_json(measure: Measure) -> dict[str, Any]:
    """Return a measure as JSON values, without what it does not have."""
    return {name: value for name, value in asdict(measure).items() if value not in (None, "")}


def measure_of(entry: Mapping[str, Any]) -> Measure:
    """Return what `measure_as_json` wrote."""
    return Measure(**{"value": None, "subject": "", **entry})


def _journal(monitor: str, kind: str) -> str:
    return f"{WINDOWS}/{monitor}/{kind}"


def time_key(at: datetime) -> str:
    """Return a time as a key of a journal, in which times are in their order."""
    return at.astimezone(UTC).strftime("%Y%m%dt%H%M%Sz")


def _content(entry: journal.Entry) -> Mapping[str, Any]:
    return entry.outcome or entry.intent


def _as_json(judged: Judged) -> dict[str, Any]:
    return {
        "window": judged.window.to_json(),
        "alarms": [measure_as_json(measure) for measure in judged.alarms],
        # Of a window of which nothing is known it does not matter what that would have been.
        "unknown": [list(pair) for pair in judged.unknown] if judged.is_known else [],
        "fine": judged.fine,
    }


def judged_of(entry: journal.Entry) -> Judged:
    """Return what an entry says of a window."""
    return _judged(_content(entry))


def _judged(content: Mapping[str, Any]) -> Judged:
    return Judged(
        Window.from_json(content["window"]),
        tuple(measure_of(entry) for entry in content["alarms"]),
        tuple((subject, name) for subject, name in content["unknown"]),
        content["fine"],
    )
