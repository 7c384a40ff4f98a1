"""What was measured over windows of time, as sections of charts and tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

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
    Histogram,
    Measure,
)
from penstock.report import timelines
from penstock.report.distributions import distribution
from penstock.report.monitor_traffic import traffic
from penstock.report.monitored import Figure, JudgedWindow, Row, Section, Seen
from penstock.report.timelines import Point, Track
from penstock.report.wording import quantity, share, utc_minute

# So many charts a section has, the others are rows of a table.
MOST_CHARTS = 24
# Of all that is asked for at once no page has more.
MOST_CHARTS_OF_ALL = 500
_COMPARED = (DRIFT, PREDICTIONS, SKEW)
# What a search for features looks through.
_OF_FEATURES = (DRIFT, SKEW, QUALITY)
# Of these all that is measured of a subject is one chart.
_JOINED = (LATENCY, ERRORS)


@dataclass(frozen=True)
class _Topic:
    """A section to be: its title and what is measured for it."""

    title: str
    kinds: tuple[str, ...]
    note: str = ""


_TOPICS = (
    _Topic("Latency and errors", (LATENCY, ERRORS)),
    _Topic(
        "Drift",
        (DRIFT,),
        "How far each feature is from the baseline, window by window, and its newest values.",
    ),
    _Topic(
        "Predictions",
        (PREDICTIONS,),
        "How far what the model says is from what it said of the baseline.",
    ),
    _Topic("Skew", (SKEW,), "How far what is asked is from what the model was trained on."),
    _Topic(
        "Performance",
        (PERFORMANCE, ESTIMATE),
        "Upright strokes are 95 % intervals. Estimates rest on no labels: they are what the scores "
        "promise.",
    ),
    _Topic(
        "Fairness",
        (FAIRNESS,),
        "The difference of the largest and the smallest share of the groups.",
    ),
    _Topic(
        "Quality",
        (QUALITY,),
        "The share of rows that are missing, unheard of or out of range.",
    ),
    _Topic("Resources", (RESOURCES,)),
)


@dataclass(frozen=True)
class _Followed:
    """A measure over windows: None where a window has none."""

    kind: str
    subject: str
    name: str
    measures: tuple[tuple[JudgedWindow, Measure | None], ...]

    @property
    def newest(self) -> tuple[JudgedWindow, Measure]:
        """The newest window of which a value is known, or else one of which it is not."""
        found = [(window, measure) for window, measure in self.measures if measure is not None]
        known = [(window, measure) for window, measure in found if measure.value is not None]
        return (known or found)[-1]

    @property
    def is_alarm(self) -> bool:
        """Whether it is one in the newest window that could be read."""
        last = next((m for window, m in reversed(self.measures) if window.report), None)
        return last is not None and last.is_alarm

    @property
    def order(self) -> tuple[bool, bool, float]:
        """What is sorted by: alarms of the newest window, of others, then how near to one."""
        rang = any(measure.is_alarm for _, measure in self.measures if measure is not None)
        _, newest = self.newest
        ratio = (newest.value or 0.0) / (newest.threshold or 1.0)
        return (not self.is_alarm, not rang, -ratio if self.kind in (*_COMPARED, QUALITY) else 0.0)

    def track(self, name: str, scale: float) -> Track:
        """Return it as a line."""
        points = tuple(_point(window, measure, scale) for window, measure in self.measures)
        return Track(name, points, is_estimated=self.kind == ESTIMATE)


def sections(seen: Seen, *, words: str = "", most: int = MOST_CHARTS) -> list[Section]:
    """Return what was measured, in sections with `most` charts each.

    With `words` those features alone whose names have them.
    """
    followed = [
        one
        for one in _followed(seen)
        if one.kind not in _OF_FEATURES or _has_words(one.subject, words)
    ]
    found = [traffic(seen)] if any(window.rows for window in seen.windows) else []
    for topic in _TOPICS:
        of_topic = [one for one in followed if one.kind in topic.kinds]
        if of_topic:
            found.append(_section(topic, of_topic, seen, most))
    return found


def measures_in_rows(measures: Iterable[Measure]) -> list[Row]:
    """Return measures as rows of a table, the alarms first."""
    rows = [_row(measure) for measure in measures]
    return sorted(rows, key=lambda row: row.state != ALARM)


def _followed(seen: Seen) -> list[_Followed]:
    found: dict[tuple[str, str, str], dict[int, Measure]] = {}
    for number, window in enumerate(seen.windows):
        for measure in window.report.measures if window.report else ():
            key = (measure.kind, measure.subject, measure.name)
            found.setdefault(key, {})[number] = measure
    return [
        _Followed(*key, tuple((w, measures.get(n)) for n, w in enumerate(seen.windows)))
        for key, measures in found.items()
    ]


def _section(topic: _Topic, followed: Sequence[_Followed], seen: Seen, most: int) -> Section:
    groups: dict[tuple[str, str, str], list[_Followed]] = {}
    for one in followed:
        # An estimate stands with what it is an estimate of.
        kind = PERFORMANCE if one.kind == ESTIMATE else one.kind
        name = "" if kind in _JOINED else one.name
        groups.setdefault((kind, one.subject, name), []).append(one)
    ordered = sorted(groups.values(), key=lambda group: min(one.order for one in group))
    histograms = _histograms(seen)
    return Section(
        topic.kinds[0],
        topic.title,
        topic.note,
        tuple(_figure(group, seen, histograms) for group in ordered[:most]),
        tuple(_row(one.newest[1]) for group in ordered[most:] for one in group),
        sum(one.is_alarm for one in followed),
    )


def _figure(group: Sequence[_Followed], seen: Seen, histograms: Mapping[str, Histogram]) -> Figure:
    kind, subject = group[0].kind, group[0].subject
    scale, unit = _unit(kind, group[0].name)
    tracks = [one.track(_track_name(one), scale) for one in group]
    newest = [one.newest[1] for one in group]
    limits = {m.threshold * scale for m in newest if m.threshold is not None}
    references = {m.reference * scale for m in newest if m.reference is not None}
    title = _title(group[0]) + unit
    note = "; ".join(_told(one, seen) for one in group)
    chart = timelines.over_time(
        tracks,
        f"{title} over time: {note}",
        limits=sorted(limits),
        references=sorted(references) if kind in (PERFORMANCE, ESTIMATE) else (),
        marks=seen.releases,
        period=timelines.spanning([window.period for window in seen.windows]),
        far_limits=kind in (*_COMPARED, FAIRNESS),
    )
    histogram = histograms.get(subject) if kind in _COMPARED else None
    beside = distribution(histogram) if histogram is not None else Markup()
    needs_legend = len(tracks) > 1 or kind == ESTIMATE
    return Figure(
        title,
        chart,
        timelines.legend(tracks) if needs_legend else Markup(),
        note,
        any(one.is_alarm for one in group),
        beside,
        timelines.beside_legend("the newest window", "the baseline") if beside else Markup(),
    )


def _point(window: JudgedWindow, measure: Measure | None, scale: float) -> Point:
    if measure is None:
        return Point(window.period, None)
    value, lower, upper = (
        None if bound is None else bound * scale
        for bound in (measure.value, measure.lower, measure.upper)
    )
    return Point(window.period, value, lower, upper, measure.is_alarm)


def _histograms(seen: Seen) -> dict[str, Histogram]:
    newest = next((w.report for w in reversed(seen.windows) if w.report is not None), None)
    return {each.subject: each for each in newest.histograms} if newest else {}


def _title(one: _Followed) -> str:
    if one.kind in _JOINED:
        return f"{one.kind.capitalize()} of {one.subject}"
    if one.kind in _COMPARED:
        return one.subject
    name = one.name.replace("_", " ") if one.kind in (FAIRNESS, RESOURCES) else one.name
    return f"{one.subject}, {name}"


def _track_name(one: _Followed) -> str:
    if one.kind == ESTIMATE:
        return "estimate, without labels"
    return "measured, with labels" if one.kind == PERFORMANCE else _plain_name(one.name)


def _plain_name(name: str) -> str:
    return name.removesuffix("_seconds").replace("_", " ")


def _told(one: _Followed, seen: Seen) -> str:
    """Return what is known of a measure last, in words."""
    window, measure = one.newest
    name = f"estimate of {measure.name}" if one.kind == ESTIMATE else _plain_name(measure.name)
    text = f"{name} {_value(measure, measure.value)}"
    if measure.lower is not None and measure.upper is not None:
        lower, upper = (_value(measure, bound) for bound in (measure.lower, measure.upper))
        text += f" ({lower} to {upper})"
    if seen.windows and window is not seen.windows[-1]:
        text += f" in the window from {utc_minute(window.window.begin)}"
    if measure.threshold is not None:
        text += f", limit {_value(measure, measure.threshold)}"
    if measure.reference is not None and one.kind == PERFORMANCE:
        text += f", {_value(measure, measure.reference)} when it was evaluated"
    # What those two say is in the numbers.
    return (
        f"{text}: {measure.why}" if measure.why and one.kind not in (LATENCY, RESOURCES) else text
    )


def _row(measure: Measure) -> Row:
    return Row(
        measure.kind,
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


def _has_words(subject: str, words: str) -> bool:
    return all(word in subject.casefold() for word in words.casefold().split())
