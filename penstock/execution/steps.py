"""The steps of a node's life, for whoever must be told of each: tests of crashes, above all."""

from __future__ import annotations

import enum
from collections.abc import Callable


class Step(enum.Enum):
    """What has just happened to a node, in this order.

    The steps of `WORKERS_STEPS` are taken in a worker's process, the others in the one that runs
    the pipeline. MOVED comes once for each output.
    """

    REGISTERED = "its execution is in the store as running"
    RESOLVING = "its driver, if it has one, begins"
    RESOLVED = "its driver, if it has one, has decided"
    STAGED = "folders for its outputs are made"
    WORKING = "its work begins"
    WORKED = "its work is done"
    MEASURED = "its outputs are read and about to be reported"
    REPORTED = "its report has arrived"
    MOVED = "one of its outputs stands in its place"
    RECORDED = "its outputs are in the store"
    CLEANED = "its staging folder is gone"


WORKERS_STEPS = frozenset({Step.RESOLVING, Step.WORKING, Step.WORKED, Step.MEASURED})

OnStep = Callable[[Step, str], None]


def ignore(step: Step, node_id: str) -> None:
    """Take no notice."""
