"""Judged windows of monitors in a store, with reports of every kind, without logs and runs."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from penstock.metadata.alerts import Alert, End, raise_alert
from penstock.monitoring import measures
from penstock.monitoring.measures import (
    ALARM,
    FINE,
    Histogram,
    Measure,
    Window,
    WindowReport,
    write_report,
)
from penstock.operations.monitors import records
from penstock.operations.monitors.records import Summary

BEGIN = datetime(2026, 5, 1, tzinfo=UTC)
HOSTILE = "<script>alert('x')</script>"


def window(number: int, length: timedelta = timedelta(days=1)) -> Window:
    """Return one of windows in a row."""
    begin = BEGIN + number * length
    return Window(begin, begin + length, number, number)


def report(number: int, features: int = 3, **options: Any) -> WindowReport:
    """Return what was measured in one of windows in a row; the last features drift after a week."""
    within = window(number, **options)
    wave = math.sin(number / 3)
    drifts = [min(0.3, 0.012 * max(0, number - 7) * n / features + 0.002) for n in range(features)]
    names = ["distance", HOSTILE, *(f"column_{n:03d}" for n in range(2, features))][:features]
    found = [
        Measure(
            measures.DRIFT,
            name,
            "js",
            drift,
            ALARM if drift > 0.02 else FINE,
            f"its median is {50 + 100 * drift:.3g} where it was 50",
            threshold=0.02,
        )
        for name, drift in zip(names, drifts, strict=True)
    ]
    found += [
        Measure(measures.PREDICTIONS, "score", "js", 0.004 + 0.002 * wave, threshold=0.02),
        Measure(measures.QUALITY, "distance", "missing", 0.002 + abs(wave) / 500, threshold=0.01),
        Measure(measures.LATENCY, "all answers", "p50_seconds", 0.011, lower=0.010, upper=0.012),
        Measure(measures.LATENCY, "all answers", "p99_seconds", 0.05 + wave / 100, threshold=0.2),
        Measure(measures.ERRORS, "all answers", "error_share", 0.001, threshold=0.01),
        Measure(measures.RESOURCES, "all processes", "memory_megabytes", 410.0 + 9 * wave),
        Measure(measures.RESOURCES, "all processes", "busy_cores", 0.7 + wave / 5),
        Measure(measures.FAIRNESS, "city", "selection_rate_difference", 0.05, threshold=0.2),
        *_performance(number, wave),
    ]
    histograms = [
        Histogram(
            name,
            tuple(f"bin {n}" for n in range(10)),
            _shares(drift),
            (0.1,) * 10,
            tuple(float(n) for n in range(11)),
        )
        for name, drift in zip(names, drifts, strict=True)
    ]
    parts = [
        {
            "begin": (within.begin + n * (within.end - within.begin) / 24).isoformat(),
            "requests": 40 + 30 * math.sin(n / 4),
            "p50": 0.01,
            "p99": 0.04 + n / 1000,
        }
        for n in range(24)
    ]
    share = min(1.0, max(0.0, (number - 5) / 3))
    versions = {"3": round(1000 * (1 - share)), "4": round(1000 * share)}
    return WindowReport(
        within,
        1000,
        {version: rows for version, rows in versions.items() if rows},
        tuple(found),
        tuple(histograms),
        {"traffic": parts, "labeled": 700, "waiting": 300 if number > 9 else 0},
    )


def _shares(drift: float) -> tuple[float, ...]:
    """Return shares that are the farther from even ones the larger the drift is."""
    weights = [1 + (n - 4.5) * 4 * drift for n in range(10)]
    return tuple(weight / sum(weights) for weight in weights)


def _performance(number: int, wave: float) -> list[Measure]:
    known = 0.8 + wave / 50
    measured = Measure(
        measures.PERFORMANCE,
        "all rows",
        "AUC",
        known if number < 10 else None,
        FINE if number < 10 else measures.UNKNOWN,
        lower=known - 0.02 if number < 10 else None,
        upper=known + 0.02 if number < 10 else None,
        reference=0.82,
        threshold=0.74,
    )
    estimate = Measure(
        measures.ESTIMATE,
        "all rows",
        "AUC",
        0.79 + wave / 60,
        why="estimated from scores, without labels",
    )
    return [measured, estimate]


def judge(store: Any, folder: Path, monitor: str, seen: WindowReport, run_id: str = "r") -> Path:
    """Write that a window was judged, with its report in a folder, which is returned."""
    content = {"why": "it is over, and was not judged yet", "fingerprint": "f", "model": "m"}
    intended = records.intend(store, monitor, seen.window, content, who="ann")
    place = folder / monitor / seen.window.begin.strftime("%Y%m%d%H")
    place.mkdir(parents=True, exist_ok=True)
    write_report(str(place), seen)
    summary = records.summary_as_json(Summary.of(seen, [str(place)]))
    records.conclude(store, intended, run_id=run_id, summary=summary)
    return place


def write(store: Any, folder: Path, monitor: str, windows: int, **options: Any) -> None:
    """Write judged windows in a row."""
    for number in range(windows):
        judge(store, folder, monitor, report(number, **options))


def ring(store: Any, monitor: str, key: str, summary: str, *, is_over: bool = False) -> None:
    """Raise an alert of a monitor."""
    at = BEGIN + timedelta(days=9)
    end = End(at + timedelta(days=1), "ann", "it is fine again") if is_over else None
    data = {"monitor": monitor, "subjects": ["distance"]}
    raise_alert(store, Alert(f"{monitor}.drift", key, summary, at, data=data), who="m", end=end)
