"""TrafficMonitor: how many asked, how many got an answer, how soon, and what it took."""

from __future__ import annotations

from typing import Any

from penstock import Output, Resolved, component
from penstock.artifacts import MonitorReport
from penstock.project.monitors import TrafficLimits


def resolve(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the fingerprint of the measures of the spans, which changes when more come."""
    from penstock.components.traffic_monitor import executor

    spans = range(parameters["first_span"], parameters["last_span"] + 1)
    found = executor.spans_of(parameters["input_base"], parameters["log_span"], spans)
    return {"measures_fingerprint": executor.fingerprint_of(found)}


@component(resolve=resolve)
def TrafficMonitor(
    report: Output[MonitorReport],
    input_base: str,
    first_span: int,
    last_span: int,
    log_span: str = "day",
    limits: TrafficLimits = TrafficLimits(),
    measures_fingerprint: Resolved[str] = "",
) -> None:
    """Measure answers, errors, latency and resources of a window, by what the server noted itself.

    `input_base` is the folder of the model in the log of `penstock serve`, or its URL. The window
    is that of the spans of the log from `first_span` to `last_span`. Shadows are left out, as
    nobody waits for them.

    Raises:
      ConfigError: `log_span` is neither hour nor day.
      DataError: a file of measures cannot be read.
    """
    from penstock.components.traffic_monitor import executor

    executor.monitor(
        report=report,
        input_base=input_base,
        spans=range(first_span, last_span + 1),
        log_span=log_span,
        limits=limits,
    )
    if measures_fingerprint:
        report.set_string_custom_property("measures_fingerprint", measures_fingerprint)
