"""A prediction server as a process of its own, and what tests ask of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class PredictionServer:
    """A running `penstock serve`."""

    process: subprocess.Popen[str]
    state: Path
    log: Path

    @property
    def known(self) -> dict[str, Any]:
        """How a release reaches it."""
        return json.loads((self.state / "server.json").read_text())

    @property
    def url(self) -> str:
        return self.known["url"]

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        return ask(self.url + path, headers=headers)

    def post(self, path: str, content: Any, **headers: str) -> tuple[int, Any]:
        return ask(self.url + path, content, headers=headers)

    def administer(self, method: str, path: str, content: Any = None) -> tuple[int, Any]:
        """Tell it what a release would."""
        headers = {"Authorization": f"Bearer {self.known['token']}"}
        return ask(f"{self.url}/penstock/v1/models/{path}", content, method=method, headers=headers)

    def workers(self) -> list[int]:
        """Return the processes that have a model."""
        return children(self.process.pid)

    def wait_until_ready(self) -> None:
        wait_for(lambda: self.get("/readyz")[0] == 200, self)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        for worker in self.workers():  # one that stands still would not end
            os.kill(worker, signal.SIGCONT)
        self.process.send_signal(how)
        return self.process.wait(timeout=60)


def ask(
    url: str,
    content: Any = None,
    *,
    method: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> tuple[int, Any]:
    """Return the status and the content, from JSON where it is that, of an answer."""
    body = (
        content if content is None or isinstance(content, bytes) else json.dumps(content).encode()
    )
    request = urllib.request.Request(url, body, dict(headers or {}), method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            status, answer = response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            status, answer = error.code, error.read()
    try:
        return status, json.loads(answer)
    except ValueError:
        return status, answer.decode(errors="replace")


def children(process_id: int) -> list[int]:
    """Return the processes that a process has started."""
    listed = Path(f"/proc/{process_id}/task").glob("*/children")
    return [int(child) for path in listed for child in path.read_text().split()]


def wait_for(condition: Callable[[], Any], server: PredictionServer, seconds: float = 60) -> Any:
    """Return what a condition gives once it is true."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if found := condition():
                return found
        except (OSError, ValueError, KeyError):  # it does not listen yet
            pass
        if server.process.poll() is not None:
            break
        time.sleep(0.02)
    raise AssertionError(f"it did not come to that; the server says:\n{server.log.read_text()}")


def start_server(folder: Path, *arguments: str, **environment: str) -> PredictionServer:
    """Start `penstock serve` on a free port, with its state below a folder."""
    state = folder / "state"
    log = folder / "server.log"
    with log.open("a") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "penstock", "serve", "--port", "0"),
                *("--state", str(state), "--look-every", "0.1", *arguments),
            ],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    return PredictionServer(process, state, log)
