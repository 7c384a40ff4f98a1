"""A double of where alerts are sent, which keeps what it was told in a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.openlineage.destination import append_line
from penstock.operations.alerts.messages import Message
from penstock.operations.alerts.sinks.undelivered import Undelivered
from penstock.project.alerting import Sink


@dataclass(frozen=True)
class FakeSink:
    """What `deliver(send=...)` sends with, for all sinks: it tells nobody, and keeps it.

    Each message is a line of a file of its folder, so that processes can share it and be killed.
    Sinks that are `away` do not answer; `refusing` ones refuse what they are told for ever.
    """

    folder: Path
    away: frozenset[str] = frozenset()
    refusing: frozenset[str] = frozenset()

    def __call__(self, sink: Sink, message: Message) -> None:
        """Take a message."""
        if sink.name in self.away:
            raise Undelivered(f"{sink.name} does not answer")
        if sink.name in self.refusing:
            raise Undelivered(f"{sink.name} refuses it", again=False)
        self.folder.mkdir(parents=True, exist_ok=True)
        append_line(str(self._path(sink.name)), json.dumps(message.to_json()).encode())

    def messages(self, sink: str) -> list[dict[str, Any]]:
        """Return what a sink was told, in its order; what came twice is there twice."""
        if not self._path(sink).exists():
            return []
        return [json.loads(line) for line in self._path(sink).read_text().splitlines()]

    def told(self, sink: str) -> list[str]:
        """Return what a sink was told of alerts, as `raised flights.drift`, each message once."""
        by_id = {message["id"]: message for message in self.messages(sink)}
        return [
            f"{alert['change']} {alert['name']}"
            for message in by_id.values()
            for alert in message["alerts"]
        ]

    def _path(self, sink: str) -> Path:
        return self.folder / f"{sink}.jsonl"
