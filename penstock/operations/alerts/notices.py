"""What sinks were told, as the numbered journal `notice/{sink}`.

An entry is a message: intended until it was taken, then done, or failed where it is tried no more.
It is written after the one that was last when it was decided on, so that of two who would tell the
same one does. The first one tells nothing: it says since when there is the sink.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from penstock.metadata import journal
from penstock.metadata.alerts import Raised
from penstock.metadata.protocol import Store
from penstock.operations.alerts.messages import Message
from penstock.operations.alerts.sinks.undelivered import Undelivered
from penstock.operations.alerts.telling import AGAIN, Change, Identity, Told, changes_of

NOTICES = "notice"

# What is not taken is tried again, after twice the time each time, for three days.
_FIRST_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(hours=1)
_GIVE_UP = timedelta(days=3)


@dataclass(frozen=True)
class Notice:
    """A message as it was recorded, and what came of it.

    `again` is when it is tried again, where it was tried and not taken.
    """

    entry: journal.Entry
    told: Told
    tries: int = 0
    again: datetime | None = None
    problem: str = ""

    @property
    def state(self) -> str:
        """Whether it is intended, done or failed."""
        return self.entry.state

    @property
    def is_pending(self) -> bool:
        """Whether it is still to be sent, as far as anybody knows."""
        return self.state == journal.INTENDED

    def is_due(self, now: datetime) -> bool:
        """Whether it is to be sent now."""
        return self.is_pending and (self.again is None or self.again <= now)


def notices(store: Store, sink: str) -> list[Notice]:
    """Return what a sink was told, in the order in which it was recorded."""
    entries = journal.entries(store, _journal(sink))
    return journal.told(journal.numbered(entries), notice_of)


@dataclass(frozen=True)
class Mention:
    """That a message to a sink tells something of an alert, and what came of the message."""

    sink: str
    change: str
    at: datetime
    state: str
    problem: str = ""


def notices_of(store: Store, raised: Raised) -> list[Mention]:
    """Return what all sinks were told of an alert, in the order in which it was recorded."""
    about = raised.alert.name, raised.alert.key
    return [
        Mention(
            notice.entry.journal.partition("/")[2],
            identity[2],
            notice.told.at,
            notice.state,
            notice.problem,
        )
        for notice in journal.told(journal.entries_below(store, NOTICES), notice_of)
        for identity in notice.told.changes
        if identity[:2] == about
    ]


def record_notice(
    store: Store,
    sink: str,
    changes: Sequence[Change],
    now: datetime,
    *,
    after: Notice | None,
    who: str,
) -> Notice:
    """Write what a sink is going to be told, or, of the first, since when there is the sink.

    Raises:
      TakenError: somebody else has written a message meanwhile.
    """
    intent = {
        "at": now.astimezone(UTC).isoformat(),
        "changes": [list(change.identity) for change in changes],
    }
    state = journal.INTENDED if changes else journal.DONE
    last = None if after is None else after.entry
    return notice_of(
        journal.append(store, _journal(sink), intent, after=last, who=who, state=state)
    )


def note_taken(store: Store, notice: Notice, now: datetime) -> Notice:
    """Write that a message was taken."""
    outcome = {"tries": notice.tries + 1, "sent": now.astimezone(UTC).isoformat()}
    return notice_of(journal.conclude(store, notice.entry, journal.DONE, outcome))


def note_problem(store: Store, notice: Notice, why: Undelivered, now: datetime) -> Notice:
    """Write that a message was not taken; it is tried again, or, in the end, no more."""
    tries = notice.tries + 1
    pause = min(_FIRST_PAUSE * 2 ** min(tries - 1, 10), _LONGEST_PAUSE)
    pause = max(pause, timedelta(seconds=why.after))
    is_over = not why.again or now - notice.told.at >= _GIVE_UP
    outcome = {"tries": tries, "problem": why.reason, "again": (now + pause).isoformat()}
    state = journal.FAILED if is_over else journal.INTENDED
    return notice_of(journal.conclude(store, notice.entry, state, outcome))


def message_of(notice: Notice, sink: str, alerts: Iterable[Raised]) -> Message | None:
    """Return the message of a record, None where the store has nothing of it any more."""
    known = {(raised.alert.name, raised.alert.key): raised for raised in alerts}
    changes = []
    for name, key, kind, number in notice.told.changes:
        raised = known.get((name, key))
        if raised is None:
            continue
        found = {change.identity: change for change in changes_of(raised)}
        if kind == AGAIN and raised.is_open:
            changes.append(Change(kind, raised, notice.told.at, number))
        elif (change := found.get((name, key, kind, number))) is not None:
            changes.append(change)
    return Message(notice.entry.token, sink, tuple(changes)) if changes else None


def _journal(sink: str) -> str:
    return f"{NOTICES}/{sink}"


def notice_of(entry: journal.Entry) -> Notice:
    """Return what an entry says."""
    again = entry.outcome.get("again")
    told = Told(
        entry.number,
        tuple(_identity(*change) for change in entry.intent["changes"]),
        datetime.fromisoformat(entry.intent["at"]),
    )
    return Notice(
        entry,
        told,
        entry.outcome.get("tries", 0),
        datetime.fromisoformat(again) if again else None,
        entry.outcome.get("problem", ""),
    )


def _identity(name: str, key: str, kind: str, number: int) -> Identity:
    return name, key, kind, number
