"""How long a store that is away is waited for, and what is done meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from penstock.errors import StoreError

# Whoever opens a store may have its address wrong: so long one that does not answer is waited for.
OPENING_SECONDS = 5.0
# What to do about a run whose store was away for too long.
RESUME = "When its server runs again, go on with the run: penstock resume RUN."
_SLICE_SECONDS = 0.1
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 1.0


class StoreAway(StoreError):
    """A store that does not answer: its server is stopped, or the network is cut."""


def do_nothing(reason: str) -> None:
    """Do nothing while a store is waited for."""


@dataclass(frozen=True)
class Patience:
    """How long a store that is away is waited for.

    `seconds` is how long a call waits for a server to come back, and `call_seconds` after how long
    a request without an answer counts as lost. `meanwhile` is called several times a second with
    what is waited for: an empty text as long as the store may only be slow. What it raises ends the
    wait.
    """

    seconds: float = 30.0
    call_seconds: float = 120.0
    meanwhile: Callable[[str], None] = do_nothing

    def for_opening(self) -> Patience:
        """Return what there is for a store that has not answered yet."""
        seconds = min(self.seconds, OPENING_SECONDS)
        return Patience(seconds, self.call_seconds, self.meanwhile)


USUAL = Patience()
# For who would rather have no answer than a late one.
HASTY = Patience(seconds=0.0, call_seconds=5.0)


class Wait:
    """The wait of one call; it begins when the store is found to be away."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._since: float | None = None
        self._pause = _FIRST_PAUSE

    def pause(self, away: StoreAway) -> None:
        """Wait a little before the next try.

        Raises:
          StoreAway: that was waited for long enough.
        """
        now = time.monotonic()
        if self._since is None:
            self._since = now
        left = self._since + self._patience.seconds - now
        if left <= 0:
            raise self._given_up(away) from away.__cause__
        end = now + min(self._pause, left)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        while (rest := end - time.monotonic()) > 0:
            self._patience.meanwhile(away.message)
            time.sleep(min(rest, _SLICE_SECONDS))

    def _given_up(self, away: StoreAway) -> StoreAway:
        seconds = self._patience.seconds
        if not seconds:
            return away
        return StoreAway(f"{away.message} (waited {seconds:g} seconds)", hint=away.hint)
