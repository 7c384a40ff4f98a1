"""Running a pipeline on this machine."""

from penstock.runners.local.result import NodeResult, RunFailed, RunResult
from penstock.runners.local.runner import LocalRunner
from penstock.runners.local.schedule import State

__all__ = ["LocalRunner", "NodeResult", "RunFailed", "RunResult", "State"]
