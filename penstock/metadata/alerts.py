"""Alerts: what a monitor has noticed, as records that triggers, release gates and people read.

An alert is an entry of the journal `alert/{name}`, as `alert/flights.drift`: its key is what makes
it one alert and not two, as the window of time that it is about. It is done when it is written.
Its intent has a `summary`, a `severity`, when it was raised (`at`, as ISO text with a zone) and
`data`: what was measured, as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from penstock.errors import ParameterError
from penstock.metadata import journal
from penstock.metadata.protocol import Store

SEVERITIES = ("info", "warning", "critical")


@dataclass(frozen=True)
class Alert:
    """An alert that was raised."""

    name: str
    key: str
    summary: str
    at: datetime
    severity: str = "warning"
    data: Mapping[str, Any] = field(default_factory=dict)


def raise_alert(store: Store, alert: Alert, *, who: str) -> bool:
    """Write an alert; return whether it is new: of one key there is one.

    Raises:
      ParameterError: its severity is none that there is, or its time has no zone.
    """
    if alert.severity not in SEVERITIES:
        raise ParameterError(
            f"expected a severity of {', '.join(SEVERITIES)}, got {alert.severity!r}"
        )
    if alert.at.tzinfo is None:
        raise ParameterError(f"expected a time with a zone, got {alert.at.isoformat()}")
    content = {
        "summary": alert.summary,
        "severity": alert.severity,
        "at": alert.at.astimezone(UTC).isoformat(),
        "data": dict(alert.data),
    }
    try:
        journal.intend(store, _journal(alert.name), alert.key, content, who=who, state=journal.DONE)
    except journal.TakenError:
        return False
    return True


def alerts(store: Store, name: str, changed_since: datetime | None = None) -> list[Alert]:
    """Return the alerts of a name, in the order in which they were written."""
    return [alert_of(entry) for entry in journal.entries(store, _journal(name), changed_since)]


def alert_of(entry: journal.Entry) -> Alert:
    """Return an alert from its entry; one that somebody else wrote may say less."""
    said = entry.intent
    try:
        at = datetime.fromisoformat(str(said.get("at")))
    except ValueError:
        at = entry.recorded.astimezone(UTC)
    data = said.get("data")
    return Alert(
        entry.journal.partition("/")[2],
        entry.key,
        str(said.get("summary", entry.key)),
        at if at.tzinfo else at.replace(tzinfo=UTC),
        str(said.get("severity", "warning")),
        data if isinstance(data, Mapping) else {},
    )


def _journal(name: str) -> str:
    return f"alert/{name}"
