"""Charts as inline SVG: what they show is said in their names, colors come from the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from penstock.report.layout import lay_out
from penstock.report.wording import duration, quantity

# A mark a state, so that no color is needed to tell them apart.
MARKS = {
    "done": "✓",
    "cached": "↺",
    "failed": "✕",
    "canceled": "■",
    "running": "▶",
    "waiting": "○",
    "not run": "–",
    "left out": "–",
}

_NODE_WIDTH, _NODE_HEIGHT = 144, 48
_COLUMN, _LAYER = 156, 78
_EDGE = 8
_LONGEST, _LETTER = 24, 8.4
# How wide a letter of an axis is at most.
_SMALL_LETTER = 6.8
# Line styles, so that curves are told apart without color.
DASHES = ("", "6 3", "2 3", "8 3 2 3")


@dataclass(frozen=True)
class GraphNode:
    """A node as the graph shows it; `link` is where a click leads, "" for nowhere."""

    name: str
    state: str
    upstream: tuple[str, ...] = ()
    seconds: float | None = None
    link: str = ""


def graph(nodes: Sequence[GraphNode], title: str) -> Markup:
    """Draw a pipeline from top to bottom, with every node's state and time."""
    layout = lay_out({node.name: node.upstream for node in nodes})
    width = (layout.columns - 1) * _COLUMN + _NODE_WIDTH + 2 * _EDGE
    height = (layout.layers - 1) * _LAYER + _NODE_HEIGHT + 2 * _EDGE

    def at(x: float, y: float) -> tuple[float, float]:
        return x * _COLUMN + _NODE_WIDTH / 2 + _EDGE, y * _LAYER + _NODE_HEIGHT / 2 + _EDGE

    edges = "".join(
        f'<path class="edge" d="{_way([at(*point) for point in points])}"/>'
        for points in layout.edges.values()
    )
    boxes = Markup("").join(_box(node, *at(*layout.nodes[node.name])) for node in nodes)
    return Markup(
        '<svg class="graph" viewBox="0 0 {w:.0f} {h:.0f}" width="{w:.0f}" height="{h:.0f}" '
        'style="min-width:{least:.0f}px" role="{role}" aria-label="{title}">{edges}{boxes}</svg>'
    ).format(
        w=width,
        h=height,
        # Text that is smaller than this is not read: then the picture is wider than its place.
        least=0.75 * width,
        # Links inside an image would not be told.
        role="group" if any(node.link for node in nodes) else "img",
        title=title,
        edges=Markup(edges),
        boxes=boxes,
    )


def _box(node: GraphNode, x: float, y: float) -> Markup:
    left, top = x - _NODE_WIDTH / 2, y - _NODE_HEIGHT / 2
    text = node.state if node.seconds is None else f"{node.state} · {duration(node.seconds)}"
    name = node.name if len(node.name) <= _LONGEST else f"{node.name[: _LONGEST - 1]}…"
    # Whatever the font is, a long name stays in its box.
    fit = f' textLength="{_NODE_WIDTH - 14}" lengthAdjust="spacingAndGlyphs"'
    fit = fit if len(name) * _LETTER > _NODE_WIDTH - 14 else ""
    body = Markup(
        '<g class="node state-{state}"><title>{full}: {told}</title>'
        '<rect x="{left:.1f}" y="{top:.1f}" width="{w}" height="{h}" rx="8"/>'
        '<text class="name" x="{x:.1f}" y="{name_y:.1f}"{fit}>{name}</text>'
        '<text class="told" x="{x:.1f}" y="{told_y:.1f}">{mark} {told}</text></g>'
    ).format(
        state=_css_name(node.state),
        full=node.name,
        told=text,
        left=left,
        top=top,
        w=_NODE_WIDTH,
        h=_NODE_HEIGHT,
        x=x,
        name_y=y - 4,
        told_y=y + 14,
        name=name,
        fit=Markup(fit),
        mark=MARKS.get(node.state, "?"),
    )
    if not node.link:
        return body
    label = f"{node.name}: {text}"
    return Markup('<a href="{}" aria-label="{}">{}</a>').format(node.link, label, body)


def _css_name(state: str) -> str:
    return state.replace(" ", "-")


def _way(points: Sequence[tuple[float, float]]) -> str:
    """Return a smooth way down through points: from below the first to above the last."""
    (x, y), *rest = points
    y += _NODE_HEIGHT / 2
    way = [f"M{x:.1f} {y:.1f}"]
    for index, (to_x, middle) in enumerate(rest):
        is_last = index == len(rest) - 1
        to_y = middle - _NODE_HEIGHT / 2
        bend = (to_y - y) / 2
        way.append(f"C{x:.1f} {y + bend:.1f} {to_x:.1f} {to_y - bend:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
        if not is_last:
            y = middle + _NODE_HEIGHT / 2
            way.append(f"V{y:.1f}")
    return "".join(way)


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram; of categories `low` and `high` are its place."""

    low: float
    high: float
    count: float


def histogram(
    bars: Sequence[Bar],
    domain: tuple[float, float],
    label: str,
    ends: tuple[str, str] = ("", ""),
) -> Markup:
    """Draw bars between the bounds of a domain, with words at its ends; heights are densities.

    Above stands how many examples the largest bar has.
    """
    width, height = 132, 36
    low, high = domain
    top = 14
    scale = width / (high - low) if high > low else 0.0
    # A bar of no width, as of a constant, is as wide as the picture's tenth.
    narrow = width / 10
    density = [bar.count / max(bar.high - bar.low, 1e-300) if scale else bar.count for bar in bars]
    tallest = max(density, default=0.0)
    way = []
    for bar, dense in zip(bars, density, strict=True):
        if not bar.count:
            continue
        left = (bar.low - low) * scale if scale else (width - narrow) / 2
        wide = max((bar.high - bar.low) * scale, 1.0) if scale else narrow
        tall = max(dense / tallest * height, 1.0) if tallest else 0.0
        gap = min(1.0, wide / 4)
        way.append(f"M{left:.1f} {top + height}v-{tall:.1f}h{wide - gap:.1f}v{tall:.1f}z")
    most = max((bar.count for bar in bars), default=0.0)
    texts = [(f"most {most:,.0f}", 0, top - 3, ""), *_end_texts(ends, width, top + height + 12)]
    return Markup(
        '<svg class="histogram" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" '
        'aria-label="{label}"><path class="bars" d="{way}"/>'
        '<path class="axis" d="M0 {top}v{tall}h{w}"/>{texts}</svg>'
    ).format(
        w=width,
        h=top + height + 15,
        top=top,
        tall=height + 0.5,
        label=label,
        way=Markup("".join(way)),
        texts=Markup("").join(
            Markup('<text class="tick {}" x="{}" y="{}">{}</text>').format(anchor, x, y, text)
            for text, x, y, anchor in texts
        ),
    )


def _end_texts(
    ends: tuple[str, str], width: float, y: float
) -> list[tuple[str, float, float, str]]:
    """Return the words at the ends of an axis, cut so that they do not meet."""
    room = int(width / _SMALL_LETTER) - 2
    first, last = (len(text) for text in ends)
    while first + last > room:
        first, last = (first - 1, last) if first > last else (first, last - 1)
    cut = [
        text if len(text) <= most else f"{text[: max(most - 1, 0)]}…"
        for text, most in zip(ends, (first, last), strict=True)
    ]
    return [(cut[0], 0, y, ""), (cut[1], width, y, "end")]


def interval(
    value: float,
    lower: float | None,
    upper: float | None,
    domain: tuple[float, float],
    label: str,
    *,
    threshold: float | None = None,
    baseline: float | None = None,
) -> Markup:
    """Draw a value as a dot, with its interval, the threshold as a line, the baseline as a ring."""
    low, high = domain

    if math.isnan(value):
        return Markup("")

    # In percent, so that dots stay round however wide the picture is.
    def at(number: float) -> str:
        share = (min(max(number, low), high) - low) / (high - low) if high > low else 0.5
        return f"{2 + 96 * share:.2f}%"

    def line(kind: str, x1: str, x2: str, y1: int, y2: int) -> str:
        return f'<line class="{kind}" x1="{x1}" x2="{x2}" y1="{y1}" y2="{y2}"/>'

    parts = [line("axis", "0%", "100%", 10, 10)]
    if threshold is not None and low <= threshold <= high:
        parts.append(line("threshold", at(threshold), at(threshold), 1, 19))
    if lower is not None and upper is not None:
        parts.append(line("whisker", at(lower), at(upper), 10, 10))
        parts += [line("whisker", at(end), at(end), 6, 14) for end in (lower, upper)]
    if baseline is not None:
        parts.append(f'<circle class="baseline" cx="{at(baseline)}" cy="10" r="5"/>')
    if low <= value <= high:
        parts.append(f'<circle class="dot" cx="{at(value)}" cy="10" r="3.5"/>')
    else:
        # It lies beyond the edge, where the arrow points.
        parts.append(_arrow(at(value), -1 if value < low else 1))
    return Markup(
        '<svg class="interval" width="100%" height="20" role="img" aria-label="{label}">'
        "{parts}</svg>"
    ).format(label=label, parts=Markup("".join(parts)))


def _arrow(x: str, direction: int) -> str:
    way = f"M{6 * direction} 10L{-2 * direction} 5V15z"
    return f'<svg x="{x}" overflow="visible"><path class="dot" d="{way}"/></svg>'


@dataclass(frozen=True)
class Series:
    """A named line of a chart."""

    name: str
    points: tuple[tuple[float, float], ...]


def lines(series: Sequence[Series], label: str, x_title: str) -> Markup:
    """Draw lines over common axes; each has its dashes, its color and its name in the legend."""
    width, height = 360, 200
    right, top, bottom = 16, 12, 34
    points = [p for line in series for p in line.points if math.isfinite(p[1])]
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    # There is nothing between one step and the next.
    x_ticks = ticks(min(xs, default=0.0), max(xs, default=1.0), 4, least=1.0)
    y_ticks = ticks(min(ys, default=0.0), max(ys, default=1.0), 4)
    y_texts = [quantity(tick) for tick in y_ticks]
    left = max(28.0, 14 + _SMALL_LETTER * max(map(len, y_texts), default=0))
    x_at = _scale((min(xs, default=0.0), max(xs, default=1.0)), (left, width - right))
    y_at = _scale(
        (min([*ys, *y_ticks], default=0), max([*ys, *y_ticks], default=1)), (height - bottom, top)
    )
    parts = []
    for tick, told in zip(y_ticks, y_texts, strict=True):
        y = y_at(tick)
        parts.append(f'<path class="grid" d="M{left:.1f} {y:.1f}H{width - right}"/>')
        text = escape(told)
        parts.append(f'<text class="tick end" x="{left - 6:.1f}" y="{y + 4:.1f}">{text}</text>')
    for tick in x_ticks:
        if min(xs, default=0.0) <= tick <= max(xs, default=1.0):
            text = escape(quantity(tick))
            where = f'x="{x_at(tick):.1f}" y="{height - bottom + 16}"'
            parts.append(f'<text class="tick middle" {where}>{text}</text>')
    middle = (left + width - right) / 2
    parts.append(
        f'<text class="tick middle" x="{middle}" y="{height - 3}">{escape(x_title)}</text>'
    )
    for number, line in enumerate(series):
        drawn = [(x_at(x), y_at(y)) for x, y in line.points if math.isfinite(y)]
        way = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in drawn) if drawn else ""
        style = f'class="line line-{number % 6}" stroke-dasharray="{DASHES[number % 4]}"'
        if len(drawn) == 1:
            parts.append(f'<circle {style} cx="{drawn[0][0]:.1f}" cy="{drawn[0][1]:.1f}" r="3"/>')
        else:
            parts.append(f'<path {style} d="{way}"/>')
    return Markup(
        '<svg class="lines" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" '
        'aria-label="{label}">{parts}</svg>'
    ).format(w=width, h=height, label=label, parts=Markup("".join(parts)))


def legend(names: Sequence[str]) -> Markup:
    """Draw the samples of lines beside their names."""
    items = [
        Markup(
            '<li><svg width="28" height="8" aria-hidden="true"><path class="line line-{color}" '
            'stroke-dasharray="{dash}" d="M0 4H28"/></svg> {name}</li>'
        ).format(color=number % 6, dash=DASHES[number % 4], name=name)
        for number, name in enumerate(names)
    ]
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))


def _scale(domain: tuple[float, float], target: tuple[float, float]) -> Callable[[float], float]:
    (low, high), (start, end) = domain, target
    if high <= low:
        return lambda _: (start + end) / 2
    return lambda value: start + (value - low) / (high - low) * (end - start)


def ticks(low: float, high: float, most: int, least: float = 0.0) -> list[float]:
    """Return round numbers that cover a range, `least` apart and its multiples."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return []
    if high <= low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= rough * (1 - 1e-9))
    if least:
        step = max(least, math.ceil(step / least - 1e-9) * least)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [round(n * step, 12 - math.floor(math.log10(step))) for n in range(first, last + 1)]


def counted(states: Mapping[str, int]) -> str:
    """Return how many nodes are in which state, in words."""
    return ", ".join(f"{count} {state}" for state, count in states.items() if count)
