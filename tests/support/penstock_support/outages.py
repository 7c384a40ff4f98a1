"""Databases that are away, networks that drop what is sent, and answers that are lost."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from penstock import _tfx, component, pipeline
from penstock.execution.steps import Step
from penstock.metadata.databases.native import Answer, LostError, NativeClient
from penstock.metadata.protocol import Store
from penstock.metadata.store import connect, connection_config
from penstock_support import IMPORT_PATH
from penstock_support.processes import wait_until
from penstock_support.resuming_components import runs_of
from penstock_support.servers import PASSWORD, Instance

_PORTION = 65536


class Proxy:
    """A way to a port that may be cut: then all that is sent waits, as when it is dropped."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        self._open = threading.Event()
        self._open.set()
        self._closed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    def cut(self) -> None:
        """Forward nothing more."""
        self._open.clear()

    def mend(self) -> None:
        """Forward what has been sent, and all that follows."""
        self._open.set()

    def close(self) -> None:
        self._closed.set()
        self._open.set()
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                threading.Thread(target=self._forward, args=(near,), daemon=True).start()

    def _forward(self, near: socket.socket) -> None:
        self._open.wait()
        with suppress(OSError), near, socket.create_connection(("127.0.0.1", self._target)) as far:
            others = {near: far, far: near}
            while not self._closed.is_set():
                for source in select.select([near, far], [], [], 0.05)[0]:
                    self._open.wait()
                    content = source.recv(_PORTION)
                    if not content:
                        return
                    others[source].sendall(content)


@contextmanager
def proxy_to(port: int) -> Iterator[Proxy]:
    """Open a way to a port."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()


class AwayAt:
    """Takes a database away when a node takes a step, and has it back after some seconds."""

    def __init__(
        self,
        step: Step,
        node_id: str,
        away: Callable[[], None],
        back: Callable[[], None],
        seconds: float,
    ) -> None:
        self._at = (step, node_id)
        self._away, self._back, self._seconds = away, back, seconds
        self.returns: threading.Thread | None = None
        self.returned = 0.0

    def __call__(self, step: Step, node_id: str) -> None:
        if (step, node_id) != self._at or self.returns is not None:
            return
        self._away()

        def come_back() -> None:
            time.sleep(self._seconds)  # that is how long the outage lasts
            self._back()
            self.returned = time.monotonic()

        self.returns = threading.Thread(target=come_back)
        self.returns.start()


def stopped_at(
    step: Step, node_id: str, instance: Instance, seconds: float, *, kill: bool
) -> AwayAt:
    """Return what stops a server, or kills it, at a step and starts it again."""
    away = instance.kill if kill else instance.stop
    return AwayAt(step, node_id, away, instance.start, seconds)


def starts_in(seconds: float, instance: Instance) -> threading.Timer:
    """Start a server that was stopped, after some seconds."""
    timer = threading.Timer(seconds, instance.start)
    timer.start()
    return timer


class Losing(NativeClient):
    """A native client that loses the first answer to each request, or the request itself."""

    loses_requests = False
    seen: ClassVar[Counter[tuple[str, bytes]]] = Counter()

    def ask(self, name: str, first: bytes, second: bytes = b"", *, seconds: float) -> Answer:
        self.seen[name, first] += 1
        if not name.startswith("Put") or self.seen[name, first] > 1:
            return super().ask(name, first, second, seconds=seconds)
        if not self.loses_requests:
            super().ask(name, first, second, seconds=seconds)
        self.close()
        raise LostError("the test has lost it")


# What a store has after a run of three nodes.
COMPLETE = {
    "executions": {("First", "COMPLETE"): 1, ("Second", "COMPLETE"): 1, ("Third", "COMPLETE"): 1},
    "artifacts": {"Model": 2, "Integer": 1},
    "doubled": [],
}


def stored(address: str) -> dict[str, Any]:
    """Count what a store at an address has."""
    with connect(connection_config(address), create=False) as metadata:
        return what_is_there(metadata.store)


def what_is_there(store: Store) -> dict[str, Any]:
    """Count what a store has of each node: executions by state, and artifacts by type."""
    states = _tfx.metadata_store_pb2.Execution.State
    executions, contexts = store.get_executions(), store.get_contexts()
    ids = [execution.id for execution in executions]
    events = Counter(
        (event.execution_id, event.artifact_id, event.type)
        for event in store.get_events_by_execution_ids(ids)
    )
    names = Counter((context.type, context.name) for context in contexts)
    return {
        "executions": dict(
            Counter(
                (e.type.rpartition(".")[2], states.Name(e.last_known_state)) for e in executions
            )
        ),
        "artifacts": dict(Counter(artifact.type for artifact in store.get_artifacts())),
        "doubled": [key for key, number in (events + names).items() if number > 1],
    }


@component
def SaysWhenItIsStopped(folder: str) -> None:
    """Sleep until a signal comes, and write down when that was."""

    def stopped(*_: object) -> None:
        Path(folder, "stopped").write_text(str(time.monotonic()))
        sys.exit(1)

    signal.signal(signal.SIGTERM, stopped)
    while True:
        signal.pause()


@pipeline
def too_long(folder: str = "") -> list[Any]:
    """A node that takes too long."""
    return [SaysWhenItIsStopped(folder=folder).with_options(timeout_seconds=4)]


@dataclass(frozen=True)
class Project:
    """A project of three nodes whose store is a database; the second waits for the test."""

    folder: Path

    def run(self) -> subprocess.Popen[str]:
        """Start a run whose second node waits."""
        (self.folder / "waiting").touch()
        return self.command("run", "three", "-p", f"folder={self.folder}")

    def resume(self) -> subprocess.Popen[str]:
        """Go on with the last run."""
        return self.command("resume")

    def wait_for(self, node: str) -> None:
        """Wait until a node works."""
        wait_until(lambda: runs_of(self.folder, node) > 0)

    def go_on(self) -> None:
        """Let the second node come to its end."""
        (self.folder / "waiting").unlink()

    def command(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command of Penstock's; what it says, in whichever way, is its standard error."""
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "penstock", *arguments],
            cwd=self.folder,
            env={**os.environ, "STORE_PASSWORD": PASSWORD},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def project_in(folder: Path, address: str, *, patience: float = 600) -> Project:
    """Write a project into a folder."""
    scheme, _, rest = address.partition("://")
    where = rest.rpartition("@")[2]
    (folder / "mine.py").write_text(
        f"import sys\nsys.path.insert(0, {IMPORT_PATH!r})\n"
        "from penstock_support.resuming_components import three\n"
    )
    (folder / "penstock.toml").write_text(
        '[pipelines]\nthree = "mine.py:three"\n[profiles.default]\n'
        f'metadata = "{scheme}://penstock:${{env:STORE_PASSWORD}}@{where}"\n'
        f"metadata_patience = {patience}\n"
    )
    return Project(folder)
