"""Runs a program and says what it took: seconds by the clock, CPU seconds and memory.

CPU seconds are those of the process and of all that it has started, also where these outlive their
parents: they become children of the process that this file is run as, which waits for them. By the
clock it is the program alone, from its start to its end.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Longer than anything that was measured takes to end after the program that has started it.
LINGERING_SECONDS = 30
_SET_CHILD_SUBREAPER = 36
_SHOWN_CHARACTERS = 3000


class MeasurementError(Exception):
    """A program that was to be measured has failed."""


@dataclass(frozen=True)
class Taken:
    """Seconds by the clock, CPU seconds of all processes, and the most bytes that one has had."""

    wall: float
    cpu: float
    peak: int


def timed(
    command: Sequence[str | Path],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    *,
    lingering_seconds: int = LINGERING_SECONDS,
) -> Taken:
    """Run a command in a folder, with more environment variables; return what it took.

    What it has started may go on for some seconds after it has ended.

    Raises:
      MeasurementError: it has failed, or has left processes that do not end, which are killed.
    """
    with tempfile.TemporaryDirectory() as kept:
        log = Path(kept, "log.txt")
        done = subprocess.run(
            [sys.executable, "-I", __file__, str(lingering_seconds), str(log), *map(str, command)],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        output = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    found = json.loads(done.stdout) if done.returncode == 0 else {"left": "its measurement"}
    if found["left"] or found["status"]:
        why = f"left running: {found['left']}" if found["left"] else f"exit {found['status']}"
        shown = " ".join(map(str, command))
        raise MeasurementError(f"{shown}\n{why}\n{output[-_SHOWN_CHARACTERS:]}")
    return Taken(found["wall"], found["cpu"], found["peak"])


def cpu_seconds_of(process: int) -> float:
    """Return the CPU seconds of a process and of those of its children that it has waited for."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def _measure(lingering_seconds: int, log: str, command: Sequence[str]) -> dict[str, Any]:
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with open(log, "wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=output, stderr=output)
        status = process.wait()
        wall = time.monotonic() - began
    left = _wait_for_orphans(lingering_seconds)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "status": status,
        "left": left,
        "wall": wall,
        "cpu": used.ru_utime + used.ru_stime,
        "peak": used.ru_maxrss * 1024,
    }


def _wait_for_orphans(seconds: int) -> str:
    def stop(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)
    except TimeoutError:
        [task] = Path("/proc/self/task").glob("*/children")
        left = {
            child: Path(f"/proc/{child}/cmdline") for child in map(int, task.read_text().split())
        }
        commands = [command.read_text().replace("\0", " ") for command in left.values()]
        for child in left:
            os.kill(child, signal.SIGKILL)
        return ", ".join(command.replace("\0", " ") for command in commands)
    finally:
        signal.alarm(0)
    return ""


if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]), sys.argv[2], sys.argv[3:])))
