"""What was measured: kept as JSON, in comparisons that each are measured by turns.

A comparison that is measured again takes the place of the earlier one; all others stay, with the
dates of their own.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from medians import Spread, spread
from processes import timed

Key = tuple[str, str, int]


@dataclass(frozen=True)
class Node:
    """Seconds and CPU seconds of a node's work, and its most bytes, where they were measured."""

    wall: float
    cpu: float | None = None
    peak: float | None = None


@dataclass(frozen=True)
class Sample:
    """What one run took, from the start of its process to its end, and what each of its nodes."""

    wall: float
    cpu: float | None = None
    peak: float | None = None
    nodes: Mapping[str, Node] = field(default_factory=dict)

    def of(self, node: str | None) -> Sample | Node | None:
        """Return the whole or one of its nodes."""
        return self if node is None else self.nodes.get(node)

    def beside_nodes(self) -> Sample:
        """Return what the whole took beside the sum of its nodes."""
        wall = self.wall - sum(node.wall for node in self.nodes.values())
        cpus = [
            self.cpu,
            *(-node.cpu if node.cpu is not None else None for node in self.nodes.values()),
        ]
        known = [cpu for cpu in cpus if cpu is not None]
        return Sample(wall, sum(known) if len(known) == len(cpus) else None)


Turn = Mapping[str, Sample]


def by_process(
    command: Sequence[str | Path], folder: Path, environment: Mapping[str, str]
) -> Callable[[], Sample]:
    """Return what runs a command in a folder, and says what that took as a whole."""

    def run() -> Sample:
        taken = timed(command, folder, environment)
        return Sample(taken.wall, taken.cpu, taken.peak)

    return run


@dataclass(frozen=True)
class Comparison:
    """What was measured side by side: in each turn a sample of each way.

    `date` is the day of its last turn, `versions` those of the libraries that matter.
    """

    part: str
    case: str
    rows: int
    date: str
    cpus: int
    python: str
    versions: Mapping[str, str]
    turns: Sequence[Turn]

    @property
    def key(self) -> Key:
        """What it has in common with one that takes its place."""
        return self.part, self.case, self.rows

    def ways(self) -> list[str]:
        """Return what was measured in any turn, in that order."""
        return list(dict.fromkeys(way for turn in self.turns for way in turn))

    def beside_nodes(self) -> Comparison:
        """Return the comparison of what all took beside the sum of their nodes."""
        turns = [{way: one.beside_nodes() for way, one in turn.items()} for turn in self.turns]
        return replace(self, turns=turns)

    def samples(self, way: str) -> list[Sample]:
        """Return what was measured of a way."""
        return [turn[way] for turn in self.turns if way in turn]

    def walls(self, way: str, node: str | None = None) -> Spread | None:
        """Return the seconds of a way, or of a node of it."""
        return _spread(found.wall for one in self.samples(way) if (found := one.of(node)))

    def cpus_of(self, way: str, node: str | None = None) -> Spread | None:
        """Return the CPU seconds of a way, or of a node of it, where all are known."""
        return _known(one.of(node) for one in self.samples(way))

    def peaks(self, way: str, node: str | None = None) -> Spread | None:
        """Return the most bytes of a way's largest process, or of a node of it."""
        found = [seen.peak for one in self.samples(way) if (seen := one.of(node))]
        return _spread(peak for peak in found if peak is not None)

    def ratio(self, theirs: str, ours: str, node: str | None = None) -> Spread | None:
        """Return how many times as fast one way is: of the medians, and in each turn."""
        pairs = [
            (their_part.wall, our_part.wall)
            for turn in self.turns
            if theirs in turn and ours in turn
            if (their_part := turn[theirs].of(node)) and (our_part := turn[ours].of(node))
            if our_part.wall > 0
        ]
        if not pairs:
            return None
        slow, fast = (spread(seconds) for seconds in zip(*pairs, strict=True))
        by_turns = spread(a / b for a, b in pairs)
        return Spread(slow.median / fast.median, by_turns.least, by_turns.greatest, by_turns.count)


def _spread(numbers: Iterable[float]) -> Spread | None:
    found = list(numbers)
    return spread(found) if found else None


def _known(parts: Iterable[Sample | Node | None]) -> Spread | None:
    found = [part.cpu for part in parts if part is not None]
    known = [cpu for cpu in found if cpu is not None]
    return _spread(known) if len(known) == len(found) else None


def by_turns(
    key: Key,
    ways: Mapping[str, Callable[[], Sample]],
    repeats: int,
    versions: Mapping[str, str],
    once: Sequence[str] = (),
) -> Iterator[Comparison]:
    """Measure ways by turns, so that what else the machine does meets them alike.

    Yields the comparison after each turn. What is named by `once` is in the first turn alone.
    """
    turns: list[Turn] = []
    for repeat in range(repeats):
        turn = {}
        for way, measure in ways.items():
            if repeat and way in once:
                continue
            turn[way] = one = measure()
            print(f"{_title(key)} {way:<18} {one.wall:8.1f} s {one.cpu:8.1f} s", file=sys.stderr)
        turns.append(turn)
        today = datetime.now().astimezone().date().isoformat()
        cpus, python = len(os.sched_getaffinity(0)), platform.python_version()
        yield Comparison(*key, today, cpus, python, dict(versions), tuple(turns))


def _title(key: Key) -> str:
    part, case, rows = key
    return f"{part} {case} {rows:,}" if rows else f"{part} {case}"


def merged(earlier: Iterable[Comparison], later: Iterable[Comparison]) -> list[Comparison]:
    """Return all comparisons, of each the one that was measured later."""
    return list({one.key: one for one in (*earlier, *later)}.values())


def read(path: Path) -> list[Comparison]:
    """Return what a file keeps; nothing where there is none."""
    if not path.exists():
        return []
    kept = json.loads(path.read_text(encoding="utf-8"))
    return [_comparison(one) for one in kept["comparisons"]]


def write(path: Path, comparisons: Iterable[Comparison]) -> None:
    """Write comparisons into a file, all at once."""
    kept = {"comparisons": [asdict(one) for one in comparisons]}
    part = path.with_suffix(".part")
    part.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def _comparison(kept: Mapping[str, Any]) -> Comparison:
    turns = tuple({way: _sample(one) for way, one in turn.items()} for turn in kept["turns"])
    return Comparison(**{**kept, "turns": turns})


def _sample(kept: Mapping[str, Any]) -> Sample:
    nodes = {name: Node(**node) for name, node in kept["nodes"].items()}
    return Sample(**{**kept, "nodes": nodes})
