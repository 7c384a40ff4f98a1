"""Delivering events beside the run: a bounded queue, one thread, and a count of what was lost."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from penstock.metadata.runs import EventDelivery
from penstock.openlineage.destination import Undelivered

MOST_WAITING = 10_000
FLUSH_SECONDS = 5.0
_PAUSES = (0.2, 0.8)
_LOG = logging.getLogger(__name__)


class Mailbox:
    """Takes events at once and delivers them in their order, as well as it can.

    `make_sink` is called in the mailbox's own thread; its sink delivers one event or raises
    Undelivered. An event is a function that makes it, called in that thread too.
    """

    def __init__(self, make_sink: Callable[[], Callable[[Any], None]]) -> None:
        self._queue: queue.Queue[Callable[[], Any] | None] = queue.Queue(MOST_WAITING)
        self._posted = self._unposted = self._delivered = 0
        self._reason = ""
        self._failing = self._abandoned = False
        self._thread = threading.Thread(
            target=self._deliver_all, args=(make_sink,), name="openlineage", daemon=True
        )

    def post(self, event: Callable[[], Any]) -> None:
        """Take an event; it is lost if too many are waiting."""
        if not self._posted:
            self._thread.start()
        self._posted += 1
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self._reason = f"more than {MOST_WAITING} were waiting"

    def lose(self, reason: str) -> None:
        """Count an event that could not even be posted."""
        self._unposted += 1
        self._reason = reason

    def close(self, seconds: float = FLUSH_SECONDS) -> EventDelivery:
        """Wait until all events are delivered, not longer than that; say what was lost."""
        deadline = time.monotonic() + seconds
        if self._posted:
            with suppress(queue.Full):
                self._queue.put(None, timeout=seconds)
            self._thread.join(max(0.0, deadline - time.monotonic()))
        self._abandoned = True
        events = self._posted + self._unposted
        lost = events - self._delivered
        reason = self._reason or f"it would have taken more than {seconds:g} s"
        return EventDelivery(events, lost, reason if lost else "")

    def _deliver_all(self, make_sink: Callable[[], Callable[[Any], None]]) -> None:
        sink = None
        while (event := self._queue.get()) is not None and not self._abandoned:
            try:
                sink = sink or make_sink()
                self._deliver(sink, event())
            except Undelivered:
                self._failing = True
            except Exception as error:  # no event is worth a run
                _LOG.debug("an event could not be made", exc_info=True)
                self._reason = f"{type(error).__name__} while an event was made"
            else:
                self._failing = False
                self._delivered += 1

    def _deliver(self, sink: Callable[[Any], None], event: Any) -> None:
        # A receiver that has lost an event gets one attempt for each until it takes one again.
        pauses = iter(() if self._failing else _PAUSES)
        while True:
            try:
                sink(event)
                return
            except Undelivered as error:
                self._reason = error.reason
                pause = next(pauses, None)
                if pause is None or not error.again or self._abandoned:
                    raise
            time.sleep(pause)
