"""Judged windows as the store has them: a numbered journal for each window of a monitor.

An entry of `monitor/{monitor}/{window}` is a run that judges the window: intended until the run has
ended and its alerts are settled. The last entry is how the window was judged last, all of them are
how that changed. That there is a window is an entry of `monitor_windows/{monitor}`.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from penstock.metadata import journal
from penstock.metadata.journal import DONE, FAILED, INTENDED, Entry
from penstock.metadata.protocol import Store
from penstock.monitoring.measures import ALARM, FINE, UNKNOWN, Window, WindowReport
from penstock.operations.alerts.windows import time_key
from penstock.operations.monitors.deciding import Past

WINDOWS = "monitor_windows"
JUDGEMENTS = "monitor"
_STATES = (FINE, ALARM, UNKNOWN)


@dataclass(frozen=True)
class Summary:
    """What was measured in a window, in short; the whole of it is in the reports of `artifacts`.

    `counts` has for each kind of measures how many are fine, alarms and unknown.
    """

    rows: int = 0
    versions: Mapping[str, int] = field(default_factory=dict)
    labeled: int = 0
    waiting: int = 0
    counts: Mapping[str, Sequence[int]] = field(default_factory=dict)
    artifacts: tuple[str, ...] = ()

    @property
    def alarms(self) -> int:
        """How many measures are alarms."""
        return sum(counts[1] for counts in self.counts.values())

    @classmethod
    def of(cls, report: WindowReport, artifacts: Sequence[str]) -> Summary:
        """Return the summary of a report, which is that of several artifacts."""
        counts: dict[str, list[int]] = {}
        for measure in report.measures:
            counts.setdefault(measure.kind, [0, 0, 0])[_STATES.index(measure.state)] += 1
        return cls(
            report.rows,
            report.versions,
            int(report.facts.get("labeled", 0)),
            int(report.facts.get("waiting", 0)),
            counts,
            tuple(artifacts),
        )


@dataclass(frozen=True)
class Judgement:
    """A window of a monitor, and what came of judging it.

    `alerts` are the names of the alerts that changed by it, `model` is what was watched.
    """

    monitor: str
    window: Window
    state: str
    why: str
    fingerprint: str
    labels: str
    tries: int
    recorded: datetime
    run_id: str = ""
    error: str = ""
    summary: Summary = Summary()
    alerts: tuple[str, ...] = ()
    model: str = ""
    entry: Entry | None = None

    @property
    def verdict(self) -> str:
        """What was found in a word: alarms, fine, unknown, failed, or that it is being judged."""
        if self.error:
            return "failed"
        if self.state == INTENDED:
            return "being judged"
        if self.summary.alarms:
            return "alarms"
        return "fine" if any(counts[0] for counts in self.summary.counts.values()) else "unknown"

    @property
    def is_done(self) -> bool:
        """Whether the window was judged."""
        return self.state == DONE

    @property
    def past(self) -> Past:
        """What deciding asks of it."""
        waiting = self.summary.waiting
        return Past(self.fingerprint, self.labels, waiting, self.is_done, self.tries)


def window_counts(store: Store) -> dict[str, int]:
    """Return the monitors of which windows were judged, or begun to be, and of each how many."""
    noted = journal.entries_below(store, WINDOWS)
    return dict(sorted(Counter(entry.journal.partition("/")[2] for entry in noted).items()))


def last_judgements(store: Store, monitor: str, most: int | None = None) -> list[Judgement]:
    """Return the last judgement of each window, or of the `most` newest, by event time."""
    found = []
    windows = sorted(journal.entries(store, f"{WINDOWS}/{monitor}"), key=lambda noted: noted.key)
    for noted in windows if most is None else windows[len(windows) - min(most, len(windows)) :]:
        last = journal.last(store, _journal(monitor, noted.key))
        if last is not None:
            found += journal.told([last], lambda entry: judgement_of(monitor, entry))
    return sorted(found, key=lambda judged: judged.window.begin)


def history(store: Store, monitor: str, window: Window) -> list[Judgement]:
    """Return all judgements of a window, in their order."""
    listed = journal.entries(store, _journal(monitor, time_key(window.begin)))
    return journal.told(listed, lambda entry: judgement_of(monitor, entry))


def unfinished(judgements: Iterable[Judgement]) -> list[Judgement]:
    """Return what somebody began to judge, and has not ended."""
    return [judged for judged in judgements if judged.state == INTENDED]


def intend(
    store: Store,
    monitor: str,
    window: Window,
    content: Mapping[str, Any],
    *,
    who: str,
) -> Judgement:
    """Write that a window is going to be judged.

    Raises:
      TakenError: somebody else has written so.
    """
    key = time_key(window.begin)
    with contextlib.suppress(journal.TakenError):  # it was judged before
        journal.intend(store, f"{WINDOWS}/{monitor}", key, window.to_json(), who=who, state=DONE)
    name = _journal(monitor, key)
    last = journal.last(store, name)
    entry = journal.append(
        store,
        name,
        {"window": window.to_json(), **content},
        after=last,
        who=who,
        state=INTENDED,
    )
    return judgement_of(monitor, entry)


def conclude(store: Store, judged: Judgement, *, error: str = "", **outcome: Any) -> Judgement:
    """Write what came of judging a window."""
    assert judged.entry is not None
    state = FAILED if error else DONE
    content = {**outcome, **({"error": error} if error else {})}
    return judgement_of(judged.monitor, journal.conclude(store, judged.entry, state, content))


def summary_as_json(summary: Summary) -> dict[str, Any]:
    """Return a summary as JSON values."""
    return {**asdict(summary), "artifacts": list(summary.artifacts)}


def judgement_of(monitor: str, entry: Entry) -> Judgement:
    """Return what an entry says."""
    said, outcome = entry.intent, entry.outcome
    summary = outcome.get("summary", {})
    return Judgement(
        monitor,
        Window.from_json(said["window"]),
        entry.state,
        str(said.get("why", "")),
        str(said.get("fingerprint", "")),
        str(said.get("labels", "")),
        int(said.get("tries", 1)),
        entry.recorded.astimezone(UTC),
        str(outcome.get("run_id", "")),
        str(outcome.get("error", "")),
        Summary(**{**summary, "artifacts": tuple(summary.get("artifacts", ()))}),
        tuple(outcome.get("alerts", ())),
        str(said.get("model", "")),
        entry,
    )


def _journal(monitor: str, key: str) -> str:
    return f"{JUDGEMENTS}/{monitor}/{key}"
