"""Charts over windows of time as inline SVG, from plain values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup

from penstock.report.charts import ticks
from penstock.report.wording import quantity, share

WIDTH, HEIGHT = 352, 156
_RIGHT, _TOP, _BOTTOM = 12, 20, 24
# How wide a letter of an axis is at most.
_LETTER = 6.8
_DASHES = ("", "6 3", "2 3", "8 3 2 3")
_COLORS = 6
# Of more points the line alone is drawn, and what is an alarm.
_MOST_DOTS = 100
# A limit that is farther away would press all values into a line.
_FARTHEST_LIMIT = 4.0


@dataclass(frozen=True)
class Period:
    """The time of a window, from `begin` to before `end`."""

    begin: datetime
    end: datetime

    @property
    def middle(self) -> float:
        """Its middle, in seconds since 1970."""
        return (self.begin.timestamp() + self.end.timestamp()) / 2


@dataclass(frozen=True)
class Point:
    """What a window has of a track; `value` is None where nothing is known of it."""

    period: Period
    value: float | None
    lower: float | None = None
    upper: float | None = None
    is_alarm: bool = False


@dataclass(frozen=True)
class Track:
    """A named line over windows; one that is `estimated` is thin, with rings for its points."""

    name: str
    points: tuple[Point, ...]
    is_estimated: bool = False


@dataclass(frozen=True)
class Mark:
    """Something that happened at a time, as the release of a version."""

    at: datetime
    text: str
    told: str = ""


@dataclass(frozen=True)
class Axes:
    """Where values and times are in a chart, and what is drawn of that."""

    x: Callable[[float], float]
    y: Callable[[float], float]
    left: float
    drawn: Markup


def over_time(
    tracks: Sequence[Track],
    label: str,
    *,
    limits: Sequence[float] = (),
    references: Sequence[float] = (),
    marks: Sequence[Mark] = (),
    period: Period | None = None,
    far_limits: bool = False,
) -> Markup:
    """Draw tracks with their intervals; limits are dashed lines, references dotted ones.

    Alarms are filled diamonds. A limit that is far from all values is left out, unless `far_limits`
    are asked for.
    """
    points = [point for track in tracks for point in track.points if _is_known(point.value)]
    values = [_number(point.value) for point in points]
    bounds = [_number(bound) for p in points for bound in (p.lower, p.upper) if _is_known(bound)]
    near = [n for n in (*limits, *references) if far_limits or _is_near(n, values)]
    shown = period or spanning([point.period for track in tracks for point in track.points])
    axes = _axes([*values, *bounds, *near], shown)
    parts = [axes.drawn, _marks(marks, shown, axes)]
    for kind, lines in (("limit", limits), ("reference", references)):
        parts += [
            Markup('<path class="{}" d="M{:.1f} {:.1f}H{}"/>').format(
                kind, axes.left, axes.y(line), WIDTH - _RIGHT
            )
            for line in lines
            if line in near
        ]
    parts += [_track(track, number, axes) for number, track in enumerate(tracks)]
    return _svg("timeline", label, parts)


def stacked(
    names: Sequence[str],
    bars: Sequence[tuple[Period, Sequence[float]]],
    label: str,
    *,
    marks: Sequence[Mark] = (),
    period: Period | None = None,
    is_share: bool = False,
) -> Markup:
    """Draw a bar for each window, of parts in the order of their names."""
    shown = period or spanning([period for period, _ in bars])
    tallest = max((sum(parts) for _, parts in bars), default=0.0)
    axes = _axes([0.0, 1.0 if is_share else tallest], shown, is_share=is_share)
    drawn = []
    for of_period, parts in bars:
        left = axes.x(of_period.begin.timestamp())
        wide = axes.x(of_period.end.timestamp()) - left
        gap = min(2.0, wide / 5)
        below = 0.0
        for number, (name, part) in enumerate(zip(names, parts, strict=True)):
            if part <= 0:
                continue
            top, bottom = axes.y(below + part), axes.y(below)
            below += part
            told = share(part, 1.0) if is_share else quantity(part)
            drawn.append(
                Markup(
                    '<rect class="fill-{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
                    "<title>{}, {:%Y-%m-%d %H:%M}: {}</title></rect>"
                ).format(
                    number % _COLORS,
                    left + gap / 2,
                    top,
                    max(wide - gap, 0.5),
                    # A line between parts, so that no color is needed to tell where one ends.
                    max(bottom - top - (1.0 if below > part else 0.0), 0.5),
                    name,
                    of_period.begin,
                    told,
                )
            )
    return _svg("timeline", label, [axes.drawn, *drawn, _marks(marks, shown, axes)])


def beside(
    shares: Sequence[float], reference: Sequence[float], label: str, ends: tuple[str, str]
) -> Markup:
    """Draw the shares of bins as bars, and those of what they are compared with as a line."""
    top, bottom, left = 18, 22, 1.0
    low = HEIGHT - bottom
    count = max(len(shares), len(reference), 1)
    step = (WIDTH - 2 * left) / count
    most = max((*shares, *reference), default=0.0) or 1.0

    def y(value: float) -> float:
        return low - value / most * (low - top)

    bars = "".join(
        f"M{left + n * step + step * 0.1:.1f} {low}V{y(value):.1f}h{step * 0.8:.1f}V{low}z"
        for n, value in enumerate(shares)
        if value > 0
    )
    way = "".join(
        f"{'L' if n else 'M'}{left + n * step:.1f} {y(value):.1f}h{step:.1f}"
        for n, value in enumerate(reference)
    )
    texts = [
        _text(f"most {share(most, 1.0)}", left, top - 6, ""),
        _text(_cut(ends[0], WIDTH / 2), left, HEIGHT - 6, ""),
        _text(_cut(ends[1], WIDTH / 2 - 8), WIDTH - left, HEIGHT - 6, "end"),
    ]
    parts = [
        Markup('<path class="bars" d="{}"/>').format(bars),
        Markup('<path class="baseline" d="{}"/>').format(way),
        Markup('<path class="axis" d="M{} {}H{}"/>').format(left, low, WIDTH - left),
        *texts,
    ]
    return _svg("timeline", label, parts)


def legend(tracks: Sequence[Track]) -> Markup:
    """Draw the samples of tracks beside their names."""
    return _legend(
        (
            track.name,
            Markup('<path class="{}" stroke-dasharray="{}" d="M0 5H28"/>{}').format(
                _class(number, track),
                _dashes(number, track),
                Markup('<circle class="{} ring" cx="14" cy="5" r="3"/>').format(
                    f"line-{number % _COLORS}"
                )
                if track.is_estimated
                else "",
            ),
        )
        for number, track in enumerate(tracks)
    )


def parts_legend(names: Sequence[str]) -> Markup:
    """Draw the colors of a stacked chart beside the names of its parts."""
    return _legend(
        (name, Markup('<rect class="fill-{}" width="28" height="10"/>').format(number % _COLORS))
        for number, name in enumerate(names)
    )


def beside_legend(now: str, before: str) -> Markup:
    """Draw what the bars and the line of `beside` are."""
    return _legend(
        (
            (now, Markup('<rect class="bars" width="28" height="10"/>')),
            (before, Markup('<path class="baseline" d="M0 5H28"/>')),
        )
    )


def spanning(periods: Sequence[Period]) -> Period:
    """Return the time from the first to the last of some periods; the epoch where there is none."""
    if not periods:
        start = datetime.fromtimestamp(0).astimezone()
        return Period(start, start + timedelta(days=1))
    return Period(min(p.begin for p in periods), max(p.end for p in periods))


def _axes(values: Sequence[float], period: Period, *, is_share: bool = False) -> Axes:
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low > 0 and (high <= low or high - low > 0.5 * high):
        low = 0.0  # a difference that is large beside the values is shown with its zero
    if high <= low:
        high = low + (abs(low) * 0.1 or 1.0)
    steps = ticks(low, high, 3)
    texts = [f"{100 * step:g} %" if is_share else quantity(step) for step in steps]
    left = max(30.0, 10 + _LETTER * max(map(len, texts), default=0))
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    bounds = min([low, *steps]), max([high, *steps])
    begin, end = period.begin.timestamp(), period.end.timestamp()

    def x(at: float) -> float:
        return left + (at - begin) / max(end - begin, 1e-9) * (right - left)

    def y(value: float) -> float:
        return bottom - (value - bounds[0]) / (bounds[1] - bounds[0]) * (bottom - _TOP)

    parts = []
    for step, text in zip(steps, texts, strict=True):
        at = y(step)
        parts.append(Markup('<path class="grid" d="M{:.1f} {:.1f}H{}"/>').format(left, at, right))
        parts.append(_text(text, left - 6, at + 4, "end"))
    times = _times(period)
    for number, time in enumerate(times):
        anchor = "" if number == 0 else "end" if number == len(times) - 1 else "middle"
        parts.append(_text(_moment(time, period), x(time.timestamp()), HEIGHT - 6, anchor))
    return Axes(x, y, left, Markup("").join(parts))


def _times(period: Period) -> list[datetime]:
    length = period.end - period.begin
    return [period.begin, period.begin + length / 2, period.end]


def _moment(time: datetime, period: Period) -> str:
    """Return a time of an axis: how exact it is depends on how long the axis is."""
    length = period.end - period.begin
    if length > timedelta(days=400):
        return time.strftime("%Y-%m")
    if length >= timedelta(days=4):
        return time.strftime("%m-%d")
    return time.strftime("%m-%d %H:%M")


def _marks(marks: Sequence[Mark], period: Period, axes: Axes) -> Markup:
    """Draw marks as vertical lines; one whose words would meet those before has none."""
    drawn, taken = [], -math.inf
    for mark in sorted(marks, key=lambda mark: mark.at):
        if not period.begin <= mark.at <= period.end:
            continue
        at = axes.x(mark.at.timestamp())
        drawn.append(
            Markup(
                '<path class="halo" d="{way}"/><path class="mark" d="{way}"><title>{told}</title>'
                "</path>"
            ).format(way=f"M{at:.1f} {_TOP - 4}V{HEIGHT - _BOTTOM}", told=mark.told or mark.text)
        )
        wide = len(mark.text) * _LETTER
        left = min(max(at - wide / 2, 0.0), WIDTH - wide)
        if left < taken:
            continue
        taken = left + wide + 6
        drawn.append(
            Markup('<text class="tick" x="{:.1f}" y="{}">{}</text>').format(
                left, _TOP - 8, mark.text
            )
        )
    return Markup("").join(drawn)


def _track(track: Track, number: int, axes: Axes) -> Markup:
    parts = []
    color = f"line-{number % _COLORS}"
    for run in _runs(track.points):
        drawn = [(axes.x(p.period.middle), axes.y(_number(p.value)), p) for p in run]
        bounded = [
            (x, axes.y(_number(p.lower)), axes.y(_number(p.upper)))
            for x, _, p in drawn
            if _is_known(p.lower) and _is_known(p.upper)
        ]
        parts += [
            Markup('<path class="range {}" d="M{:.1f} {:.1f}V{:.1f}"/>').format(color, x, low, high)
            for x, low, high in bounded
        ]
        if len(drawn) > 1:
            way = "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in drawn)
            parts.append(
                Markup('<path class="{}" stroke-dasharray="{}" d="M{}"/>').format(
                    _class(number, track), _dashes(number, track), way
                )
            )
        has_dots = len(track.points) <= _MOST_DOTS or len(drawn) == 1
        for x, y, point in drawn:
            if has_dots or point.is_alarm:
                parts.append(_dot(x, y, point, track, color))
    return Markup("").join(parts)


def _dot(x: float, y: float, point: Point, track: Track, color: str) -> Markup:
    told = f"{track.name}, {point.period.begin:%Y-%m-%d %H:%M}: {quantity(_number(point.value))}"
    if point.is_alarm:
        return Markup(
            '<path class="alarm" d="M{x:.1f} {top:.1f}l5 5l-5 5l-5 -5z"><title>{told}, alarm'
            "</title></path>"
        ).format(x=x, top=y - 5, told=told)
    kind = "ring" if track.is_estimated else "dot"
    return Markup(
        '<circle class="{} {}" cx="{:.1f}" cy="{:.1f}" r="{}"><title>{}</title></circle>'
    ).format(color, kind, x, y, 3 if track.is_estimated else 2, told)


def _runs(points: Sequence[Point]) -> list[list[Point]]:
    """Return the points that are joined: where something is not known, the line is broken."""
    runs: list[list[Point]] = [[]]
    for point in sorted(points, key=lambda point: point.period.begin):
        if not _is_known(point.value):
            runs.append([])
        else:
            runs[-1].append(point)
    return [run for run in runs if run]


def _class(number: int, track: Track) -> str:
    return f"line line-{number % _COLORS}{' estimated' if track.is_estimated else ''}"


def _dashes(number: int, track: Track) -> str:
    return "2 4" if track.is_estimated else _DASHES[number % len(_DASHES)]


def _legend(items: Iterable[tuple[str, Markup]]) -> Markup:
    listed = [
        Markup('<li><svg width="28" height="10" aria-hidden="true">{}</svg> {}</li>').format(
            sample, name
        )
        for name, sample in items
    ]
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(listed))


def _text(text: str, x: float, y: float, anchor: str) -> Markup:
    return Markup('<text class="tick {}" x="{:.1f}" y="{:.1f}">{}</text>').format(
        anchor, x, y, text
    )


def _cut(text: str, room: float) -> str:
    most = max(int(room / _LETTER), 2)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _svg(kind: str, label: str, parts: Sequence[Markup | str]) -> Markup:
    return Markup(
        '<svg class="{kind}" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" '
        'aria-label="{label}">{parts}</svg>'
    ).format(kind=kind, w=WIDTH, h=HEIGHT, label=label, parts=Markup("").join(parts))


def _is_known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _number(value: float | None) -> float:
    assert value is not None
    return value


def _is_near(limit: float, values: Sequence[float]) -> bool:
    """Return whether a limit can be drawn together with values."""
    if not math.isfinite(limit):
        return False
    low, high = min(values, default=limit), max(values, default=limit)
    if low <= limit <= high:
        return True
    return limit - high <= _FARTHEST_LIMIT * max(abs(high), abs(low)) and low - limit <= (
        _FARTHEST_LIMIT * max(abs(high), abs(low))
    )
