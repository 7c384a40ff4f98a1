"""The steps of judging and of delivering, for whoever must be told of each: tests of crashes."""

from __future__ import annotations

import enum
from collections.abc import Callable


class JudgingStep(enum.Enum):
    """What has just happened to an alert of a monitor, in this order."""

    JUDGED = "it is in the store what a window says"
    DECIDED = "a decision is in the store, and nothing of it is done"
    CHANGED = "an alert is raised, added to or resolved, and nobody has confirmed it"
    CONFIRMED = "it is in the store that a decision is carried out"


class DeliveryStep(enum.Enum):
    """What has just happened to a message to a sink, in this order."""

    HELD = "the right to send to it is ours"
    RECORDED = "a message is in the store, and is not sent"
    SENT = "a message is sent, and nobody has noted it"
    CONFIRMED = "it is in the store that a message was sent"


OnStep = Callable[[enum.Enum, str], None]


def ignore(step: enum.Enum, name: str) -> None:
    """Take no notice."""
