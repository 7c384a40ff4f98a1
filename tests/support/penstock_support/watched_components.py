"""A pipeline of one monitor, which tells of a window that has drifted."""

from __future__ import annotations

from typing import Any

from penstock import Output, component, pipeline
from penstock.artifacts import MonitorReport
from penstock.monitoring.measures import write_report
from penstock_support import monitored_windows as monitored


@component
def Watched(report: Output[MonitorReport], features: int) -> None:
    """Write what was measured in a window that has drifted."""
    write_report(report.uri, monitored.report(13, features=features))


@pipeline(name="watching")
def watching(features: int) -> list[Any]:
    """Watch."""
    return [Watched(features=features)]
