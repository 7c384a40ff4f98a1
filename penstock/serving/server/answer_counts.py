"""Answers that were given since they were last told to the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.serving.sketches import bin_of


@dataclass
class AnswerCounts:
    """Answers of a version in a role: how many by status, and the seconds of the good ones."""

    statuses: Counter[int] = field(default_factory=Counter)
    rows: int = 0
    latency: dict[int, int] = field(default_factory=dict)
    longest: float = 0.0
    log_dropped: int = 0

    def add(self, status: int, seconds: float, rows: int) -> None:
        """Count an answer."""
        self.statuses[status] += 1
        if status < 400:
            self.rows += rows
            taken = bin_of(seconds)
            self.latency[taken] = self.latency.get(taken, 0) + 1
            self.longest = max(self.longest, seconds)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values, which `penstock.serving.log.measures` makes a row of."""
        return dict(vars(self))


def told_of(
    counts: Mapping[tuple[int, str], AnswerCounts], served: Iterable[tuple[int, str]]
) -> list[dict[str, Any]]:
    """Return counts as JSON values, those too of who serves and was not asked."""
    every = {**{key: AnswerCounts() for key in served}, **counts}
    return [
        {"version": version, "role": role, **counted.to_json()}
        for (version, role), counted in sorted(every.items())
    ]
