"""What monitors saw of a model over windows of time, as sections of charts and tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from markupsafe import Markup

from penstock.monitoring.measures import (
    ALARM,
    DRIFT,
    ERRORS,
    ESTIMATE,
    FAIRNESS,
    LATENCY,
    PERFORMANCE,
    PREDICTIONS,
    QUALITY,
    RESOURCES,
    SKEW,
    Measure,
    Window,
    WindowReport,
)
from penstock.report import timelines
from penstock.report.distributions import distribution
from penstock.report.timelines import Mark, Period, Point, Track
from penstock.report.wording import quantity, share

# So many charts a section has, the others are rows of a table.
MOST_CHARTS = 24
# Of all that is asked for at once no page has more.
MOST_CHARTS_OF_ALL = 500
# Versions of which each is a part of the charts; the others are one together.
_MOST_VERSIONS = 5
_OTHERS = "others"
# The words of what is measured, where the name says too little.
_TITLES = {
    QUALITY: "Quality",
    SKEW: "Skew",
    DRIFT: "Drift",
    PREDICTIONS: "Predictions",
    PERFORMANCE: "Performance",
    FAIRNESS: "Fairness",
    LATENCY: "Latency",
    ERRORS: "Errors",
    RESOURCES: "Resources",
}
_COMPARED = (DRIFT, PREDICTIONS, SKEW)
# What a search for features looks through.
_OF_FEATURES = (DRIFT, SKEW, QUALITY)
_JOINED = (LATENCY, ERRORS)
_NOTES = {
    DRIFT: "How far each feature is from the baseline, window by window, and its newest values.",
    PREDICTIONS: "How far what the model says is from what it said of the baseline.",
    SKEW: "How far what is asked is from what the model was trained on.",
    PERFORMANCE: "Vertical lines are 95 % intervals. Estimates have no labels to rest on: they are "
    "what the scores promise.",
    FAIRNESS: "The difference of the largest and the smallest share of the groups.",
    QUALITY: "The share of rows that are missing, unheard of or out of range.",
}


@dataclass(frozen=True)
class JudgedWindow:
    """A window, and what came of judging it; `report` is None where it cannot be read.

    `state` is fine, alarms, unknown or failed, or that it is being judged; `problem` says why it
    failed or cannot be read.
    """

    window: Window
    state: str
    why: str = ""
    run_id: str = ""
    rows: int = 0
    waiting: int = 0
    alarms: int = 0
    problem: str = ""
    versions: Mapping[str, int] = field(default_factory=dict)
    report: WindowReport | None = None

    @property
    def period(self) -> Period:
        """Its time."""
        return Period(self.window.begin, self.window.end)


@dataclass(frozen=True)
class RungAlert:
    """An alert of a monitor: `state` is open, over, or until when it is silenced."""

    name: str
    key: str
    severity: str
    summary: str
    state: str
    at: datetime
    is_open: bool
    subjects: tuple[str, ...] = ()
    words: str = ""


@dataclass(frozen=True)
class Seen:
    """What is known of a monitor: its windows in their order, and how many there are of it."""

    name: str
    windows: tuple[JudgedWindow, ...] = ()
    alerts: tuple[RungAlert, ...] = ()
    releases: tuple[Mark, ...] = ()
    total: int = 0

    @property
    def newest(self) -> JudgedWindow | None:
        """The newest window."""
        return self.windows[-1] if self.windows else None

    @property
    def open_alerts(self) -> tuple[RungAlert, ...]:
        """The alerts that are not over."""
        return tuple(alert for alert in self.alerts if alert.is_open)


@dataclass(frozen=True)
class Figure:
    """A chart with its title and legend; `note` is what the newest window says of it."""

    title: str
    chart: Markup
    legend: Markup = field(default_factory=Markup)
    note: str = ""
    is_alarm: bool = False
    beside: Markup = field(default_factory=Markup)
    beside_legend: Markup = field(default_factory=Markup)


@dataclass(frozen=True)
class Row:
    """What was measured last of something that has no chart."""

    subject: str
    name: str
    value: str
    limit: str
    state: str
    why: str


@dataclass(frozen=True)
class Section:
    """What was measured in one way; `rest` are what has no chart."""

    place: str
    title: str
    note: str
    figures: tuple[Figure, ...]
    rest: tuple[Row, ...] = ()
    alarms: int = 0


@dataclass(frozen=True)
class _Followed:
    """A measure over windows."""

    kind: str
    subject: str
    name: str
    measures: tuple[tuple[JudgedWindow, Measure], ...]

    @property
    def newest(self) -> Measure:
        return self.measures[-1][1]

    @property
    def is_alarm(self) -> bool:
        return self.newest.is_alarm

    @property
    def order(self) -> tuple[bool, bool, float, str, str]:
        """What is sorted by: alarms of the newest window, of others, then how near to one."""
        newest = self.newest
        ratio = (newest.value or 0.0) / newest.threshold if newest.threshold else newest.value or 0
        rang = any(measure.is_alarm for _, measure in self.measures)
        is_ranked = self.kind in (*_COMPARED, QUALITY)
        return (not newest.is_alarm, not rang, -ratio if is_ranked else 0.0, self.subject, "")

    def track(self, name: str, scale: float = 1.0) -> Track:
        return Track(
            name,
            tuple(
                Point(
                    window.period,
                    _scaled(measure.value, scale),
                    _scaled(measure.lower, scale),
                    _scaled(measure.upper, scale),
                    measure.is_alarm,
                )
                for window, measure in self.measures
            ),
            is_estimated=self.kind == ESTIMATE,
        )


def sections(seen: Seen, *, words: str = "", most: int = MOST_CHARTS) -> list[Section]:
    """Return what was measured, in sections with `most` charts each.

    With `words` those features alone whose names have them.
    """
    followed = _followed(seen)
    found = [_traffic(seen)] if any(window.rows for window in seen.windows) else []
    for kind, title in _TITLES.items():
        of_kind = [one for one in followed if one.kind == kind]
        if kind == PERFORMANCE:
            of_kind += [one for one in followed if one.kind == ESTIMATE]
        if kind in _OF_FEATURES:
            of_kind = [one for one in of_kind if _has_words(one.subject, words)]
        if of_kind:
            found.append(_section(kind, title, of_kind, seen, most))
    places = ("traffic", *(kind for kind in (LATENCY, ERRORS, *_COMPARED)), PERFORMANCE, FAIRNESS)
    order = {place: number for number, place in enumerate((*places, QUALITY, RESOURCES))}
    return sorted(found, key=lambda section: order[section.place])


def measures_in_rows(measures: Iterable[Measure]) -> list[Row]:
    """Return measures as rows of a table, the alarms first."""
    rows = [_row(measure) for measure in measures]
    return sorted(rows, key=lambda row: row.state != ALARM)


def _followed(seen: Seen) -> list[_Followed]:
    found: dict[tuple[str, str, str], list[tuple[JudgedWindow, Measure]]] = {}
    for window in seen.windows:
        for measure in window.report.measures if window.report else ():
            key = (measure.kind, measure.subject, measure.name)
            found.setdefault(key, []).append((window, measure))
    return [_Followed(*key, tuple(measures)) for key, measures in found.items()]


def _section(
    kind: str, title: str, followed: Sequence[_Followed], seen: Seen, most: int
) -> Section:
    groups: dict[tuple[str, str], list[_Followed]] = {}
    for one in followed:
        name = "" if kind in _JOINED else one.name
        groups.setdefault((one.subject, name), []).append(one)
    ordered = sorted(groups.values(), key=lambda group: min(one.order[:3] for one in group))
    drawn, rest = ordered[:most], ordered[most:]
    period = timelines.spanning([window.period for window in seen.windows])
    histograms = _histograms(seen) if kind in _COMPARED else {}
    figures = [_figure(kind, group, seen.releases, period, histograms) for group in drawn]
    return Section(
        kind,
        title,
        _NOTES.get(kind, ""),
        tuple(figures),
        tuple(_row(one.newest) for group in rest for one in group),
        sum(one.is_alarm for one in followed),
    )


def _figure(
    kind: str,
    group: Sequence[_Followed],
    releases: Sequence[Mark],
    period: Period,
    histograms: Mapping[str, Any],
) -> Figure:
    first = group[0]
    scale, unit = _unit(kind, first.name)
    name: Callable[[_Followed], str] = lambda one: _track_name(one, len(group))  # noqa: E731
    tracks = [one.track(name(one), scale) for one in group]
    limits = {one.newest.threshold * scale for one in group if one.newest.threshold is not None}
    references = {
        one.newest.reference * scale
        for one in group
        if one.newest.reference is not None and kind == PERFORMANCE
    }
    title = first.subject if kind in (*_COMPARED, *_JOINED) else f"{first.subject}, {first.name}"
    title = f"{title.replace('_', ' ') if kind in (FAIRNESS, RESOURCES) else title}{unit}"
    note = "; ".join(_told(one) for one in group)
    chart = timelines.over_time(
        tracks,
        f"{_TITLES[kind]} of {title} over time: {note}",
        limits=sorted(limits),
        references=sorted(references),
        marks=releases,
        period=period,
        far_limits=kind in _COMPARED,
    )
    histogram = histograms.get(first.subject)
    beside = distribution(histogram) if histogram is not None else Markup()
    needs_legend = len(tracks) > 1 or first.kind == ESTIMATE
    return Figure(
        title,
        chart,
        timelines.legend(tracks) if needs_legend else Markup(),
        note,
        any(one.is_alarm for one in group),
        beside,
        timelines.beside_legend("the newest window", "the baseline") if beside else Markup(),
    )


def _histograms(seen: Seen) -> dict[str, Any]:
    newest = next((w.report for w in reversed(seen.windows) if w.report is not None), None)
    return {each.subject: each for each in newest.histograms} if newest else {}


def _traffic(seen: Seen) -> Section:
    periods = [window for window in seen.windows if window.rows]
    names = _versions(periods)
    period = timelines.spanning([window.period for window in seen.windows])
    requests = [(w.period, [_requests(w)]) for w in periods]
    has_requests = any(w.report and w.report.facts.get("traffic") for w in periods)
    rows = [(w.period, [float(w.rows)]) for w in periods]
    shares = [(w.period, _shares(w, names)) for w in periods]
    newest = periods[-1]
    figures = [
        Figure(
            "Rows",
            timelines.stacked(
                ["rows"],
                rows,
                f"Rows by window, {newest.rows:,} in the newest",
                marks=seen.releases,
                period=period,
            ),
            note=f"{newest.rows:,} in the newest window",
        )
    ]
    if has_requests:
        count = requests[-1][1][0]
        figures.append(
            Figure(
                "Requests",
                timelines.stacked(
                    ["requests"],
                    requests,
                    f"Requests by window, {count:,.0f} in the newest",
                    marks=seen.releases,
                    period=period,
                ),
                note=f"{count:,.0f} in the newest window",
            )
        )
    if names:
        told = ", ".join(
            f"{name} {share(part, 1.0)}"
            for name, part in zip(names, shares[-1][1], strict=True)
            if part
        )
        figures.append(
            Figure(
                "Versions",
                timelines.stacked(
                    names,
                    shares,
                    f"Shares of versions by window, in the newest {told}",
                    marks=seen.releases,
                    period=period,
                    is_share=True,
                ),
                timelines.parts_legend(names),
                f"In the newest window: {told}",
            )
        )
    return Section("traffic", "Traffic", "", (*figures, *_within(seen)))


def _within(seen: Seen) -> list[Figure]:
    """Draw what the server measured within the newest window that it measured."""
    window = next(
        (w for w in reversed(seen.windows) if w.report and w.report.facts.get("traffic")), None
    )
    if window is None or window.report is None:
        return []
    series = window.report.facts["traffic"]
    begins = [datetime.fromisoformat(part["begin"]) for part in series]
    ends = [*begins[1:], window.window.end]
    parts = list(zip(map(Period, begins, ends), series, strict=True))
    bars = [(period, [float(part["requests"])]) for period, part in parts]
    seconds = [
        Track(
            name,
            tuple(Point(period, _scaled(part.get(name), 1000)) for period, part in parts),
        )
        for name in ("p50", "p99")
    ]
    key = window.window.key
    return [
        Figure(
            f"Requests within {key}",
            timelines.stacked(["requests"], bars, f"Requests within the window {key}"),
        ),
        Figure(
            f"Latency within {key} in ms",
            timelines.over_time(seconds, f"Latency within the window {key}, in ms"),
            timelines.legend(seconds),
        ),
    ]


def _requests(window: JudgedWindow) -> float:
    series = window.report.facts.get("traffic", ()) if window.report else ()
    return float(sum(part["requests"] for part in series))


def _versions(windows: Sequence[JudgedWindow]) -> list[str]:
    """Return the names of the parts: the versions that answered most, and the others."""
    counts: dict[str, int] = {}
    for window in windows:
        for version, rows in window.versions.items():
            counts[version] = counts.get(version, 0) + rows
    most = sorted(counts, key=lambda version: -counts[version])[:_MOST_VERSIONS]
    names = [f"version {version}" for version in sorted(most, key=_by_number)]
    return [*names, _OTHERS] if len(counts) > len(most) else names


def _by_number(version: str) -> tuple[int, str]:
    return (int(version) if version.isdecimal() else 0, version)


def _shares(window: JudgedWindow, names: Sequence[str]) -> list[float]:
    total = sum(window.versions.values()) or 1
    shares = [
        window.versions.get(name.removeprefix("version "), 0) / total
        for name in names
        if name != _OTHERS
    ]
    return [*shares, max(0.0, 1 - sum(shares))] if _OTHERS in names else shares


def _track_name(one: _Followed, count: int) -> str:
    if one.kind == ESTIMATE:
        return "estimate, without labels"
    if one.kind == PERFORMANCE:
        return "measured, with labels"
    return _plain_name(one.name) if count > 1 else one.name


def _plain_name(name: str) -> str:
    return name.removesuffix("_seconds").replace("_", " ")


def _told(one: _Followed) -> str:
    measure = one.newest
    name = f"estimate of {measure.name}" if one.kind == ESTIMATE else _plain_name(measure.name)
    text = f"{name} {_value(measure, measure.value)}"
    if measure.lower is not None and measure.upper is not None:
        lower, upper = (_value(measure, bound) for bound in (measure.lower, measure.upper))
        text += f" ({lower} to {upper})"
    if measure.threshold is not None:
        text += f", limit {_value(measure, measure.threshold)}"
    if measure.reference is not None and one.kind == PERFORMANCE:
        text += f", {_value(measure, measure.reference)} when it was evaluated"
    says_more = measure.why and one.kind not in (LATENCY, RESOURCES)
    return f"{text}: {measure.why}" if says_more else text


def _row(measure: Measure) -> Row:
    return Row(
        measure.subject,
        measure.name,
        _value(measure, measure.value),
        "" if measure.threshold is None else _value(measure, measure.threshold),
        measure.state,
        measure.why,
    )


def _unit(kind: str, name: str) -> tuple[float, str]:
    """Return by what a value is multiplied for people, and what is said of it then."""
    if name.endswith("_seconds"):
        return 1000.0, " in ms"
    if kind in (QUALITY, ERRORS):
        return 100.0, " in %"
    return 1.0, ""


def _value(measure: Measure, value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "not known"
    if measure.name.endswith("_seconds"):
        return f"{value * 1000:.3g} ms"
    if measure.kind in (QUALITY, ERRORS):
        return share(value, 1.0)
    return quantity(float(f"{value:.4g}"))


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale


def _has_words(subject: str, words: str) -> bool:
    return all(word in subject.casefold() for word in words.casefold().split())
