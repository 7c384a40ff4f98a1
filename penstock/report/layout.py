"""Where the nodes of a graph are drawn: in layers, with few crossings.

The steps of Sugiyama, Tagawa and Toda (1981): layers by the longest way from a source, an edge
that passes layers gets a place in each of them, places are ordered by the mean of their
neighbors', and spread out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_SWEEPS = 8

Point = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """The middles of nodes, and of edges the points that they pass, in units of places.

    The x of a place is its column, which may be a fraction, and the y its layer.
    """

    nodes: Mapping[str, Point]
    edges: Mapping[tuple[str, str], tuple[Point, ...]]

    @property
    def columns(self) -> float:
        """How many places the widest layer takes."""
        return max((x for x, _ in self.nodes.values()), default=0.0) + 1

    @property
    def layers(self) -> int:
        """How many layers there are."""
        return int(max((y for _, y in self.nodes.values()), default=0.0)) + 1


def lay_out(upstream: Mapping[str, Sequence[str]]) -> Layout:
    """Lay out an acyclic graph; `upstream` has for every node those before it."""
    before = {
        name: [other for other in others if other in upstream] for name, others in upstream.items()
    }
    before = without_shortcuts(before)
    layer = _layers(before)
    above: dict[str, list[str]] = {name: [] for name in before}
    chains: dict[tuple[str, str], list[str]] = {}
    for name, others in before.items():
        for other in others:
            chain = [other]
            for level in range(layer[other] + 1, layer[name]):
                passing = f"{other}\0{name}\0{level}"
                layer[passing] = level
                above[passing] = [chain[-1]]
                chain.append(passing)
            above[name].append(chain[-1])
            chains[other, name] = [*chain, name]
    rows = _ordered(layer, above)
    positions = _placed(rows, above)
    left = min((positions[name][0] for name in layer), default=0.0)
    positions = {name: (x - left, y) for name, (x, y) in positions.items()}
    return Layout(
        {name: positions[name] for name in before},
        {edge: tuple(positions[name] for name in chain) for edge, chain in chains.items()},
    )


def without_shortcuts(before: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Leave out edges that say what longer ways say already."""
    reached: dict[str, set[str]] = {}

    def ancestors(name: str) -> set[str]:
        waiting = [name]
        while waiting:
            at = waiting[-1]
            missing = [other for other in before[at] if other not in reached]
            if at not in reached and missing:
                waiting += missing
                continue
            waiting.pop()
            reached[at] = set(before[at]).union(*(reached[other] for other in before[at]))
        return reached[name]

    kept = {}
    for name, others in before.items():
        indirect = set().union(*(ancestors(other) for other in others)) if others else set()
        kept[name] = [other for other in dict.fromkeys(others) if other not in indirect]
    return kept


def _layers(before: Mapping[str, Sequence[str]]) -> dict[str, int]:
    layer: dict[str, int] = {}
    left = dict(before)
    while left:
        ready = [name for name, others in left.items() if all(o in layer for o in others)]
        for name in ready or list(left):
            layer[name] = max((layer.get(o, -1) + 1 for o in left[name]), default=0)
            del left[name]
    # A source stands right above the first that needs it.
    below: dict[str, list[str]] = {}
    for name, others in before.items():
        for other in others:
            below.setdefault(other, []).append(name)
    for name, others in before.items():
        if not others and name in below:
            layer[name] = min(layer[after] for after in below[name]) - 1
    return layer


def _ordered(layer: Mapping[str, int], above: Mapping[str, Sequence[str]]) -> list[list[str]]:
    rows: list[list[str]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for name, level in layer.items():
        rows[level].append(name)
    below: dict[str, list[str]] = {name: [] for name in layer}
    for name, others in above.items():
        for other in others:
            below[other].append(name)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        neighbors = above if down else below
        for level in range(1, len(rows)) if down else range(len(rows) - 2, -1, -1):
            fixed = rows[level - 1] if down else rows[level + 1]
            # Places are compared as shares, so that rows of unlike lengths are comparable.
            at = {name: (n + 0.5) / len(fixed) for n, name in enumerate(fixed)}
            row = rows[level]
            own = {name: (n + 0.5) / len(row) for n, name in enumerate(row)}
            wanted = {name: _mean([at[o] for o in neighbors[name]], own[name]) for name in row}
            row.sort(key=wanted.__getitem__)
    return rows


def _placed(rows: list[list[str]], above: Mapping[str, Sequence[str]]) -> dict[str, Point]:
    """Give each row its columns: near those above and below, one place apart at least."""
    below: dict[str, list[str]] = {}
    for name, others in above.items():
        for other in others:
            below.setdefault(other, []).append(name)
    widest = max(map(len, rows), default=0)
    x = {name: n + (widest - len(row)) / 2 for row in rows for n, name in enumerate(row)}
    for sweep in range(_SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = [
                _mean([x[o] for o in (*above[name], *below.get(name, ()))], x[name]) for name in row
            ]
            x.update(zip(row, _apart(wanted), strict=True))
    # Half columns: what is nearly in line is in line, and what was one apart still is.
    return {
        name: (math.floor(2 * x[name] + 0.5) / 2, float(level))
        for level, row in enumerate(rows)
        for name in row
    }


def _apart(wanted: list[float]) -> list[float]:
    """Return places near those wanted, in their order and one apart: least squares, by pooling."""
    blocks: list[tuple[float, int]] = []
    for n, value in enumerate(wanted):
        blocks.append((value - n, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (mean, count), (last, more) = blocks[-2], blocks[-1]
            blocks[-2:] = [((mean * count + last * more) / (count + more), count + more)]
    offsets = [mean for mean, count in blocks for _ in range(count)]
    return [offset + n for n, offset in enumerate(offsets)]


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
