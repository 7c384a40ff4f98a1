"""The steps of a trigger, for whoever must be told of each: tests of crashes, above all."""

from __future__ import annotations

import enum
from collections.abc import Callable


class TriggerStep(enum.Enum):
    """What has just happened to a trigger, in this order."""

    HELD = "the right to decide is ours"
    RECORDED = "a decision is in the store"
    STARTED = "a run is started, and nobody has noted it"
    NOTED = "it is in the store that a run is started"
    CANCELED = "a run that makes room is asked to end, and nobody has noted it"
    MADE_ROOM = "it is in the store that a run was asked to end"
    ENDED = "it is in the store how a run ended"


OnStep = Callable[[TriggerStep, str], None]


def ignore(step: TriggerStep, trigger: str) -> None:
    """Take no notice."""
