"""Running a pipeline on this machine."""

from penstock.execution.schedule import State
from penstock.project.limits import RunLimit
from penstock.runners.local.limiting import LimitReached
from penstock.runners.local.result import NodeResult, RunFailed, RunResult
from penstock.runners.local.runner import LocalRunner

__all__ = [
    "LimitReached",
    "LocalRunner",
    "NodeResult",
    "RunFailed",
    "RunLimit",
    "RunResult",
    "State",
]
