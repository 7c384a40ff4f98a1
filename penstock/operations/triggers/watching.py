"""Looking at triggers again and again, until somebody asks that it ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from penstock import _tfx
from penstock.errors import PenstockError
from penstock.operations.triggers.checking import Round, Watched
from penstock.operations.triggers.records import RUNNING


@dataclass
class Alarm:
    """What a watcher sleeps on: it is woken by what arrives, and told to end."""

    _woken: threading.Event = field(default_factory=threading.Event)
    ending: bool = False

    def wake(self) -> None:
        """Something has arrived: look now."""
        self._woken.set()

    def end(self) -> None:
        """Look no more; what is being done is done to its end."""
        self.ending = True
        self._woken.set()

    def sleep(self, seconds: float) -> None:
        """Return after so many seconds, or when it is woken."""
        self._woken.wait(seconds)
        self._woken.clear()


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


@contextmanager
def ended_by_signals(alarm: Alarm) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM tell the watcher to end, in place of ending it somewhere."""

    def end(*_: object) -> None:
        alarm.end()

    previous = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
