"""What a monitor has found, in words, for logs and terminals."""

from __future__ import annotations

from penstock.monitoring.measures import ALARM, UNKNOWN, Measure, WindowReport

# More are on the report.
_SHOWN = 10


def told(report: WindowReport) -> str:
    """Return in some lines what was measured in a window: the alarms, and how much besides."""
    alarms = report.alarms
    unknown = [measure for measure in report.measures if measure.state == UNKNOWN]
    counts = f"{report.rows} rows, {len(report.measures)} measures, {len(alarms)} alarms"
    if unknown:
        counts += f", {len(unknown)} that nothing can be said of ({unknown[0].why})"
    lines = [f"{report.window.key}: {counts}", *map(in_words, alarms[:_SHOWN])]
    if len(alarms) > _SHOWN:
        lines.append(f"and {len(alarms) - _SHOWN} more")
    return "\n".join(lines)


def in_words(measure: Measure) -> str:
    """Return a measure in a line."""
    value = "unknown" if measure.value is None else f"{measure.value:.4g}"
    text = f"{measure.kind}: {measure.subject}, {measure.name} {value}"
    if measure.state == ALARM and measure.threshold is not None:
        text += f" (beyond {measure.threshold:.4g})"
    return f"{text}: {measure.why}" if measure.why else text
