"""What monitors saw of a model over windows of time, as pages show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from markupsafe import Markup

from penstock.monitoring.measures import Window, WindowReport
from penstock.report.timelines import Mark, Period


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
    """What was measured of something, in words."""

    kind: str
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
