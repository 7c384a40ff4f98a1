"""What monitors have measured in a run, for its report."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.errors import PenstockError
from penstock.metadata.reading import ArtifactRecord
from penstock.monitoring.measures import read_report
from penstock.report.monitor_sections import measures_in_rows
from penstock.report.monitored import Row
from penstock.report.wording import utc_minute


@dataclass(frozen=True)
class Measured:
    """What one node measured in a window, the alarms first."""

    node_id: str
    window: str = ""
    seen_rows: int = 0
    alarms: int = 0
    rows: tuple[Row, ...] = ()
    problems: tuple[str, ...] = ()


def read_measured(node_id: str, artifact: ArtifactRecord) -> Measured:
    """Read the report of a monitor; where its files are gone, that is its problem."""
    try:
        report = read_report(artifact.uri)
    except (PenstockError, OSError) as error:
        return Measured(node_id, problems=(str(error),))
    window = f"{utc_minute(report.window.begin)} to {utc_minute(report.window.end)} UTC"
    rows = tuple(measures_in_rows(report.measures))
    return Measured(node_id, window, report.rows, len(report.alarms), rows)
