"""What those who watch sleep on, and are told by that they should end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


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
