"""The steps of a controller, for whoever must be told of each: tests of crashes, above all."""

from __future__ import annotations

import enum
from collections.abc import Callable


class ReleaseStep(enum.Enum):
    """What has just happened to a release, in this order."""

    HELD = "the right to decide is ours"
    RECORDED = "a step is in the journal, and is not taken"
    TAKEN = "it is taken, and nobody has noted it"
    NOTED = "it is in the journal what came of it"
    CONCLUDED = "it is in the journal how the release has ended"


OnStep = Callable[[ReleaseStep, str], None]


def ignore(step: ReleaseStep, release: str) -> None:
    """Take no notice."""
