"""Alerts that are delivered to doubles of sinks, in this process or in others that are killed."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from penstock.metadata.alerts import Alert, End, raise_alert, resolve_alert
from penstock.metadata.store import connect, connection_config
from penstock.operations.alerts.delivering import Delivery, deliver
from penstock.operations.alerts.steps import DeliveryStep
from penstock.project.alerting import FileSink
from penstock.testing import FakeSink, KillAt
from penstock_support.processes import Family

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def sink(name: str = "team", **options: Any) -> FileSink:
    return FileSink(name=name, kind="file", path="unused", **options)


def ring(store: Any, key: str = "w1", name: str = "flights.drift", **options: Any) -> None:
    given = {"summary": f"{name} at {key}", "at": NOW, "data": {"subjects": ["x"]}, **options}
    raise_alert(store, Alert(name, key, **given), who="monitor")


def end(store: Any, key: str = "w1", name: str = "flights.drift", at: datetime = NOW) -> None:
    resolve_alert(store, name, key, End(at, "monitor", "it is fine again"))


class Post:
    """A store, and a double of its sinks, of which each is told what there is."""

    def __init__(self, address: str, *sinks: FileSink) -> None:
        self.address = address
        self.sinks = sinks or (sink(),)
        self.fake = FakeSink(Path(address).parent / "sinks")

    def deliver(
        self, minutes: float = 0, fake: FakeSink | None = None, **options: Any
    ) -> tuple[Delivery, ...]:
        connection = connection_config(self.address)
        now = NOW + timedelta(minutes=minutes)
        with connect(connection) as metadata:
            send = fake or self.fake
            return deliver(metadata.store, connection, self.sinks, now, send=send, **options)

    def told(self, name: str = "team") -> list[str]:
        return self.fake.told(name)


def killed_at(address: str, step: DeliveryStep, minutes: float = 0) -> bool:
    """Deliver in a process that is killed at a step; return whether it got there."""
    told = {"address": address, "step": step.name, "minutes": minutes}
    process = Family(__file__, (json.dumps(told),)).start()
    _, said = process.communicate(timeout=60)
    assert process.returncode in (0, -9), said
    return process.returncode == -9


def main() -> None:
    told = json.loads(sys.argv[1])
    kill = KillAt(DeliveryStep[told["step"]], "team")
    Post(told["address"]).deliver(told["minutes"], on_step=kill)


if __name__ == "__main__":
    main()
