"""What a server counts of the answers that it gives, for evidence and for metrics."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.serving.evidence import Answers, Comparison, Evidence, counts_from_json, sum_of
from penstock.serving.routes import ROLES, Routes
from penstock.serving.sketches import bin_of


@dataclass
class RoleTally:
    """Counts of one role, as callers saw it."""

    requests: int = 0
    errors: int = 0
    refused: int = 0
    latency: dict[int, int] = field(default_factory=dict)

    def add(self, status: int, seconds: float) -> None:
        """Count an answer."""
        self.requests += 1
        if status >= 500:
            self.errors += 1
        elif status >= 400:
            self.refused += 1
        key = bin_of(seconds)
        self.latency[key] = self.latency.get(key, 0) + 1


@dataclass
class Tally:
    """Counts since the routes are as they are."""

    token: str
    epoch: int
    since: float = field(default_factory=time.monotonic)
    roles: dict[str, RoleTally] = field(default_factory=lambda: {r: RoleTally() for r in ROLES})
    dropped: int = 0
    failed: int = 0
    # The CPU seconds of each version's workers when the routes came.
    cpu_before: dict[int, float] = field(default_factory=dict)


def evidence_of(
    tally: Tally, routes: Routes, counted: Mapping[int, Iterable[Mapping[str, Any]]]
) -> Evidence:
    """Return what was seen since the routes are as they are.

    `counted` has what the workers of each version have counted.
    """
    versions = {
        "production": routes.production,
        "canary": routes.canary.version if routes.canary else None,
        "shadow": routes.shadow.version if routes.shadow else None,
    }
    answers = {}
    for place, role in enumerate(ROLES):
        version, seen = versions[role], tally.roles[role]
        if version is None:
            continue
        parts = list(counted.get(version, ()))
        own = [
            counts_from_json(Answers, entry)
            for part in parts
            for epoch, of, entry in part["answers"]
            if (epoch, of) == (tally.epoch, place)
        ]
        predicted = sum_of([Answers(), *own])
        cpu = sum(part["cpu_seconds"] for part in parts) - tally.cpu_before.get(version, 0.0)
        answers[role] = Answers(
            requests=seen.requests,
            rows=predicted.rows,
            errors=seen.errors,
            refused=seen.refused,
            latency=dict(seen.latency),
            scores=predicted.scores,
            classes=predicted.classes,
            not_finite=predicted.not_finite,
            cpu_seconds=max(0.0, cpu),
            memory_bytes=sum(part["memory_bytes"] for part in parts),
        )
    comparisons = [
        counts_from_json(Comparison, entry)
        for parts in counted.values()
        for part in parts
        for epoch, entry in part["compared"]
        if epoch == tally.epoch
    ]
    compared = sum_of([Comparison(dropped=tally.dropped, failed=tally.failed), *comparisons])
    return Evidence(tally.token, time.monotonic() - tally.since, answers, compared)
