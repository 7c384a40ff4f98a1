"""How a run goes: with every look at it, it takes a step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from penstock.runners.kubeflow.server.tasks import fnv1a
from penstock.testing.kubeflow import argo

# What a pod takes from its start to its end, on a real cluster.
_POD_SECONDS = 20

FINAL = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")


@dataclass(frozen=True)
class Play:
    """What becomes of a run.

    It is PENDING at first, then RUNNING for as many looks as it has tasks, then it SUCCEEDED; or
    it FAILED at the task `fails`. With `hold` it stays RUNNING at its last task. `messages` are
    what tasks print, by their names. The tasks in `cached` come from Kubeflow's cache. `tries` is
    how often Argo has tried all that it does, as stock installations let it; 0 where it tries
    nothing again.
    """

    fails: str = ""
    hold: bool = False
    cached: Set[str] = frozenset()
    messages: dict[str, str] = field(default_factory=dict)
    tries: int = 1


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
        if not left:
            return
        self.states[left[0]] = "RUNNING"
        if left[0] not in self.play.cached:
            self.logs[left[0]] = self.play.messages.get(left[0], f"{left[0]} says hello\n")

    def terminate(self) -> bool:
        """Begin to cancel; say whether there was something to cancel."""
        if self.state in FINAL or self.state == "CANCELING":
            return False
        self.state = "CANCELING"
        return True

    def pod(self, task: str) -> str:
        """Return the name of the pod that does a task's work."""
        return self._pod_name("system-container-impl", self._place("root", task, "executor"))

    def log(self, pod: str, *, from_pods: bool) -> str | None:
        """Return what a pod has printed, None if there is no such pod or its log is not to be had.

        A pod's own log is had where the server looks in its namespace; what Argo has archived of
        one that is over, by the name of Argo's node, a try's or that of all its tries.
        (ReadLog in backend/src/apiserver/resource/resource_manager.go, 2.17.0)
        """
        for task, text in self.logs.items():
            own = self.pod(task)
            pod_node = self._place("root", task, "executor")
            all_tries = f"{self._place('root', task)}.executor"
            archived = [own, self._node_id(pod_node), self._node_id(all_tries)]
            is_over = self.states[task] in FINAL
            if (from_pods and pod == own) or (is_over and pod in archived):
                return text
        return None

    def details(self, run_id: str, at: str) -> list[dict[str, Any]]:
        """Return the tasks as a run's details have them: every node of Argo's workflow.

        The nodes' own names do not stand there, but those of their children.
        (toApiPipelineTaskDetail in backend/src/apiserver/server/api_converter.go, 2.17.0)
        """
        if self.state == "PENDING":
            return []
        ends = "0001-01-01T00:00:00Z"
        return [
            {
                "run_id": run_id,
                "task_id": f"00000000-0000-4000-8000-{fnv1a(node.path):012d}",
                "display_name": node.name,
                "create_time": at,
                "start_time": at if node.state else ends,
                "end_time": self._end_of(node.path, at) if node.state in FINAL else ends,
                **({"state": node.state} if node.state else {}),
                "state_history": [{"update_time": at, "state": node.state}] if node.state else [],
                **({"child_tasks": children} if children else {}),
            }
            for node in self._nodes()
            for children in [[{"pod_name": self._node_id(path)} for path in node.children]]
        ]

    def _end_of(self, path: str, at: str) -> str:
        """Return when a node has ended: at once where nothing was done for it."""
        if self.play.cached & {part.partition("(")[0] for part in path.split(".")}:
            return at
        ended = datetime.fromisoformat(at) + timedelta(seconds=_POD_SECONDS)
        return ended.strftime("%Y-%m-%dT%H:%M:%SZ")

    def _nodes(self) -> Iterator[argo.Node]:
        tasks: dict[str, argo.Task] = {}
        for task, state in self.states.items():
            is_cached = task in self.play.cached
            tasks |= {
                f"{task}-driver": "SUCCEEDED",
                task: {"executor": argo.SKIPPED if is_cached else state},
            }
        graph: argo.Task = {"root-driver": "SUCCEEDED", "root": tasks}
        yield from argo.nodes_of(self.workflow, graph, self.play.tries)
        root = self._place("root")
        for task in self.tasks:
            if task not in self.states:
                yield argo.Node(f"{root}.{task}", "", ())

    def _place(self, *names: str) -> str:
        """Return the path of the last try of a node."""
        again = f"({self.play.tries - 1})" if self.play.tries else ""
        return ".".join(f"{name}{again}" for name in (self.workflow, *names))

    def api_tasks(self, run_id: str, at: str) -> list[dict[str, Any]]:
        """Return the tasks as servers without ML Metadata have them.

        (PipelineTask in backend/api/v2beta1/run.proto, branch mlmd-removal)
        """
        tasks: list[tuple[str, str, str, list[dict[str, str]]]] = []
        tasks.append(("root", self.state, "ROOT", []))
        for task, state in self.states.items():
            is_cached = task in self.play.cached
            pods = [("system-container-driver", self._place("root", f"{task}-driver"), "DRIVER")]
            if not is_cached:
                executor = self._place("root", task, "executor")
                pods.append(("system-container-impl", executor, "EXECUTOR"))
            named = [
                {"name": self._pod_name(template, path), "uid": "", "type": kind}
                for template, path, kind in pods
            ]
            done = "CACHED" if is_cached and state == "SUCCEEDED" else state
            tasks.append((task, done, "RUNTIME", named))
        return [
            {
                "name": name,
                "display_name": name,
                "task_id": f"00000000-0000-4000-8000-{fnv1a(name):012d}",
                "run_id": run_id,
                "pods": pods,
                "create_time": at,
                **({"end_time": at} if state in (*FINAL, "CACHED") else {}),
                "state": state,
                "type": kind,
                "scope_path": "root" if name == "root" else f"root.{name}",
            }
            for name, state, kind, pods in tasks
            if state != "PENDING"
        ]

    def _pod_name(self, template: str, path: str) -> str:
        return f"{self.workflow}-{template}-{fnv1a(path)}"

    def _node_id(self, path: str) -> str:
        # What the API calls a pod's name.
        return f"{self.workflow}-{fnv1a(path)}"
