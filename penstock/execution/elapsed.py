"""Where the time of a run goes that is no node's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

# In the order in which they are told: from the command's start until the run could begin, waiting
# for what workers import while no node works, the scheduler's own work (the store, the cache), and
# writing the report.
DEFINITION, LIBRARIES, BOOKKEEPING, REPORT = "definition", "libraries", "bookkeeping", "report"
KINDS = (DEFINITION, LIBRARIES, BOOKKEEPING, REPORT)


@dataclass
class Elapsed:
    """Seconds by kind; what passes while a node works is not counted."""

    seconds: dict[str, float] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._since = self.clock()

    def passed(self, kind: str, *, counts: bool = True) -> None:
        """Count what has passed since the last call."""
        now = self.clock()
        if counts:
            self.add(kind, now - self._since)
        self._since = now

    def add(self, kind: str, seconds: float) -> None:
        """Count seconds that were measured elsewhere."""
        self.seconds[kind] = self.seconds.get(kind, 0.0) + seconds


def process_began() -> float:
    """Return the time of day at which this process began.

    Raises:
      OSError: this system does not tell.
    """
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - age


def seconds_of_process() -> float:
    """Return for how long this process has been there; 0 where the system does not tell."""
    try:
        return max(0.0, time.time() - process_began())
    except OSError:
        return 0.0
