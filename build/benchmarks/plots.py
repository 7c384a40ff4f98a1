"""Two kinds of plots as SVG that follows the reader's light or dark scheme."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 150, 44, 44
_STYLE = """
text { font: 12px sans-serif; fill: #24292f } .title { font-size: 14px; font-weight: bold }
.axis { stroke: #8c959f } .grid { stroke: #d0d7de; stroke-width: .5 }
.s0 { fill: #0969da; stroke: #0969da } .s1 { fill: #bc4c00; stroke: #bc4c00 }
.s2 { fill: #1a7f37; stroke: #1a7f37 } .s3 { fill: #8250df; stroke: #8250df }
.line { fill: none; stroke-width: 2 } .name0 { fill: #0969da } .name1 { fill: #bc4c00 }
.name2 { fill: #1a7f37 } .name3 { fill: #8250df }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .grid { stroke: #30363d }
.s0 { fill: #58a6ff; stroke: #58a6ff } .s1 { fill: #f0883e; stroke: #f0883e }
.s2 { fill: #3fb950; stroke: #3fb950 } .s3 { fill: #bc8cff; stroke: #bc8cff }
.line { fill: none } .name0 { fill: #58a6ff } .name1 { fill: #f0883e }
.name2 { fill: #3fb950 } .name3 { fill: #bc8cff } }
"""
Series = Mapping[str, Sequence[tuple[float, float]]]


def lines(title: str, series: Series, x_label: str, y_label: str) -> str:
    """Return a plot of points joined by lines, with logarithmic axes."""
    points = [point for found in series.values() for point in found]
    x_at = _scale([x for x, _ in points], _LEFT, WIDTH - _RIGHT)
    y_at = _scale([y for _, y in points], HEIGHT - _BOTTOM, _TOP)
    drawn = [*_grid([x for x, _ in points], [y for _, y in points], x_at, y_at)]
    ends = []
    for number, (name, found) in enumerate(series.items()):
        path = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in found)
        drawn.append(f'<polyline class="line s{number % 4}" points="{path}"/>')
        drawn += [
            f'<circle class="s{number % 4}" cx="{x_at(x):.1f}" cy="{y_at(y):.1f}" r="3">'
            f"<title>{escape(name)}: {y:,.4g} at {x:,.0f}</title></circle>"
            for x, y in found
        ]
        if found:
            ends.append((y_at(found[-1][1]), x_at(found[-1][0]), name, number))
    lowest = -math.inf
    for y, x, name, number in sorted(ends):
        lowest = max(y, lowest + 14)
        drawn.append(_text(x + 8, lowest + 4, name, css=f"name{number % 4}"))
    return _page(title, drawn, x_label, y_label)


def bars(title: str, names: Sequence[str], series: Mapping[str, Sequence[float]], unit: str) -> str:
    """Return a plot of horizontal bars, side by side for each name, on a logarithmic axis."""
    values = [value for found in series.values() for value in found if value > 0]
    x_at = _scale(values, _LEFT + 60, WIDTH - 90)
    drawn = []
    row = (HEIGHT - _TOP - _BOTTOM + 20) / max(1, len(names))
    thick = row / (len(series) + 0.6)
    for place, name in enumerate(names):
        top = _TOP + place * row
        drawn.append(_text(_LEFT + 52, top + row / 2, name, anchor="end"))
        for number, (who, found) in enumerate(series.items()):
            value = found[place]
            if value <= 0:
                continue
            end = x_at(value)
            y = top + number * thick
            drawn.append(
                f'<rect class="s{number % 4}" x="{_LEFT + 60}" y="{y:.1f}" '
                f'width="{max(1.0, end - _LEFT - 60):.1f}" height="{thick - 2:.1f}">'
                f"<title>{escape(who)}, {escape(name)}: {value:,.3g} {unit}</title></rect>"
            )
            drawn.append(_text(end + 5, y + thick - 5, f"{value:,.1f} {unit}"))
    for number, who in enumerate(series):
        drawn.append(_text(_LEFT + 60 + 110 * number, HEIGHT - 12, who, css=f"name{number % 4}"))
    return _page(title, drawn, "", "")


def _scale(values: Sequence[float], start: float, end: float) -> Callable[[float], float]:
    low, high = math.log10(min(values) * 0.8), math.log10(max(values) * 1.25)
    return lambda value: start + (math.log10(value) - low) / (high - low) * (end - start)


def _grid(
    xs: Sequence[float],
    ys: Sequence[float],
    x_at: Callable[[float], float],
    y_at: Callable[[float], float],
) -> list[str]:
    drawn = []
    for x in sorted(set(xs)):
        drawn.append(_line(x_at(x), HEIGHT - _BOTTOM, x_at(x), _TOP))
        drawn.append(_text(x_at(x), HEIGHT - _BOTTOM + 16, f"{x:,.0f}", anchor="middle"))
    for power in range(math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys))) + 1):
        y = 10.0**power
        if min(ys) * 0.8 <= y <= max(ys) * 1.25:
            drawn.append(_line(_LEFT, y_at(y), WIDTH - _RIGHT, y_at(y)))
            drawn.append(_text(_LEFT - 6, y_at(y) + 4, f"{y:g}", anchor="end"))
    return drawn


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="grid" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", css: str = "") -> str:
    return (
        f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _page(title: str, drawn: Sequence[str], x_label: str, y_label: str) -> str:
    labels = [
        _text(12, 22, title, css="title"),
        _text((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 8, x_label, anchor="middle"),
        _text(12, _TOP - 6, y_label),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}"><style>{_STYLE}</style>'
        + "\n".join([*labels, *drawn])
        + "</svg>\n"
    )
