"""A sink that is a Prometheus Alertmanager, by its API v2.

It knows an alert by its labels, so telling it twice is telling it once. An alert whose end it is
not told ends there after five minutes, so what is open has an end that is far, and is said again.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from penstock.metadata.alerts import Raised
from penstock.operations.alerts.messages import Message, is_about, one_line
from penstock.operations.alerts.sinks.posting import post
from penstock.project.alerting import AlertmanagerSink

PATH = "/api/v2/alerts"

_OPEN_FOR = timedelta(days=30)


def send(sink: AlertmanagerSink, message: Message) -> None:
    """Send the alerts of a message as they stand.

    Raises:
      Undelivered: they were not taken.
    """
    now = datetime.now(UTC)
    content = [alert_of(sink, raised, now) for raised in is_about(message)]
    headers = {"Authorization": f"Bearer {sink.token}"} if sink.token else {}
    url = sink.url.rstrip("/")
    post(
        url if url.endswith(PATH) else url + PATH,
        json.dumps(content).encode(),
        headers,
        seconds=sink.timeout_seconds,
        certificate_authority=sink.certificate_authority,
    )


def alert_of(sink: AlertmanagerSink, raised: Raised, now: datetime) -> dict[str, Any]:
    """Return an alert as the API takes it; one that is open ends in a month, if nobody says so."""
    alert = raised.alert
    end = now + _OPEN_FOR if raised.end is None else max(raised.end.at, alert.at)
    labels = {
        **sink.labels,
        "alertname": alert.name,
        "severity": alert.severity,
        "key": alert.key,
        "monitor": str(alert.data.get("monitor", "")),
        "kind": str(alert.data.get("kind", "")),
    }
    annotations = {
        "summary": alert.summary,
        "subjects": ", ".join(raised.subjects),
        "responsible": str(alert.data.get("who", "")),
        "raised_by": raised.who,
        "resolved_by": "" if raised.end is None else f"{raised.end.who}: {raised.end.why}",
    }
    content: dict[str, Any] = {
        "labels": {name: one_line(text) for name, text in labels.items() if one_line(text)},
        "annotations": {n: one_line(text) for n, text in annotations.items() if one_line(text)},
        "startsAt": alert.at.isoformat(),
        "endsAt": end.isoformat(),
    }
    if sink.generator_url:
        url = sink.generator_url.replace("{NAME}", quote(alert.name, safe=""))
        content["generatorURL"] = url.replace("{KEY}", quote(alert.key, safe=""))
    return content
