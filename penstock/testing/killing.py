"""Killing a process of a run when a node takes a step."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field

from penstock.execution.steps import Step


@dataclass(frozen=True)
class KillAt:
    """Kills a process when a node takes a step, for `LocalRunner(on_step=...)`.

    It is the process that takes the step (see `Step` for which that is), or the one that
    `process_id` names: the runner's own, to kill it while a worker is at that step. The signal is
    sent the `time`-th time that a process sees the node at the step.
    """

    step: Step
    node_id: str
    process_id: int | None = None
    time: int = 1
    number: int = signal.SIGKILL
    _seen: list[Step] = field(default_factory=list, init=False, repr=False, compare=False)

    def __call__(self, step: Step, node_id: str) -> None:
        """Take a step."""
        if (step, node_id) != (self.step, self.node_id):
            return
        self._seen.append(step)
        if len(self._seen) == self.time:
            os.kill(os.getpid() if self.process_id is None else self.process_id, self.number)
