"""Processes that tests start, and whatever those start in turn."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock_support import IMPORT_PATH

MARK = "PENSTOCK_TEST_FAMILY"


@dataclass
class Family:
    """A Python script and all processes that come from it: they inherit its environment."""

    script: str
    arguments: tuple[str, ...] = ()
    mark: str = field(default_factory=lambda: secrets.token_hex(8))

    def start(self, **streams: Any) -> subprocess.Popen[str]:
        """Start the script, with pipes for what it prints unless `streams` are others."""
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", self.script, *self.arguments],
            env={**os.environ, "PYTHONPATH": IMPORT_PATH, MARK: self.mark},
            text=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
        )

    def alive(self) -> list[int]:
        """Return the ids of its living processes."""
        return alive(self.mark)

    def wait_for_its_end(self, seconds: float = 20) -> None:
        """Return when none of its processes is alive."""
        wait_until(lambda: not self.alive(), seconds)


def alive(mark: str) -> list[int]:
    """Return the ids of the living processes that were started with a mark in their environment."""
    marked = f"{MARK}={mark}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            state = (path / "stat").read_text().rpartition(")")[2].split()[0]
            if state not in "ZX" and marked in (path / "environ").read_bytes():
                found.append(int(path.name))
        except OSError:  # it has ended meanwhile, or is not ours
            continue
    return found


def wait_until(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


def at_once(target: Any, how_many: int, *arguments: Any) -> list[Any]:
    """Return what processes put into a queue that start within a millisecond of each other.

    Each is called with its number, the arguments, a barrier to wait at and the queue. They are
    forked when all is imported.
    """
    forking = multiprocessing.get_context("fork")
    start, results = forking.Barrier(how_many), forking.SimpleQueue()
    children = [
        forking.Process(target=target, args=(number, *arguments, start, results))
        for number in range(how_many)
    ]
    for child in children:
        child.start()
    found = [results.get() for _ in children]
    for child in children:
        child.join()
    return found
