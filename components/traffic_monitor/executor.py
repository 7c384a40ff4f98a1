"""A server's measures of a window."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from penstock.artifacts import MonitorReport
from penstock.monitoring.measures import Measure, WindowReport, write_report
from penstock.monitoring.telling import told
from penstock.monitoring.traffic import series_of, traffic_of
from penstock.monitoring.windows import window_of_spans
from penstock.project.monitors import TrafficLimits
from penstock.serving.log.reading import LoggedSpan, list_spans, read_measures


def monitor(
    *,
    report: MonitorReport,
    input_base: str,
    spans: range,
    log_span: str,
    limits: TrafficLimits,
) -> None:
    """Measure a window, write the report, and say what is an alarm."""
    window = window_of_spans(spans[0], spans[-1], log_span)
    folder, model = posixpath.split(input_base.rstrip("/"))
    found = [
        read_measures(folder, model, log_span, one.number)
        for one in spans_of(input_base, log_span, spans)
    ]
    measures: tuple[Measure, ...] = ()
    facts: dict[str, Any] = {}
    if found:
        table = pa.concat_tables(found)
        measures = tuple(traffic_of(table, limits))
        dropped = sum(filter(None, table.column("log_dropped").to_pylist()))
        facts = {"traffic": series_of(table, window), "log_dropped": dropped}
    written = WindowReport(window, measures=measures, facts=facts)
    write_report(report.uri, written)
    print(told(written))


def spans_of(input_base: str, log_span: str, spans: Iterable[int]) -> list[LoggedSpan]:
    """Return the spans of which a server has measured anything."""
    folder, model = posixpath.split(input_base.rstrip("/"))
    wanted = set(spans)
    return [
        span for span in list_spans(folder, model, log_span, measures=True) if span.number in wanted
    ]


def fingerprint_of(spans: Iterable[LoggedSpan]) -> str:
    """Return what changes with the files of spans."""
    told = "\n".join(f"{span.number} {span.fingerprint}" for span in spans)
    return hashlib.sha256(told.encode()).hexdigest()[:16] if told else ""
