"""Telling sinks again and again, until somebody asks that it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from penstock import _tfx
from penstock.errors import PenstockError
from penstock.metadata.store import connect
from penstock.operations.alarm import Alarm
from penstock.operations.alerts.delivering import Delivery, deliver
from penstock.project.alerting import Sink


def deliver_once(
    connection: _tfx.Connection, sinks: Sequence[Sink], *, who: str
) -> tuple[Delivery, ...]:
    """Tell sinks what there is to tell now.

    Raises:
      StoreError: the store cannot be reached, or is not there yet.
    """
    with connect(connection, create=False) as metadata:
        return deliver(metadata.store, connection, sinks, datetime.now(UTC), who=who)


def watch(
    connection: _tfx.Connection,
    sinks: Sequence[Sink],
    alarm: Alarm,
    seconds: float,
    told: Callable[[Sequence[Delivery], str], None],
    *,
    who: str,
) -> None:
    """Tell sinks every so many seconds, and when the alarm is woken, until it says the end.

    `told` is given what came of it, and what stands in the way of all. Several may watch.
    """
    while not alarm.ending:
        try:
            told(deliver_once(connection, sinks, who=who), "")
        except (PenstockError, OSError, _tfx.ml_metadata.errors.StatusError) as error:
            told((), str(error))
        if not alarm.ending:
            alarm.sleep(seconds)
