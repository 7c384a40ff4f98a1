"""Looking at triggers again and again, until somebody asks that it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

from penstock import _tfx
from penstock.errors import PenstockError
from penstock.operations.alarm import Alarm
from penstock.operations.triggers.checking import Round, Watched
from penstock.operations.triggers.records import RUNNING


def check_all(watched: Iterable[Watched], now: datetime | None = None) -> Iterator[Round]:
    """Look at each trigger once; what goes wrong with one is its round's problem, and no other's.

    `now` is the time that counts; by default that of the clock.
    """
    for one in watched:
        try:
            yield one.check(now or datetime.now(UTC))
        except (PenstockError, OSError, _tfx.ml_metadata.errors.StatusError) as error:
            yield Round(one.name, problems=(str(error),))


def watch(
    watched: list[Watched], alarm: Alarm, seconds: float, told: Callable[[Round], None]
) -> None:
    """Look at triggers every so many seconds, and when the alarm is woken, until it says the end.

    Several processes may watch the same triggers. Runs that were started go on after the end.
    """
    while not alarm.ending:
        changed = False
        for one in watched:
            if alarm.ending:
                return
            for looked in check_all([one]):
                told(looked)
                changed |= any(record.state != RUNNING for record in looked.changed)
        if not alarm.ending and not changed:
            alarm.sleep(seconds)
