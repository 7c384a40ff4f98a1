"""What a run does while it waits for its store: it says so, minds its workers, and may end."""

from __future__ import annotations

import time
from collections.abc import Callable

from penstock.execution.workers.interrupts import Interrupts
from penstock.metadata.databases.patience import StoreAway

# A store that takes longer is told of, and one that is asked to end waits no longer for it.
_NOTICED_SECONDS = 5.0
_LAST_SECONDS = 2.0
# Between two calls of one wait there is less.
_GAP_SECONDS = 2.0


class StoreWait:
    """What `Patience` calls while a run waits; `show` is told for what, and "" when that is over.

    `interrupts` and `mind`, what a run has to do all the time, are set when there is a run.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self.interrupts = Interrupts()
        self.mind: Callable[[], None] = _nothing
        self._show = show
        self._began = self._called = 0.0
        self._shown = False
        self._given_up: StoreAway | None = None

    def __call__(self, reason: str) -> None:
        """Do what there is to do.

        Raises:
          StoreAway: the run was asked to end, or has given up the store.
        """
        now = time.monotonic()
        if now - self._called > _GAP_SECONDS:
            self._began = now
        self._called = now
        waited = now - self._began
        if (reason or waited > _NOTICED_SECONDS) and not self._shown:
            self._shown = True
            self._show(reason or "it has not answered yet")
        if self.interrupts.count and self._given_up is None and waited > _LAST_SECONDS:
            self._given_up = StoreAway(
                "the run was asked to end while its metadata store did not answer",
                hint="When it does, go on with the run: penstock resume RUN.",
            )
        if self._given_up is not None and (reason or waited > _LAST_SECONDS):
            raise self._given_up
        self.mind()
        self._called = time.monotonic()

    def give_up(self, away: StoreAway) -> None:
        """Wait no more for a store that is away."""
        self._given_up = self._given_up or away

    def over(self) -> None:
        """Say that the store answers again, where it was said that it does not."""
        if self._shown and self._given_up is None:
            self._shown = False
            self._show("")


def _nothing() -> None:
    pass
