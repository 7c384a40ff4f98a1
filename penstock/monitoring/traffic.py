"""What a server's own measures say of a window: answers, errors, seconds, and what it took."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.monitoring import intervals
from penstock.monitoring.distances import share_chance
from penstock.monitoring.measures import (
    ALARM,
    ERRORS,
    FINE,
    LATENCY,
    RESOURCES,
    UNKNOWN,
    Measure,
    Window,
)
from penstock.project.monitors import TrafficLimits
from penstock.serving.log.measures import ANSWERS, latency_of
from penstock.serving.routes import SHADOW
from penstock.serving.sketches import Sketch, added, bin_of, count_of, quantile

QUANTILES: Mapping[str, float] = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
ALL_ANSWERS = "all answers"
ALL_PROCESSES = "all processes"
# Whose fault it is that there was no good answer.
_SERVERS = ("model_errors", "unavailable", "timeouts", "refused")
_CALLERS = ("bad_requests",)
# What is slow is slow for a while: so many parts of a window are told apart.
PARTS = 24
_MEGABYTE = 1e6


def traffic_of(table: pa.Table, limits: TrafficLimits) -> list[Measure]:
    """Return the measures of a server's measures, all answers together and by version."""
    answers = table.filter(pc.equal(table.column("kind"), ANSWERS))
    given = answers.filter(pc.fill_null(pc.not_equal(answers.column("role"), SHADOW), True))
    found = [*_latency(ALL_ANSWERS, given, limits), *_errors(ALL_ANSWERS, given, limits)]
    versions = sorted(set(given.column("version").drop_null().to_pylist()))
    for version in versions if len(versions) > 1 else ():
        of_version = given.filter(pc.fill_null(pc.equal(given.column("version"), version), False))
        subject = f"version {version}"
        found += _latency(subject, of_version, limits)
        found += _errors(subject, of_version, limits)
    return [*found, *_resources(table, limits)]


def series_of(table: pa.Table, window: Window, parts: int = PARTS) -> list[dict[str, Any]]:
    """Return for equal parts of a window its requests, errors, and seconds, as JSON values."""
    answers = table.filter(pc.equal(table.column("kind"), ANSWERS))
    length = (window.end - window.begin) / parts
    series = []
    for number in range(parts):
        begin = window.begin + number * length
        part = _between(answers, begin, begin + length)
        processes = _between(table, begin, begin + length)
        sketch = latency_of(part)
        series.append(
            {
                "begin": begin.isoformat(),
                "requests": _sum(part, "requests"),
                "errors": sum(_sum(part, name) for name in _SERVERS),
                "p50": quantile(sketch, 0.5),
                "p99": quantile(sketch, 0.99),
                "memory_bytes": _most_memory(processes),
                "cpu_seconds": _sum(processes, "cpu_seconds"),
            }
        )
    return series


def _latency(subject: str, answers: pa.Table, limits: TrafficLimits) -> Iterator[Measure]:
    sketch = latency_of(answers)
    spans = _by_part(answers)
    count = count_of(sketch)
    z = NormalDist().inv_cdf(1 - limits.chance)
    for name, wanted in QUANTILES.items():
        limit = limits.latency.get(name)
        measure = Measure(
            LATENCY,
            subject,
            f"{name}_seconds",
            quantile(sketch, wanted),
            rows=count,
            threshold=limit,
        )
        if count < limits.requests:
            yield replace(measure, state=UNKNOWN, why=_too_few(count, limits))
            continue
        bounds = intervals.quantile(sketch, wanted, z, spans)
        if bounds is not None:
            measure = replace(measure, lower=bounds.lower, upper=bounds.upper)
        why = f"{1 - wanted:.0%} of answers took {measure.value or 0:.3g} s or more"
        chance = None if limit is None else _slow_chance(sketch, spans, limit, 1 - wanted)
        is_alarm = chance is not None and chance <= limits.chance
        yield replace(measure, state=ALARM if is_alarm else FINE, chance=chance, why=why)


def _slow_chance(sketch: Sketch, spans: Sequence[Sketch], limit: float, expected: float) -> float:
    """Return the chance of so many answers beyond a limit, where a share of them is expected.

    Answers of a slow time are slow together: they count as fewer.
    """
    key = bin_of(limit)
    beyond = sum(count for place, count in sketch.items() if place > key)
    effect = intervals.design_effect(spans, key)
    return share_chance(beyond / effect, count_of(sketch) / effect, expected)


def _errors(subject: str, answers: pa.Table, limits: TrafficLimits) -> Iterator[Measure]:
    requests = _sum(answers, "requests")
    for name, kinds, limit in (
        ("error_share", _SERVERS, limits.errors),
        ("bad_request_share", _CALLERS, limits.bad_requests),
    ):
        counts = {kind: _sum(answers, kind) for kind in kinds}
        count = sum(counts.values())
        share = count / requests if requests else None
        measure = Measure(ERRORS, subject, name, share, rows=requests, threshold=limit)
        if requests < limits.requests:
            yield replace(measure, state=UNKNOWN, why=_too_few(requests, limits))
            continue
        shown = ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in counts.items() if n)
        chance = None if limit is None else share_chance(count, requests, limit)
        is_alarm = chance is not None and chance <= limits.chance and (share or 0) > (limit or 0)
        yield replace(
            measure, state=ALARM if is_alarm else FINE, chance=chance, why=shown or "none"
        )


def _resources(table: pa.Table, limits: TrafficLimits) -> Iterator[Measure]:
    processes = table.filter(pc.not_equal(table.column("kind"), ANSWERS))
    if not processes.num_rows:
        return
    memory = _most_memory(processes) / _MEGABYTE
    seconds = _measured_seconds(processes)
    cores = _sum(processes, "cpu_seconds") / seconds if seconds else 0.0
    for name, value, limit, unit in (
        ("memory_megabytes", memory, limits.memory_megabytes, "MB at most, of all together"),
        ("busy_cores", cores, limits.cpu, "cores busy on average"),
    ):
        is_alarm = limit is not None and value > limit
        yield Measure(
            RESOURCES,
            ALL_PROCESSES,
            name,
            value,
            ALARM if is_alarm else FINE,
            f"{value:.3g} {unit}",
            threshold=limit,
        )


def _too_few(count: int, limits: TrafficLimits) -> str:
    return f"{count} requests were seen, {limits.requests} are needed"


def _by_part(answers: pa.Table) -> list[Sketch]:
    """Return the seconds of answers by times of equal length, in their order."""
    times = answers.column("time").cast(pa.int64()).to_pylist()
    if not times:
        return []
    begin, length = min(times), (max(times) - min(times)) / PARTS + 1
    parts: dict[int, list[dict[int, int]]] = {}
    for time, entry in zip(times, answers.column("latency").to_pylist(), strict=True):
        parts.setdefault(int((time - begin) // length), []).append(dict(entry or ()))
    return [added(parts[number]) for number in sorted(parts)]


def _between(table: pa.Table, begin: Any, end: Any) -> pa.Table:
    kind = table.schema.field("time").type
    times = table.column("time")
    later = pc.greater_equal(times, pa.scalar(begin, kind))
    return table.filter(pc.and_(later, pc.less(times, pa.scalar(end, kind))))


def _most_memory(processes: pa.Table) -> float:
    """Return the most that all processes had together in an interval."""
    together: dict[Any, float] = {}
    for time, memory in _pairs(processes, ("time", "memory_bytes")):
        together[time] = together.get(time, 0) + (memory or 0)
    return max(together.values(), default=0)


def _measured_seconds(processes: pa.Table) -> float:
    """Return for how long there are measures, of all servers together."""
    lengths = {
        (time, server): seconds
        for time, server, seconds in _pairs(processes, ("time", "server", "seconds"))
    }
    servers = {server for _, server in lengths}
    return sum(lengths.values()) / max(1, len(servers))


def _pairs(table: pa.Table, names: Sequence[str]) -> Iterable[tuple[Any, ...]]:
    return zip(*(table.column(name).to_pylist() for name in names), strict=True)


def _sum(table: pa.Table, name: str) -> Any:
    return pc.sum(table.column(name)).as_py() or 0
