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
# How many columns an edge takes that passes a layer.
_PASSING = 0.25

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
        nodes = max((x for x, _ in self.nodes.values()), default=0.0) + 1
        passing = [x for points in self.edges.values() for x, _ in points[1:-1]]
        return max(nodes, max(passing, default=0.0) + (1 + _PASSING) / 2)

    @property
    def layers(self) -> int:
        """How many layers there are."""
        return int(max((y for _, y in self.nodes.values()), default=0.0)) + 1


def lay_out(upstream: Mapping[str, Sequence[str]]) -> Layout:
    """Lay out an acyclic graph; `upstream` has for every node those before it."""
    before = {
        name: [other for other in dict.fromkeys(others) if other in upstream]
        for name, others in upstream.items()
    }
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
    left = min((positions[name][0] - _width(name) / 2 for name in layer), default=0.0) + 0.5
    positions = {name: (x - left, y) for name, (x, y) in positions.items()}
    return Layout(
        {name: positions[name] for name in before},
        {edge: tuple(positions[name] for name in chain) for edge, chain in chains.items()},
    )


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
    x = {
        name: distance - distances[-1] / 2
        for row in rows
        if (distances := _distances(row))
        for name, distance in zip(row, distances, strict=True)
    }
    for sweep in range(_SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = [
                _mean([x[o] for o in (*above[name], *below.get(name, ()))], x[name]) for name in row
            ]
            x.update(zip(row, _apart(wanted, _distances(row)), strict=True))
    # Eighths of columns: what is nearly in line is in line, and distances stay as they were.
    return {
        name: (math.floor(8 * x[name] + 0.5) / 8, float(level))
        for level, row in enumerate(rows)
        for name in row
    }


def _width(name: str) -> float:
    """Return how many columns a place takes: an edge that passes by needs little."""
    return _PASSING if "\0" in name else 1.0


def _distances(row: Sequence[str]) -> list[float]:
    """Return how far each place of a row is from the first at least."""
    found = [0.0] * len(row)
    for n in range(1, len(row)):
        found[n] = found[n - 1] + (_width(row[n - 1]) + _width(row[n])) / 2
    return found


def _apart(wanted: list[float], distances: Sequence[float]) -> list[float]:
    """Return places near those wanted, in order and far enough apart: least squares, by pooling."""
    blocks: list[tuple[float, int]] = []
    for value, distance in zip(wanted, distances, strict=True):
        blocks.append((value - distance, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (mean, count), (last, more) = blocks[-2], blocks[-1]
            blocks[-2:] = [((mean * count + last * more) / (count + more), count + more)]
    offsets = [mean for mean, count in blocks for _ in range(count)]
    return [offset + distance for offset, distance in zip(offsets, distances, strict=True)]


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
