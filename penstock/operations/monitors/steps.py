"""The steps of judging a window, for whoever must be told of each: tests of crashes."""

from __future__ import annotations

import enum
from collections.abc import Callable


class MonitorStep(enum.Enum):
    """What has just happened to a window, in this order."""

    HELD = "the right to judge windows of the monitor is ours"
    RECORDED = "it is in the store that a window is going to be judged"
    STARTED = "a run that judges it is started, or was found"
    ENDED = "the run has ended, and nothing follows from it yet"
    ALERTED = "its alerts are settled"
    CONFIRMED = "it is in the store how the window was judged"


OnStep = Callable[[enum.Enum, str], None]


def ignore(step: enum.Enum, name: str) -> None:
    """Take no notice."""
