from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.execution.daemon import asking
from penstock.runners.local import running
from penstock_support import IMPORT_PATH
from penstock_support.daemons import wait_until


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project's folder, and a place of the test's own for daemons."""
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv(asking.VARIABLE, "on")
    monkeypatch.setenv("PYTHONPATH", IMPORT_PATH)
    monkeypatch.chdir(folder)
    yield folder
    found = asking.status_of(str(folder))
    if found is not None:
        asking.stop(str(folder))
        wait_until(lambda: not Path(f"/proc/{found.process_id}/stat").exists() or is_gone(found))


def is_gone(found: asking.DaemonStatus) -> bool:
    # Its parent is this process, which does not wait for it.
    return Path(f"/proc/{found.process_id}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"


@pytest.fixture(autouse=True)
def nothing_imported(monkeypatch):
    """Let no run copy this process, which may have TensorFlow imported by another test."""
    monkeypatch.setattr(running, "reason_for_new_process", lambda: "this one is pytest's")


@pytest.fixture
def daemon(project) -> asking.DaemonStatus:
    """A daemon that has imported next to nothing."""
    return asking.start(str(project), ["numpy"], 600)


@pytest.fixture
def run(project, tmp_path) -> Callable[..., Any]:
    """Run a pipeline in the project, with its daemon; return what its one node has returned."""
    from penstock import LocalRunner
    from penstock.runners.local.display import Silent

    def run(pipeline: Any, *, daemon: bool = True, **parameters: Any) -> Any:
        runner = LocalRunner(
            pipeline_root=str(tmp_path / "root"),
            metadata=str(tmp_path / "metadata.sqlite"),
            display=Silent(),
            daemon=str(project) if daemon else None,
        )
        values = parameters or {"folder": str(project)}
        done = runner.run(pipeline, parameters=values, cache=False)
        [node] = done.nodes.values()
        [[artifact]] = node.outputs.values()
        artifact.read()
        return artifact.value

    return run


@pytest.fixture
def log(tmp_path) -> Callable[[], str]:
    """Return what the runs say of where their workers come from."""

    def read() -> str:
        paths = (tmp_path / "root").rglob(".workers.log")
        return "\n".join(path.read_text() for path in sorted(paths))

    return read
