"""Queues: who came first goes first, and waits with a ticket.

A ticket is a lease of its own, whose name has its place in the queue: of those that come at the
same moment the store lets one have each. As of every lease, nobody waits with one whose holder is
gone, or has not renewed it for its term.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from penstock import _tfx
from penstock.metadata import leases, turns
from penstock.metadata.protocol import Store
from penstock.metadata.rows import MalformedRowError
from penstock.metadata.turns import RUNNING, Turn

_LEFT = "left"
# Who comes later leaves later, unless it gives up: after so many that have nobody waits any more.
_LOOKED_BACK = 20


def waiting(store: Store, queue: str) -> list[int]:
    """Return the places in a queue at which somebody waits, the first one first."""
    found: list[int] = []
    left = 0
    for place in range(_last_place(store, queue), 0, -1):
        if _waits(store, queue, place):
            found.insert(0, place)
            left = 0
        else:
            left += 1
        if left >= _LOOKED_BACK:
            break
    return found


def still_waiting(store: Store, queue: str, places: Iterable[int]) -> list[int]:
    """Return those of some places at which somebody waits."""
    return [place for place in places if _waits(store, queue, place)]


@contextmanager
def joined(store: Store, connection: _tfx.Connection, queue: str) -> Iterator[int]:
    """Wait in a queue, at the place after its last; yield that place. `connection` is the store's.

    The place is left at the end.
    """
    place = _last_place(store, queue) + 1
    while True:
        try:
            ticket = turns.take(store, Turn, _name(queue, place))
            break
        except turns.Held:
            place += 1
    try:
        with leases.kept(connection, ticket):
            yield place
    finally:
        turns.end(store, ticket, _LEFT)


def _name(queue: str, place: int) -> str:
    return f"{queue}, place {place}"


def _last_place(store: Store, queue: str) -> int:
    return turns.last_of(lambda place: place if _ticket(store, queue, place) else None) or 0


def _ticket(store: Store, queue: str, place: int) -> _tfx.ContextProto | None:
    return store.get_context_by_type_and_name(Turn.kind, f"{_name(queue, place)}/1")


def _waits(store: Store, queue: str, place: int) -> bool:
    context = _ticket(store, queue, place)
    if context is None:
        return False
    try:
        ticket = turns.read(Turn, context)
    except MalformedRowError:
        return not turns.is_over(context)
    return ticket.state == RUNNING and not ticket.is_abandoned()
