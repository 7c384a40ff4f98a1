"""What a server counts of the answers that it gives, for evidence and for metrics."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.serving.evidence import Answers, Comparison, Evidence, counts_from_json, sum_of
from penstock.serving.routes import ROLES, Routes
from penstock.serving.sketches import added, bin_of

# However long routes stay, their time is told by no more spans than these.
_MOST_SPANS = 64


@dataclass
class Spans:
    """Sketches of seconds by spans of time, which double in length as they become many."""

    since: float = field(default_factory=time.monotonic)
    length: float = 0.25
    sketches: list[dict[int, int]] = field(default_factory=list)

    def add(self, seconds: float, now: float) -> None:
        """Count seconds that were taken until now."""
        place = int((now - self.since) / self.length)
        while place >= _MOST_SPANS:
            pairs = [self.sketches[at : at + 2] for at in range(0, len(self.sketches), 2)]
            self.sketches = [added(pair) for pair in pairs]
            self.length, place = 2 * self.length, place // 2
        while place >= len(self.sketches):
            self.sketches.append({})
        sketch, key = self.sketches[place], bin_of(seconds)
        sketch[key] = sketch.get(key, 0) + 1


@dataclass
class RoleTally:
    """Counts of one role: seconds as callers saw them, and as the workers took."""

    requests: int = 0
    errors: int = 0
    refused: int = 0
    latency: Spans = field(default_factory=Spans)
    work: Spans = field(default_factory=Spans)

    def add(self, status: int, seconds: float, work: float) -> None:
        """Count an answer; without work it was no worker's."""
        self.requests += 1
        if status >= 500:
            self.errors += 1
        elif status >= 400:
            self.refused += 1
        now = time.monotonic()
        self.latency.add(seconds, now)
        if work:
            self.work.add(work, now)


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
            latency=added(seen.latency.sketches),
            latency_spans=tuple(map(dict, seen.latency.sketches)),
            work=added(seen.work.sketches),
            work_spans=tuple(map(dict, seen.work.sketches)),
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
