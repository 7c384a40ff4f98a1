"""Processes that tests start, and whatever those start in turn."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

MARK = "PENSTOCK_TEST_FAMILY"


@dataclass
class Family:
    """A Python script and all processes that come from it: they inherit its environment."""

    script: str
    arguments: tuple[str, ...] = ()
    mark: str = field(default_factory=lambda: secrets.token_hex(8))

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", self.script, *self.arguments],
            env={**os.environ, MARK: self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def alive(self) -> list[int]:
        """Return the ids of its living processes."""
        marked = f"{MARK}={self.mark}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                state = (path / "stat").read_text().rpartition(")")[2].split()[0]
                if state not in "ZX" and marked in (path / "environ").read_bytes():
                    found.append(int(path.name))
            except OSError:  # it has ended meanwhile, or is not ours
                continue
        return found

    def wait_for_its_end(self, seconds: float = 20) -> None:
        """Return when none of its processes is alive."""
        wait_until(lambda: not self.alive(), seconds)


def wait_until(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)
