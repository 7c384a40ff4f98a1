"""How a run goes: with every look at it, it takes a step."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

FINAL = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")


@dataclass(frozen=True)
class Play:
    """What becomes of a run.

    It is PENDING at first, then RUNNING for as many looks as it has tasks, then it SUCCEEDED; or
    it FAILED at the task `fails`. With `hold` it stays RUNNING at its last task. `messages` are
    what tasks print, by their names.
    """

    fails: str = ""
    hold: bool = False
    messages: dict[str, str] = field(default_factory=dict)


@dataclass
class Playing:
    """Where a run stands. `workflow` is the name of what Argo would run."""

    workflow: str
    tasks: Sequence[str]
    play: Play
    state: str = "PENDING"
    states: dict[str, str] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)

    def look(self) -> None:
        """Take a step."""
        if self.state == "CANCELING":
            self.state = "FAILED"  # as the real server ends what was canceled
            self.states = {
                n: "FAILED" if s in ("RUNNING", "PENDING") else s for n, s in self.states.items()
            }
        elif self.state == "PENDING":
            self.state = "RUNNING"
            self._start_next()
        elif self.state == "RUNNING":
            self._go_on()

    def _go_on(self) -> None:
        running = [name for name, state in self.states.items() if state == "RUNNING"]
        left = [name for name in self.tasks if name not in self.states]
        if self.play.hold and not left:
            return
        for name in running:
            self.states[name] = "FAILED" if name == self.play.fails else "SUCCEEDED"
        if "FAILED" in self.states.values():
            self.state = "FAILED"
        elif left:
            self._start_next()
        else:
            self.state = "SUCCEEDED"

    def _start_next(self) -> None:
        left = [name for name in self.tasks if name not in self.states]
        if left:
            self.states[left[0]] = "RUNNING"
            self.logs[left[0]] = self.play.messages.get(left[0], f"{left[0]} says hello\n")

    def terminate(self) -> bool:
        """Begin to cancel; say whether there was something to cancel."""
        if self.state in FINAL or self.state == "CANCELING":
            return False
        self.state = "CANCELING"
        return True

    def pod(self, task: str) -> str:
        """Return the name of the pod that does a task's work."""
        return f"{self.workflow}-system-container-impl-{_number(f'{task}/executor(0)')}"

    def log(self, pod: str) -> str | None:
        """Return what a pod has printed, or None if there is no such pod."""
        return next((text for task, text in self.logs.items() if self.pod(task) == pod), None)

    def details(self, run_id: str, at: str) -> list[dict[str, Any]]:
        """Return the tasks as a run's details have them: every node of Argo's workflow."""
        if self.state == "PENDING":
            return []
        ends = "0001-01-01T00:00:00Z"
        nodes = [(self.workflow, self.state, []), ("root-driver", "SUCCEEDED", ["root"])]
        nodes.append(("root", self.state, [f"{task}-driver" for task in self.states]))
        for task, state in self.states.items():
            nodes.append((f"{task}-driver", "SUCCEEDED", [task]))
            nodes.append((task, state, [f"{task}/executor"]))
            # Newer servers have each pod be the child of a node that tries again.
            nodes.append((f"{task}/executor", state, [f"{task}/executor(0)"]))
            nodes.append((f"{task}/executor(0)", state, []))
        # Those that never start have no state.
        nodes += [(task, "", []) for task in self.tasks if task not in self.states]
        return [
            {
                "run_id": run_id,
                "task_id": f"00000000-0000-4000-8000-{_number(name):012d}",
                "display_name": name.rpartition("/")[2],
                "pod_name": self._node_id(name),
                "create_time": at,
                "start_time": at if state else ends,
                "end_time": at if state in FINAL else ends,
                **({"state": state} if state else {}),
                "state_history": [{"update_time": at, "state": state}] if state else [],
                **({"child_tasks": [self._child(n) for n in children]} if children else {}),
            }
            for name, state, children in nodes
        ]

    def _child(self, name: str) -> dict[str, str]:
        return {"pod_name": self._node_id(name)}

    def _node_id(self, name: str) -> str:
        # What the API calls a pod's name.
        return f"{self.workflow}-{_number(name)}"


def _number(name: str) -> int:
    return zlib.crc32(name.encode())
