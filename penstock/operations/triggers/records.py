"""What triggers have decided, as entries of the journal `trigger/{name}`.

The key of an entry is that of what has happened. Its state says what has become of it:

    waiting    it is to start a run, but not yet
    skipped    it starts none
    intended   its run is to be started; nobody has noted that it is
    running    its run is started
    done       its run has succeeded
    failed     its run has failed, or could not be started
    canceled   its run was canceled

The intent has what happened and what was decided first; the outcome what has changed since then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.metadata import journal
from penstock.metadata.journal import DONE, FAILED, INTENDED, Entry
from penstock.metadata.protocol import Store
from penstock.operations.starting import Request, RunState
from penstock.operations.triggers.deciding import Decision, Evidence, Past, Verdict

TRIGGERS = "trigger"

WAITING = "waiting"
SKIPPED = "skipped"
RUNNING = "running"
CANCELED = "canceled"

# Whoever writes reads the time before, and clocks differ.
_OVERLAP = timedelta(minutes=15)
_AFTER = {
    RunState.SUCCEEDED: DONE,
    RunState.FAILED: FAILED,
    RunState.CANCELED: CANCELED,
}


def journal_of(trigger: str) -> str:
    """Return the journal of a trigger's decisions."""
    return f"{TRIGGERS}/{trigger}"


@dataclass(frozen=True)
class Record:
    """A decision of a trigger, and what came of it.

    `decided` is when it was decided as it is now, and `fired` when it was decided to start a run.
    `run` says what was started (`run_id`, `where`, `address`), `problem` what stands in its way,
    and `ending` for what its run was asked to end.
    """

    entry: Entry
    evidence: Evidence
    reason: str
    decided: datetime
    fired: datetime | None = None
    request: Request | None = None
    run: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    problem: str = ""
    ending: str = ""
    ended: datetime | None = None

    @property
    def state(self) -> str:
        """What has become of it."""
        return self.entry.state

    @property
    def active(self) -> bool:
        """Whether its run is not over, or is still to be started."""
        return self.state in (INTENDED, RUNNING)

    @property
    def token(self) -> str:
        """The token of its run, which is the run's name on this machine."""
        return self.entry.run_id()

    @property
    def past(self) -> Past:
        """It, as what decides takes it."""
        verdicts = {WAITING: Verdict.WAIT, SKIPPED: Verdict.SKIP}
        return Past(
            self.evidence,
            verdicts.get(self.state, Verdict.FIRE),
            self.reason,
            self.fired,
            self.active,
            bool(self.ending),
        )


@dataclass
class Ledger:
    """The entries of a journal, of which only what has changed is read again."""

    journal: str
    _entries: dict[int, Entry] = field(default_factory=dict)
    _read: datetime | None = None

    def read(self, store: Store) -> list[Entry]:
        """Return all entries as they are now, in their order."""
        since = self._read - _OVERLAP if self._read else None
        now = datetime.now(UTC)
        for entry in journal.entries(store, self.journal, since):
            self._entries[entry.entry_id] = entry
        self._read = now
        return [self._entries[number] for number in sorted(self._entries)]


def to_records(entries: Iterable[Entry]) -> list[Record]:
    """Return entries of a trigger's journal as records."""
    return journal.told(entries, record_of)


def record(
    store: Store,
    trigger: str,
    decision: Decision,
    request: Request | None,
    now: datetime,
    *,
    who: str,
    earlier: Record | None = None,
) -> Record:
    """Write a decision: under a key of its own, or into what was to wait.

    Raises:
      TakenError: somebody else has decided about this before.
    """
    states = {Verdict.FIRE: INTENDED, Verdict.WAIT: WAITING, Verdict.SKIP: SKIPPED}
    state = states[decision.verdict]
    content: dict[str, Any] = {"reason": decision.reason, "decided": now.isoformat()}
    if request is not None:
        content["fired"] = now.isoformat()
        content["request"] = vars(request)
    if earlier is not None:
        return record_of(journal.conclude(store, earlier.entry, state, content))
    item = decision.evidence
    content["evidence"] = {
        "key": item.key,
        "at": item.at.isoformat(),
        "what": item.what,
        "order": list(item.order),
        "values": dict(item.values),
    }
    entry = journal.intend(store, journal_of(trigger), item.key, content, who=who, state=state)
    return record_of(entry)


def note(store: Store, earlier: Record, state: str, **changes: Any) -> Record:
    """Write what has come of a decision."""
    outcome = {**earlier.entry.outcome, **changes}
    return record_of(journal.conclude(store, earlier.entry, state, outcome))


def state_after(state: RunState) -> str:
    """Return the state of an entry whose run has ended so."""
    return _AFTER[state]


def record_of(entry: Entry) -> Record:
    """Return what an entry says."""
    content = {**entry.intent, **entry.outcome}
    item = content["evidence"]
    request = content.get("request")
    return Record(
        entry,
        Evidence(
            item["key"],
            datetime.fromisoformat(item["at"]),
            item["what"],
            tuple(item["order"]),
            item["values"],
        ),
        content["reason"],
        datetime.fromisoformat(content["decided"]),
        _time(content.get("fired")),
        Request(**request) if request else None,
        content.get("run") or {},
        content.get("error", ""),
        content.get("problem", ""),
        content.get("ending", ""),
        _time(content.get("ended")),
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
