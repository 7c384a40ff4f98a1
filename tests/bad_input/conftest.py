"""A project in which something good was published, before something bad is tried."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from penstock._tfx import metadata_store_pb2

_STATE_NAMES = metadata_store_pb2.Execution.State.Name


@dataclass(frozen=True)
class Project:
    """A folder with a pipeline root and a store."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def run(self, pipeline: Any, parallelism: int = 2, **parameters: Any) -> Any:
        from penstock import LocalRunner
        from penstock.runners.local.display import Silent

        runner = LocalRunner(
            pipeline_root=str(self.root),
            metadata=str(self.folder / "metadata.sqlite"),
            parallelism=parallelism,
            display=Silent(),
        )
        return runner.run(pipeline, parameters=parameters, raise_on_failure=False)

    def published(self) -> dict[str, str]:
        """Return the SHA-256 of every file below the root that is neither a log nor internal."""
        return {
            str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and not _is_internal(path.relative_to(self.root))
        }

    def half_outputs(self) -> list[str]:
        """Return what executions have left below their nodes' internal folders."""
        return [str(path) for path in self.root.rglob(".system/*/*/*") if path.is_file()]

    def executions(self) -> dict[str, list[str]]:
        """Return the states of all executions in the store, by node."""
        from penstock.metadata.store import connect, connection_config

        with connect(connection_config(str(self.folder / "metadata.sqlite"))) as metadata:
            store = metadata.store
            states: dict[str, list[str]] = {}
            for execution in store.get_executions():
                contexts = store.get_contexts_by_execution(execution.id)
                [node] = [c.name for c in contexts if c.type == "node"]
                name = node.partition(".")[2]
                states.setdefault(name, []).append(_STATE_NAMES(execution.last_known_state))
            return states


def _is_internal(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


@dataclass(frozen=True)
class BadRun:
    """What became of a run after a good one."""

    project: Project
    before: dict[str, str]
    result: Any

    def error(self, node_id: str) -> str:
        return str(self.result.nodes[node_id].error)

    def log(self, node_id: str) -> str:
        return Path(self.result.nodes[node_id].log_path).read_text()

    def check_that_nothing_else_happened(self) -> None:
        """Assert that all is still there as it was, nothing is half there, and no node runs."""
        states = {name: node.state.value for name, node in self.result.nodes.items()}
        made = {name for name, state in states.items() if state == "done"}
        after = self.project.published()
        assert self.before
        assert {path: after.get(path) for path in self.before} == self.before
        assert {path.partition("/")[0] for path in set(after) - set(self.before)} <= made
        assert self.project.half_outputs() == []
        executions = self.project.executions()
        assert "RUNNING" not in [state for found in executions.values() for state in found]
        for name, state in states.items():
            if state == "failed":
                assert executions[name][-1] == "FAILED"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def make_bad_run(project: Project) -> Any:
    """Run a pipeline after a good one."""

    def make(pipeline: Any, **arguments: Any) -> BadRun:
        before = project.published()
        return BadRun(project, before, project.run(pipeline, **arguments))

    return make
