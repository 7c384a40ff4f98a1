"""The steps of a node's life, for whoever must be told of each: tests of crashes, above all."""

from __future__ import annotations

import enum
from collections.abc import Callable


class Step(enum.Enum):
    """What has just happened to a node, in this order.

    The work's steps are taken in the worker's process, the others in the one that runs the
    pipeline.
    """

    REGISTERED = "its execution is in the store as running"
    RESOLVED = "its driver, if it has one, has decided"
    STAGED = "folders for its outputs are made"
    WORKING = "its work begins"
    WORKED = "its work is done"
    MEASURED = "its outputs are read and about to be reported"
    REPORTED = "its report has arrived"
    MOVED = "one of its outputs stands in its place"
    RECORDED = "its outputs are in the store"
    CLEANED = "its staging folder is gone"


OnStep = Callable[[Step, str], None]


def ignore(step: Step, node_id: str) -> None:
    """Take no notice."""
