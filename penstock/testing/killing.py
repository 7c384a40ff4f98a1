"""Killing a process of a run when a node takes a step, or one that watches something."""

from __future__ import annotations

import enum
import os
import signal
from dataclasses import dataclass, field


@dataclass(frozen=True)
class KillAt:
    """Kills a process when a node takes a step, for `LocalRunner(on_step=...)`.

    It is the process that takes the step (see `Step` for which that is), or the one that
    `process_id` names: the runner's own, to kill it while a worker is at that step. The signal is
    sent the `time`-th time that a process sees the node at the step. A trigger's steps and its name
    (`penstock.operations.triggers.steps`) stand for those of a node where a trigger is watched, a
    release's (`penstock.operations.releases.steps`) and its deployment's where one is carried out,
    those of `penstock.operations.alerts.steps` and the name of an alert, or of a sink, for alerts.
    """

    step: enum.Enum
    node_id: str
    process_id: int | None = None
    time: int = 1
    number: int = signal.SIGKILL
    _seen: list[enum.Enum] = field(default_factory=list, init=False, repr=False, compare=False)

    def __call__(self, step: enum.Enum, node_id: str) -> None:
        """Take a step."""
        if (step, node_id) != (self.step, self.node_id):
            return
        self._seen.append(step)
        if len(self._seen) == self.time:
            os.kill(os.getpid() if self.process_id is None else self.process_id, self.number)
