"""Rows, requests and versions over windows of time, as charts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from penstock.report import timelines
from penstock.report.monitored import Figure, JudgedWindow, Section, Seen
from penstock.report.timelines import Period, Point, Track
from penstock.report.wording import share

# Versions of which each is a part of the charts; the others are one together.
_MOST_VERSIONS = 5
_OTHERS = "others"


def traffic(seen: Seen) -> Section:
    """Return what was asked: there is a window with rows."""
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
            tuple(Point(period, _milliseconds(part.get(name))) for period, part in parts),
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


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
