"""Silences: alerts of which nobody is told for a while, as the numbered journal `silence`.

They hold for people. An alert that is silenced is recorded, and triggers and gates of releases take
it as any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from penstock.errors import ParameterError, StoreError
from penstock.metadata import journal
from penstock.metadata.alerts import Raised
from penstock.metadata.protocol import Store

SILENCES = "silence"


@dataclass(frozen=True)
class Silence:
    """Who has silenced which alerts, until when and why.

    `alerts` is a glob of their names; with `subject`, a glob too, an alert is silenced that is
    about nothing else. `ended` is when somebody has taken it back.
    """

    number: int
    alerts: str
    subject: str
    since: datetime
    until: datetime
    who: str
    why: str
    ended: datetime | None = None
    ended_by: str = ""

    @property
    def end(self) -> datetime:
        """When it ends or has ended."""
        return self.until if self.ended is None else min(self.ended, self.until)

    def holds(self, at: datetime) -> bool:
        """Whether it holds at a time."""
        return self.since <= at < self.end

    def matches(self, raised: Raised) -> bool:
        """Whether it is about an alert."""
        if not fnmatchcase(raised.alert.name, self.alerts):
            return False
        subjects = raised.subjects
        return not self.subject or (
            bool(subjects) and all(fnmatchcase(each, self.subject) for each in subjects)
        )


def silence(
    store: Store,
    alerts: str,
    since: datetime,
    until: datetime,
    *,
    who: str,
    why: str,
    subject: str = "",
) -> Silence:
    """Write that nobody is told of some alerts for a while.

    Raises:
      ParameterError: it says no reason or no alerts, or has no time.
    """
    if not why.strip():
        raise ParameterError("expected a reason for the silence, got none")
    if not alerts:
        raise ParameterError("expected the name of an alert as flights.drift or flights.*")
    if until <= since:
        raise ParameterError(f"expected an end after {since.isoformat()}, got {until.isoformat()}")
    intent = {
        "alerts": alerts,
        "subject": subject,
        "since": since.astimezone(UTC).isoformat(),
        "until": until.astimezone(UTC).isoformat(),
        "why": why,
    }
    while True:
        last = journal.last(store, SILENCES)
        try:
            return read_silence(journal.append(store, SILENCES, intent, after=last, who=who))
        except journal.TakenError:
            continue


def end_silence(store: Store, number: int, at: datetime, *, who: str) -> Silence:
    """Take a silence back.

    Raises:
      StoreError: there is none of that number, or it has ended.
    """
    entry = journal.find(store, SILENCES, str(number))
    if entry is None:
        raise StoreError(f"there is no silence {number}", hint="See: penstock alert silences --all")
    known = journal.understood(entry, read_silence)
    if known.end <= at:
        raise StoreError(f"silence {number} has ended at {known.end.astimezone():%Y-%m-%d %H:%M}")
    outcome = {"ended": at.astimezone(UTC).isoformat(), "who": who}
    return read_silence(journal.conclude(store, entry, journal.UNDONE, outcome))


def silences(store: Store) -> list[Silence]:
    """Return all silences, also those that have ended, in their order."""
    entries = journal.entries(store, SILENCES)
    return journal.told(journal.numbered(entries), read_silence)


def silence_of(raised: Raised, known: Iterable[Silence], at: datetime) -> Silence | None:
    """Return the silence that holds for an alert at a time, the one that ends last."""
    holding = [each for each in known if each.holds(at) and each.matches(raised)]
    return max(holding, key=lambda each: each.end, default=None)


def read_silence(entry: journal.Entry) -> Silence:
    """Return what an entry says."""
    said, outcome = entry.intent, entry.outcome
    ended = outcome.get("ended")
    return Silence(
        entry.number,
        said["alerts"],
        said["subject"],
        datetime.fromisoformat(said["since"]),
        datetime.fromisoformat(said["until"]),
        entry.who,
        said["why"],
        datetime.fromisoformat(ended) if ended else None,
        outcome.get("who", ""),
    )
