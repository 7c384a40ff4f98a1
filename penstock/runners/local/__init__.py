"""Running a pipeline on this machine."""

from penstock.execution.schedule import State
from penstock.runners.local.result import NodeResult, RunFailed, RunResult
from penstock.runners.local.runner import LocalRunner

__all__ = ["LocalRunner", "NodeResult", "RunFailed", "RunResult", "State"]
