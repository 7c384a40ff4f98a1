"""A release over a real server by a controller that, at one step, kills itself or what serves.

python release_chaos.py FOLDER STEP TIME WHOM
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from penstock.metadata.store import connection_config
from penstock.operations.alarm import Alarm
from penstock.operations.releases.controlling import Controller, watch
from penstock.operations.releases.steps import ReleaseStep
from penstock.operations.releases.targets.choosing import target_of
from penstock.project.config import read_config
from penstock_support import served_releases as project
from penstock_support.prediction_server import PredictionServer, children, start_server

CONTROLLER, SERVER, WORKERS = "controller", "server", "workers"


@dataclass
class Killing:
    """Kills once, at the `time`-th time that a step is taken."""

    step: ReleaseStep
    time: int
    whom: str
    server_file: Path
    seen: int = 0

    def __call__(self, step: ReleaseStep, release: str) -> None:
        if step is not self.step:
            return
        self.seen += 1
        if self.seen != self.time:
            return
        (self.server_file.parent / "killed").touch()
        if self.whom == CONTROLLER:
            os.kill(os.getpid(), signal.SIGKILL)
        server = json.loads(self.server_file.read_text())["pid"]
        victims = [server] if self.whom == SERVER else children(server)
        for process in victims:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def carried_out(folder: Path, killing: Killing | None) -> None:
    """Carry the release of the project in a folder out, to its end."""
    config = read_config(folder / "penstock.toml")
    deployment = config.deployments[project.MODEL]
    controller = Controller(
        deployment,
        target_of(deployment),
        connection_config(config.profile().metadata_address()),
        folder,
        str(folder / "root"),
        "controller",
        **({} if killing is None else {"on_step": killing}),
    )
    watch(controller, Alarm(), 0.5, lambda _: None)


@dataclass
class Supervisor:
    """Starts the server again where it ends, as a service manager does."""

    folder: Path
    server: PredictionServer
    starts: int = 1
    _over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        port = self.server.url.rpartition(":")[2]
        while not self._over.wait(0.05):
            if self.server.process.poll() is not None:
                self.starts += 1
                self.server = start_server(self.folder, f"{project.MODEL}@champion", "--port", port)

    def end(self) -> None:
        self._over.set()


@contextmanager
def supervised(folder: Path) -> Iterator[Supervisor]:
    """Serve the champion, whatever becomes of the server's process."""
    supervisor = Supervisor(folder, project.serve(folder))
    watching = threading.Thread(target=supervisor.watch)
    watching.start()
    try:
        yield supervisor
    finally:
        supervisor.end()
        watching.join()
        supervisor.server.end()


def carry_out(folder: Path, step: str, time: int, whom: str) -> int:
    """Carry the release out in a process of its own; return how it ended."""
    command = [sys.executable, __file__, str(folder), step, str(time), whom]
    known = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.run(command, cwd=folder, env=known, timeout=240, check=False).returncode


def main(folder: str, step: str, time: str, whom: str) -> None:
    killing = None
    if whom:
        server_file = Path(folder, "state", "server.json")
        killing = Killing(ReleaseStep[step], int(time), whom, server_file)
    carried_out(Path(folder), killing)


if __name__ == "__main__":
    main(*sys.argv[1:])
