"""Alerts: what a monitor has noticed, as records that triggers, release gates and people read.

An alert is an entry of the journal `alert/{name}`, as `alert/flights.drift`: its key is what makes
it one alert and not two, as the window of time that it is about. It is done when it is written.
Its intent has a `summary`, a `severity`, when it was raised (`at`, as ISO text with a zone) and
`data`: what was measured, as JSON, with the `subjects` that it is about. What is added to it later
is in its outcome.

That it is over is an entry of the journal `alert_end/{name}` under the same key: whoever waits for
alerts does not take it for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from penstock.errors import ParameterError, StoreError
from penstock.metadata import journal
from penstock.metadata.protocol import Store
from penstock.project.alerting import SEVERITIES

ALERTS = "alert"
ENDS = "alert_end"

_MOST_NAME = 200
_MOST_KEY = 500


@dataclass(frozen=True)
class Alert:
    """An alert that was raised."""

    name: str
    key: str
    summary: str
    at: datetime
    severity: str = "warning"
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def subjects(self) -> tuple[str, ...]:
        """What it was about when it was raised."""
        return _texts(self.data.get("subjects"))


@dataclass(frozen=True)
class Addition:
    """What an alert is about since `at`, too: subjects, and what was measured of them."""

    at: datetime
    subjects: tuple[str, ...]
    measures: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class End:
    """That an alert is over: since when, who said so, and why."""

    at: datetime
    who: str
    why: str = ""


@dataclass(frozen=True)
class Raised:
    """An alert as it stands: who raised it, what was added, and its end."""

    alert: Alert
    who: str
    additions: tuple[Addition, ...] = ()
    end: End | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is not over."""
        return self.end is None

    @property
    def subjects(self) -> tuple[str, ...]:
        """All that it is about."""
        added = (subject for addition in self.additions for subject in addition.subjects)
        return tuple(dict.fromkeys((*self.alert.subjects, *added)))


def raise_alert(store: Store, alert: Alert, *, who: str, end: End | None = None) -> bool:
    """Write an alert; return whether it is new: of one key there is one.

    With an `end` it is over from the beginning, and nobody sees it open.

    Raises:
      ParameterError: its severity is none that there is, its time has no zone, or its name or its
        key are none.
    """
    if alert.severity not in SEVERITIES:
        raise ParameterError(
            f"expected a severity of {', '.join(SEVERITIES)}, got {alert.severity!r}"
        )
    if alert.at.tzinfo is None:
        raise ParameterError(f"expected a time with a zone, got {alert.at.isoformat()}")
    check_name(alert.name)
    if not 0 < len(alert.key) <= _MOST_KEY:
        raise ParameterError(
            f"expected a key of 1 to {_MOST_KEY} characters, got {len(alert.key)} of them"
        )
    content = {
        "summary": alert.summary,
        "severity": alert.severity,
        "at": alert.at.astimezone(UTC).isoformat(),
        "data": dict(alert.data),
    }
    if end is not None:
        _write_end(store, alert.name, alert.key, end)
    try:
        journal.intend(store, _journal(alert.name), alert.key, content, who=who, state=journal.DONE)
    except journal.TakenError:
        return False
    return True


def alerts(store: Store, name: str, changed_since: datetime | None = None) -> list[Alert]:
    """Return the alerts of a name, in the order in which they were written."""
    return journal.told(journal.entries(store, _journal(name), changed_since), alert_of)


def alert_of(entry: journal.Entry) -> Alert:
    """Return an alert from its entry; one that somebody else wrote may say less."""
    said = entry.intent
    data = said.get("data")
    return Alert(
        _name_of(entry),
        entry.key,
        str(said.get("summary", entry.key)),
        _time(entry),
        str(said.get("severity", "warning")),
        data if isinstance(data, Mapping) else {},
    )


def add_to_alert(store: Store, name: str, key: str, addition: Addition) -> bool:
    """Write what an alert is about, too; return whether that is new.

    Raises:
      StoreError: there is no such alert.
    """
    entry = _entry(store, name, key)
    known = _raised(entry, None)
    if set(addition.subjects) <= set(known.subjects):
        return False
    added = {
        "at": addition.at.astimezone(UTC).isoformat(),
        "subjects": list(addition.subjects),
        "measures": [dict(measure) for measure in addition.measures],
    }
    earlier = entry.outcome.get("additions", [])
    outcome = {**entry.outcome, "additions": [*earlier, added]}
    journal.conclude(store, entry, journal.DONE, outcome)
    return True


def resolve_alert(store: Store, name: str, key: str, end: End) -> bool:
    """Write that an alert is over; return whether nobody has before.

    Raises:
      StoreError: there is no such alert.
      ParameterError: the time has no zone.
    """
    _entry(store, name, key)
    return _write_end(store, name, key, end)


def find_end(store: Store, name: str, key: str) -> End | None:
    """Return the end of an alert, None where it is open."""
    entry = journal.find(store, f"{ENDS}/{name}", key)
    return None if entry is None else _end(entry)


def raised_alerts(store: Store, name: str | None = None) -> list[Raised]:
    """Return all alerts, or those of a name, as they stand, in the order in which they came."""
    if name is None:
        entries, ends = (journal.entries_below(store, kind) for kind in (ALERTS, ENDS))
    else:
        entries, ends = (journal.entries(store, f"{kind}/{name}") for kind in (ALERTS, ENDS))
    over = {(_name_of(entry), entry.key): entry for entry in ends}
    return journal.told(entries, lambda e: _raised(e, over.get((_name_of(e), e.key))))


def open_alerts(store: Store, name: str | None = None) -> list[Raised]:
    """Return the alerts, or those of a name, that are not over, in the order in which they came."""
    return [raised for raised in raised_alerts(store, name) if raised.is_open]


def check_name(name: str) -> None:
    """Raise ParameterError where alerts cannot be named so."""
    is_plain = name.isprintable() and name == name.strip()
    if not is_plain or not 0 < len(name) <= _MOST_NAME:
        raise ParameterError(
            f"expected a name of an alert as flights.drift, got {name[:80]!r}",
            hint="Use letters, digits, dots, dashes and underscores.",
        )


def _entry(store: Store, name: str, key: str) -> journal.Entry:
    entry = journal.find(store, _journal(name), key)
    if entry is None:
        raise StoreError(
            f"the store has no alert {name} of the key {key!r}",
            hint="See: penstock alert list --all",
        )
    return entry


def _write_end(store: Store, name: str, key: str, end: End) -> bool:
    if end.at.tzinfo is None:
        raise ParameterError(f"expected a time with a zone, got {end.at.isoformat()}")
    content = {"at": end.at.astimezone(UTC).isoformat(), "why": end.why}
    try:
        journal.intend(store, f"{ENDS}/{name}", key, content, who=end.who, state=journal.DONE)
    except journal.TakenError:
        return False
    return True


def _raised(entry: journal.Entry, end: journal.Entry | None) -> Raised:
    added = entry.outcome.get("additions")
    additions = tuple(map(_addition, added if isinstance(added, list) else ()))
    over = None if end is None else _end(end)
    return Raised(alert_of(entry), entry.who, additions, over)


def _addition(content: Mapping[str, Any]) -> Addition:
    return Addition(
        datetime.fromisoformat(content["at"]),
        _texts(content["subjects"]),
        tuple(content["measures"]),
    )


def _end(entry: journal.Entry) -> End:
    return End(_time(entry), entry.who, str(entry.intent.get("why", "")))


def _time(entry: journal.Entry) -> datetime:
    """Return the time that an entry says, or that at which it was written."""
    try:
        at = datetime.fromisoformat(str(entry.intent.get("at")))
    except ValueError:
        return entry.recorded.astimezone(UTC)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _texts(values: Any) -> tuple[str, ...]:
    listed: Iterable[Any] = values if isinstance(values, (list, tuple)) else ()
    return tuple(str(value) for value in listed)


def _name_of(entry: journal.Entry) -> str:
    return entry.journal.partition("/")[2]


def _journal(name: str) -> str:
    return f"{ALERTS}/{name}"
