"""Small charts of what changes over time, as inline SVG that is as wide as its place."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from penstock.report.charts import DASHES

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT, _TOP = 300, 48, 3


def draw(lines: Sequence[Points], end: float, label: str) -> Markup:
    """Draw lines from 0 to an end, over nothing at their foot; a line alone is filled below."""
    greatest = max((value for points in lines for _, value in points), default=0.0)

    def at(x: float, y: float) -> str:
        height = (_HEIGHT - _TOP) * y / greatest if greatest else 0.0
        return f"{_WIDTH * x / end if end else 0.0:.1f} {_HEIGHT - height:.1f}"

    parts = []
    for number, points in enumerate(lines):
        if not points:
            continue
        way = "L".join(at(*point) for point in points)
        if len(lines) == 1:
            first, last = at(points[0][0], 0), at(points[-1][0], 0)
            parts.append(f'<path class="filled" d="M{first}L{way}L{last}z"/>')
        style = f'class="line line-{number}" stroke-dasharray="{DASHES[number]}"'
        parts.append(f'<path {style} d="M{way}"/>')
    return Markup(
        '<svg class="sparkline" viewBox="0 0 {w} {h}" height="{h}" preserveAspectRatio="none" '
        'role="img" aria-label="{label}">{parts}<path class="axis" d="M0 {h}H{w}"/></svg>'
    ).format(w=_WIDTH, h=_HEIGHT, label=label, parts=Markup("".join(parts)))
