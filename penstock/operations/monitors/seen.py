"""What the store and its artifacts have of a monitor, for those who look at it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from penstock.errors import PenstockError
from penstock.metadata import alerts
from penstock.metadata.alerts import Raised
from penstock.metadata.protocol import Store
from penstock.monitoring.measures import WindowReport
from penstock.operations.alerts.silences import silence_of, silences
from penstock.operations.monitors import records
from penstock.operations.monitors.records import Judgement
from penstock.operations.monitors.reports import read_reports
from penstock.operations.releases import records as released
from penstock.operations.releases.records import PROMOTED, Release
from penstock.report.monitored import JudgedWindow, RungAlert, Seen
from penstock.report.timelines import Mark
from penstock.report.wording import when

# Alerts that are over are many in a year; those that are open are all shown.
_MOST_ALERTS = 50


def look(
    store: Store,
    monitor: str,
    now: datetime,
    *,
    last: int | None = None,
    window: str = "",
    reads: bool = True,
) -> Seen:
    """Return what is known of a monitor: its `last` windows, or the one of a key.

    Without `reads` no report is read. A report whose files are gone is told as a problem of its
    window.
    """
    judged = records.last_judgements(store, monitor, None if window else last)
    if window:
        judged = [one for one in judged if one.window.key == window]
    model = next((one.model for one in reversed(judged) if one.model), "")
    return Seen(
        monitor,
        tuple(_judged(one, reads) for one in judged),
        tuple(_alerts(store, monitor, now)),
        tuple(_releases(store, monitor, model)),
        records.window_counts(store).get(monitor, 0),
    )


def _judged(judged: Judgement, reads: bool) -> JudgedWindow:
    summary, problem = judged.summary, judged.error
    report: WindowReport | None = None
    if reads and summary.artifacts:
        try:
            report = read_reports(summary.artifacts)
        except (PenstockError, ValueError, OSError) as error:
            problem = problem or f"its report cannot be read: {error}"
    return JudgedWindow(
        judged.window,
        judged.verdict,
        judged.why,
        judged.run_id,
        summary.rows,
        summary.waiting,
        summary.alarms,
        problem,
        summary.versions,
        report,
    )


def _alerts(store: Store, monitor: str, now: datetime) -> list[RungAlert]:
    known = silences(store)
    found = [raised for raised in alerts.raised_alerts(store) if _is_of(raised, monitor)]
    found.sort(key=lambda raised: raised.alert.at, reverse=True)
    still_open = [raised for raised in found if raised.is_open]
    over = [raised for raised in found if not raised.is_open][:_MOST_ALERTS]
    shown: list[RungAlert] = []
    for raised in (*still_open, *over):
        silence = silence_of(raised, known, now) if raised.is_open else None
        state, words = "open" if raised.is_open else "resolved", ""
        if silence is not None:
            state = f"open, silenced until {when(silence.end)}"
            words = f"silenced by {silence.who}: {silence.why}"
        elif raised.end is not None:
            words = f"{when(raised.end.at)} by {raised.end.who}"
            words += f": {raised.end.why}" if raised.end.why else ""
        alert = raised.alert
        shown.append(
            RungAlert(
                alert.name,
                alert.key,
                alert.severity,
                alert.summary,
                state,
                alert.at,
                raised.is_open,
                raised.subjects,
                words,
            )
        )
    return shown


def _is_of(raised: Raised, monitor: str) -> bool:
    said = raised.alert.data.get("monitor")
    if said is not None:
        return bool(said == monitor)
    return raised.alert.name.startswith(f"{monitor}.")


def _releases(store: Store, monitor: str, model: str) -> list[Mark]:
    """Return when versions began to serve, or to serve a part."""
    listed = released.history(store)
    of_deployment = [one for one in listed if one.deployment == monitor]
    found: Sequence[Release] = of_deployment or [one for one in listed if one.model == model]
    marks = []
    for one in found:
        told = f"{one.kind} {one.number} of {one.deployment}: {one.model}@{one.candidate}"
        ended = one.ended
        if ended is not None and one.state != PROMOTED:
            marks.append(
                Mark(_zoned(ended), f"v{one.candidate} {one.state}", f"{told} {one.state}")
            )
        elif ended is not None:
            marks.append(Mark(_zoned(ended), f"v{one.candidate}", f"{told} promoted"))
        if ended is None or one.state == PROMOTED:
            begun = Mark(_zoned(one.began), f"v{one.candidate} begun", f"{told} begun")
            marks.append(begun)
    return sorted(marks, key=lambda mark: mark.at)


def _zoned(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.astimezone(UTC)
