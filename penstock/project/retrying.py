"""How often, when and after what a node that failed is tried again, wherever it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from penstock.errors import ParameterError, suggestion

# What the work of a node can fail of: an exception, a lack of memory (an exception that says so, or
# a process that the system killed), a process that died otherwise, and its timeout.
ERROR, MEMORY, CRASH, TIMEOUT = "error", "memory", "crash", "timeout"
FAILURES = (ERROR, MEMORY, CRASH, TIMEOUT)


@dataclass(frozen=True)
class Retries:
    """How a node that failed is tried again: up to `count` times more, after failures in `after`.

    These are "error" for an exception, "memory" for too little of that, "crash" for a process that
    died, and "timeout". Before the first retry `pause_seconds` pass, and `factor` times as many
    before each other, up to `longest_pause_seconds`.
    """

    count: int = 0
    after: tuple[str, ...] = FAILURES
    pause_seconds: float = 0.0
    factor: float = 2.0
    longest_pause_seconds: float = 600.0

    def __post_init__(self) -> None:
        if type(self.count) is not int or self.count < 0:
            raise ParameterError(f"retries should be a whole number from 0, got {self.count!r}")
        for failure in self.after:
            if failure not in FAILURES:
                raise ParameterError(
                    f"retries after {failure!r} are not known", hint=suggestion(failure, FAILURES)
                )
        for name, least in (("pause_seconds", 0), ("factor", 1), ("longest_pause_seconds", 0)):
            number = getattr(self, name)
            is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
            if not is_number or not least <= number < math.inf:
                raise ParameterError(
                    f"{name} of retries should be a number from {least}, got {number!r}"
                )

    def pause(self, tried: int, failure: str) -> float | None:
        """Return the seconds before the next try, None if there is none; `tried` counts retries."""
        if tried >= self.count or failure not in self.after:
            return None
        try:
            grown = self.pause_seconds * self.factor**tried
        except OverflowError:
            grown = math.inf
        return min(grown, self.longest_pause_seconds)
