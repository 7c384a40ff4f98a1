"""Telling sinks of alerts: a message is recorded, sent, and confirmed.

What is recorded and not confirmed is sent again, with the same id, by whoever comes next: a message
comes at least once. One process at a time sends to a sink; that is asked for only where there is
something to send. Sinks are sent to at the same time, so one that does not answer keeps no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime

from penstock import _tfx
from penstock.metadata.alerts import Raised, raised_alerts
from penstock.metadata.journal import TakenError
from penstock.metadata.leases import held
from penstock.metadata.protocol import Store
from penstock.metadata.turns import Held
from penstock.operations.alerts.messages import Message
from penstock.operations.alerts.notices import (
    Notice,
    message_of,
    note_problem,
    note_taken,
    notices,
    record_notice,
)
from penstock.operations.alerts.silences import Silence, silences
from penstock.operations.alerts.sinks.sending import Send, send
from penstock.operations.alerts.sinks.undelivered import Undelivered
from penstock.operations.alerts.steps import DeliveryStep, OnStep, ignore
from penstock.operations.alerts.telling import Change, due
from penstock.project.alerting import Sink

_MOST_AT_ONCE = 16


@dataclass(frozen=True)
class Delivery:
    """What came of telling a sink: the messages that it took, and what stands in the way.

    `waiting` changes are told later: when more may have come, or when the sink is tried again, not
    before `again`. `busy` says that another process sends to it.
    """

    sink: str
    taken: tuple[Message, ...] = ()
    problem: str = ""
    waiting: int = 0
    again: datetime | None = None
    busy: bool = False


def deliver(
    store: Store,
    connection: _tfx.Connection,
    sinks: Iterable[Sink],
    now: datetime,
    on_step: OnStep = ignore,
    *,
    who: str = "penstock",
    send: Send = send,
) -> tuple[Delivery, ...]:
    """Tell sinks what they are to be told now, and return what came of it, a delivery a sink.

    `connection` is that of the store, by which the right to send is kept.
    """
    listed = list(sinks)
    post = _Post(store, connection, now, on_step, who, send)
    post.tell(listed)
    return tuple(post.found[sink.name] for sink in listed)


@dataclass
class _Post:
    """Telling sinks once, and what has come of it so far."""

    store: Store
    connection: _tfx.Connection
    now: datetime
    on_step: OnStep
    who: str
    send: Send
    alerts: list[Raised] = field(default_factory=list)
    silences: list[Silence] = field(default_factory=list)
    found: dict[str, Delivery] = field(default_factory=dict)

    def tell(self, sinks: Sequence[Sink]) -> None:
        """Tell all of them, also where it takes several messages."""
        self.alerts, self.silences = raised_alerts(self.store), silences(self.store)
        left = [sink for sink in sinks if self._has_something_to_do(sink)]
        with ExitStack() as stack, ThreadPoolExecutor(_MOST_AT_ONCE) as pool:
            left = [sink for sink in left if self._is_ours(sink, stack)]
            while left:
                left = self._send_to(left, pool)

    def _has_something_to_do(self, sink: Sink) -> bool:
        known = notices(self.store, sink.name)
        pending = next((notice for notice in known if notice.is_pending), None)
        to_tell = due(sink, self.alerts, [n.told for n in known], self.silences, self.now)
        waiting = len(to_tell.now) + len(to_tell.later)
        if pending is not None and not pending.is_due(self.now):
            waiting += len(pending.told.changes)
            self.found[sink.name] = Delivery(sink.name, (), pending.problem, waiting, pending.again)
            return False
        self.found[sink.name] = Delivery(sink.name, waiting=waiting)
        return pending is not None or bool(to_tell.now) or not known

    def _is_ours(self, sink: Sink, stack: ExitStack) -> bool:
        try:
            stack.enter_context(held(self.store, self.connection, f"alerts to {sink.name}"))
        except Held:
            self.found[sink.name] = replace(self.found[sink.name], busy=True)
            return False
        self.on_step(DeliveryStep.HELD, sink.name)
        return True

    def _send_to(self, sinks: Sequence[Sink], pool: ThreadPoolExecutor) -> list[Sink]:
        """Send each sink its next message; return those that may have another one."""
        under_way: dict[Future[None], tuple[Sink, Notice, Message]] = {}
        for sink in sinks:
            notice = self._next(sink)
            message = None if notice is None else message_of(notice, sink.name, self.alerts)
            if notice is not None and message is not None:
                under_way[pool.submit(self.send, sink, message)] = sink, notice, message
            elif notice is not None:
                note_taken(self.store, notice, self.now)
        took = []
        for future in as_completed(under_way):
            sink, notice, message = under_way[future]
            if self._note(future, sink, notice, message):
                took.append(sink)
        return took

    def _next(self, sink: Sink) -> Notice | None:
        """Return what was recorded and not confirmed, or else record what there is to tell."""
        known = notices(self.store, sink.name)
        pending = next((notice for notice in known if notice.is_pending), None)
        if pending is not None:
            return pending if pending.is_due(self.now) else None
        try:
            if not known:
                known = [self._record(sink, (), None)]
            to_tell = due(sink, self.alerts, [n.told for n in known], self.silences, self.now)
            self.found[sink.name] = replace(self.found[sink.name], waiting=len(to_tell.later))
            if not to_tell.now:
                return None
            notice = self._record(sink, to_tell.now, known[-1])
        except TakenError:
            return None  # another process tells it
        self.on_step(DeliveryStep.RECORDED, sink.name)
        return notice

    def _record(self, sink: Sink, changes: Sequence[Change], after: Notice | None) -> Notice:
        return record_notice(self.store, sink.name, changes, self.now, after=after, who=self.who)

    def _note(self, future: Future[None], sink: Sink, notice: Notice, message: Message) -> bool:
        """Write what came of a message; return whether it was taken."""
        so_far = self.found[sink.name]
        error = future.exception()
        if error is not None:
            noted = note_problem(self.store, notice, _as_undelivered(error), self.now)
            self.found[sink.name] = replace(
                so_far,
                problem=noted.problem,
                waiting=so_far.waiting + (len(message.changes) if noted.is_pending else 0),
                again=noted.again if noted.is_pending else None,
            )
            return not noted.is_pending
        self.on_step(DeliveryStep.SENT, sink.name)
        note_taken(self.store, notice, self.now)
        self.on_step(DeliveryStep.CONFIRMED, sink.name)
        self.found[sink.name] = replace(so_far, taken=(*so_far.taken, message))
        return True


def _as_undelivered(error: BaseException) -> Undelivered:
    """Return why a message was not taken; what nobody foresaw of one sink is no other's trouble."""
    if isinstance(error, Undelivered):
        return error
    return Undelivered(f"{type(error).__name__} when it was sent: {error}"[:500])
