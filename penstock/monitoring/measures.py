"""What a monitor has measured in a window of time, and the file that it is written to.

The file, `report.json` of a MonitorReport artifact, is the JSON of a `WindowReport`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from penstock.errors import DataError
from penstock.safety import bounded

FILE = "report.json"

# What is measured.
QUALITY = "quality"
SKEW = "skew"
DRIFT = "drift"
PREDICTIONS = "predictions"
PERFORMANCE = "performance"
ESTIMATE = "estimate"
FAIRNESS = "fairness"
LATENCY = "latency"
ERRORS = "errors"
RESOURCES = "resources"
KINDS = (
    QUALITY,
    SKEW,
    DRIFT,
    PREDICTIONS,
    PERFORMANCE,
    ESTIMATE,
    FAIRNESS,
    LATENCY,
    ERRORS,
    RESOURCES,
)

# What is thought of a measure.
FINE = "fine"
ALARM = "alarm"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Window:
    """A time from `begin` to before `end`, both with a zone; `first` and `last` are its spans."""

    begin: datetime
    end: datetime
    first: int = 0
    last: int = 0

    @property
    def key(self) -> str:
        """Return what tells the window from others of a monitor."""
        return self.begin.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        times = {name: getattr(self, name).astimezone(UTC).isoformat() for name in ("begin", "end")}
        return {**times, "first": self.first, "last": self.last}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Window:
        """Return what `to_json` wrote."""
        times = {name: datetime.fromisoformat(entry[name]) for name in ("begin", "end")}
        return cls(**times, first=int(entry["first"]), last=int(entry["last"]))


@dataclass(frozen=True)
class Measure:
    """A number of a window, and what is thought of it.

    `kind` is one of KINDS, `subject` what was measured (a feature, a slice, a version), `name` in
    which way (js, auc, p99_seconds). `lower` and `upper` are its interval at 95 %, `reference` is
    the number of what it is compared with, `threshold` what it was held against, `chance` the
    probability of such a number where nothing has changed, after the correction for many tests.
    `state` is fine, alarm or unknown, and `why` says so in words.
    """

    kind: str
    subject: str
    name: str
    value: float | None
    state: str = FINE
    why: str = ""
    rows: int = 0
    lower: float | None = None
    upper: float | None = None
    reference: float | None = None
    threshold: float | None = None
    chance: float | None = None

    @property
    def is_alarm(self) -> bool:
        """Whether somebody should look at it."""
        return self.state == ALARM


@dataclass(frozen=True)
class Histogram:
    """How the values of a column were distributed, in the window and in what it is compared with.

    `bins` are their names; of numbers `edges` are the bounds, one more than there are bins. The
    shares are of rows that have a value, `missing` of those that have none.
    """

    subject: str
    bins: tuple[str, ...]
    shares: tuple[float, ...]
    reference: tuple[float, ...]
    edges: tuple[float, ...] = ()
    missing: float = 0.0
    reference_missing: float = 0.0


@dataclass(frozen=True)
class WindowReport:
    """What was measured in a window.

    `rows` were seen, of them so many of each version (`versions`). `facts` are numbers that are
    part of no measure, as the rows that wait for their labels.
    """

    window: Window
    rows: int = 0
    versions: Mapping[str, int] = field(default_factory=dict)
    measures: tuple[Measure, ...] = ()
    histograms: tuple[Histogram, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def alarms(self) -> tuple[Measure, ...]:
        """Return the measures that are alarms."""
        return tuple(measure for measure in self.measures if measure.is_alarm)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "window": self.window.to_json(),
            "rows": self.rows,
            "versions": dict(self.versions),
            "measures": [_plain(asdict(measure)) for measure in self.measures],
            "histograms": [_plain(asdict(histogram)) for histogram in self.histograms],
            "facts": _plain(self.facts),
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> WindowReport:
        """Return what `to_json` wrote, also a later version of us that wrote more."""
        return cls(
            Window.from_json(entry["window"]),
            int(entry["rows"]),
            dict(entry["versions"]),
            tuple(Measure(**_known(Measure, each)) for each in entry["measures"]),
            tuple(_histogram(each) for each in entry["histograms"]),
            dict(entry["facts"]),
        )


def write_report(directory: str, report: WindowReport) -> None:
    """Write a report into the folder of its artifact."""
    Path(directory, FILE).write_text(json.dumps(report.to_json(), indent=1, allow_nan=False))


def read_report(directory: str) -> WindowReport:
    """Return the report of an artifact.

    Raises:
      DataError: there is none, or one that cannot be read.
    """
    path = Path(directory, FILE)
    try:
        return WindowReport.from_json(bounded.parse_json(bounded.read_text(path)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"there is no report of a monitor: {error}", path=str(path)) from None


def joined(reports: Iterable[WindowReport]) -> WindowReport:
    """Return the reports of several monitors about one window as one.

    Raises:
      ValueError: there is none, or they are about several windows.
    """
    first, *others = reports
    for other in others:
        if other.window != first.window:
            raise ValueError(f"{other.window.key} is not {first.window.key}")
        first = replace(
            first,
            rows=max(first.rows, other.rows),
            versions={**other.versions, **first.versions},
            measures=(*first.measures, *other.measures),
            histograms=(*first.histograms, *other.histograms),
            facts={**first.facts, **other.facts},
        )
    return first


def _plain(value: Any) -> Any:
    """Return JSON values, with what is no number as None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _known(kind: Any, entry: Mapping[str, Any]) -> dict[str, Any]:
    names = {described.name for described in fields(kind)}
    return {name: value for name, value in entry.items() if name in names}


def _histogram(entry: Mapping[str, Any]) -> Histogram:
    known = _known(Histogram, entry)
    lists = {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
    return Histogram(**{**known, **lists})
