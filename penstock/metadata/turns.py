"""Turns: of several processes one at a time has something in hand, and renews that it lives.

A turn is a context whose unique name is what is held and a number: `{name}/{number}`. The store
makes sure that a name is taken once, so that of two processes only one gets the next turn. A turn
is a lease: its holder renews it as long as it lives. One whose process is gone, or which has not
been renewed for its term, is abandoned. On the machine of the holder the process itself is looked
at, elsewhere the lease's term counts.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from penstock import _tfx
from penstock.errors import RunError
from penstock.metadata.holders import Holder, this_process
from penstock.metadata.protocol import Store
from penstock.metadata.rows import (
    MalformedRowError,
    Row,
    json_of,
    reading,
    text_of,
    time_of,
    warn,
)

TERM_SECONDS = 60.0
RENEWAL_SECONDS = 5.0

RUNNING = "running"
ABANDONED = "abandoned"
# Of a turn that cannot be read, and that nobody has renewed for long.
UNREADABLE = "unreadable"

# No holder writes nothing for so long; clocks of several machines differ by less, too.
QUIET_SECONDS = 3600.0
_LONGEST_TERM_SECONDS = 86_400.0

# Turns that this process is not at any more and could not end, since their store was away: by their
# kinds and their names in it. To others this process looks as if it were still at them.
_given_up: set[tuple[str, str]] = set()

T = TypeVar("T", bound="Turn")
V = TypeVar("V")


@dataclass(frozen=True)
class Turn:
    """A holder's turn at what `name` says.

    `until` is when it expires, in seconds since the epoch; `kind` is the type of its context.
    """

    name: str
    number: int
    state: str
    holder: Holder
    until: float
    kind: str = "lease"

    @property
    def subject(self) -> str:
        """What is held, in words."""
        return self.name

    def is_abandoned(self, now: float | None = None) -> bool:
        """Whether it says that it is running and nobody is."""
        if self.state != RUNNING:
            return False
        if _key(self) in _given_up and self.holder == this_process():
            return True
        alive = self.holder.is_alive()
        return not alive if alive is not None else (now or time.time()) > self.until


class Held(RunError):
    """Another process has in hand what was asked for; `turn` says which."""

    def __init__(self, message: str, turn: Turn, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.turn = turn


def take(store: Store, kind: type[T], name: str) -> T:
    """Take the next turn; an abandoned one must have been marked before.

    Raises:
      Held: another process has it.
    """
    last = latest(store, kind, name)
    if last and last.state == RUNNING:
        raise _held(last)
    turn = kind(
        name,
        last.number + 1 if last else 1,
        RUNNING,
        this_process(),
        time.time() + TERM_SECONDS,
    )
    context = as_context(turn)
    context.type_id = context_type_id(store, turn.kind)
    _given_up.discard(_key(turn))
    try:
        store.put_contexts([context])
    except _tfx.ml_metadata.errors.AlreadyExistsError:
        raise _held(latest(store, kind, name) or turn) from None
    return turn


@contextmanager
def in_hand(turn: Turn) -> Iterator[None]:
    """Take a turn for abandoned, in this process too, if an error ends what is done with it."""
    try:
        yield
    except BaseException:
        _given_up.add(_key(turn))
        raise


def renew(store: Store, turn: Turn) -> bool:
    """Put off a turn's end; return whether it is still ours to renew."""
    return _change(store, turn, RUNNING, {"until": repr(time.time() + TERM_SECONDS)})


def end(store: Store, turn: Turn, state: str) -> None:
    """Record how a turn came to its end, unless somebody took it for abandoned meanwhile."""
    _change(store, turn, state, {})


def is_ours(store: Store, turn: Turn) -> bool:
    """Whether nobody has taken a turn for abandoned."""
    context = store.get_context_by_type_and_name(turn.kind, _context_name(turn))
    state = None if context is None else context.custom_properties.get("state")
    if state is None or state.string_value != RUNNING:
        return False
    # Somebody's mark can be overwritten by a renewal at the same moment, their next turn not.
    return is_latest(store, turn)


def is_latest(store: Store, turn: Turn) -> bool:
    """Whether no later turn has begun."""
    following = replace(turn, number=turn.number + 1)
    return store.get_context_by_type_and_name(turn.kind, _context_name(following)) is None


def latest(store: Store, kind: type[T], name: str) -> T | None:
    """Return the last turn that was taken; of a thousand, twenty are asked for.

    Raises:
      MalformedRowError: it cannot be read, and somebody may hold it.
    """
    context = last_of(
        lambda number: store.get_context_by_type_and_name(kind.kind, f"{name}/{number}")
    )
    if context is None:
        return None
    try:
        return read(kind, context)
    except MalformedRowError as error:
        if not is_over(context):
            until = time_of(int(_quiet_from(context) * 1000))
            raise MalformedRowError(
                error.row,
                error.problem,
                hint=f"Somebody may hold {name}. If nobody writes to the row, it counts as over "
                f"from {until:%Y-%m-%d %H:%M} on: try again then.",
            ) from None
        warn(error)
        nobody = Holder("", "an unknown machine", 0, 0)
        return kind(name, int(context.name.rpartition("/")[2]), UNREADABLE, nobody, 0.0)


def is_over(context: _tfx.ContextProto, now: float | None = None) -> bool:
    """Whether a turn that cannot be read is held by nobody: it says so, or is not renewed."""
    state = context.custom_properties.get("state")
    if state is not None and state.string_value not in ("", RUNNING):
        return True
    return (now or time.time()) > _quiet_from(context)


def _quiet_from(context: _tfx.ContextProto) -> float:
    return float(context.last_update_time_since_epoch / 1000 + QUIET_SECONDS)


def last_of(read_numbered: Callable[[int], V | None]) -> V | None:
    """Return the last of things that are numbered from 1 on without a gap, by asking for few."""
    found = read_numbered(1)
    if found is None:
        return None
    low, high = 1, 2
    while (next_found := read_numbered(high)) is not None:
        found, low, high = next_found, high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        middle_found = read_numbered(middle)
        if middle_found is None:
            high = middle
        else:
            found, low = middle_found, middle
    return found


def as_context(turn: Turn) -> _tfx.ContextProto:
    """Return a turn as the store keeps it, without the id of its type."""
    context = _tfx.metadata_store_pb2.Context(name=_context_name(turn))
    context.custom_properties["state"].string_value = turn.state
    context.custom_properties["holder"].string_value = json.dumps(vars(turn.holder))
    context.custom_properties["until"].string_value = repr(turn.until)
    return context


def read(kind: type[T], context: _tfx.ContextProto) -> T:
    """Return a turn from the context that the store has of it.

    Raises:
      MalformedRowError: the context is none of a turn.
    """
    with reading(Row(kind.kind, context.id, context.name)):
        name, _, number = context.name.rpartition("/")
        until = float(text_of(context, "until"))
        renewed = context.last_update_time_since_epoch / 1000
        if not math.isfinite(until) or (renewed and until > renewed + _LONGEST_TERM_SECONDS):
            raise ValueError(f"expected the end of a term as 'until', got {until!r}")
        holder = json_of(text_of(context, "holder"), dict, "holder")
        return kind(name, int(number), text_of(context, "state"), _holder(holder), until)


def _holder(content: Mapping[str, Any]) -> Holder:
    holder = Holder(**content)
    for key, kind in (("machine", str), ("name", str), ("process_id", int), ("born", int)):
        if not isinstance(content[key], kind):
            raise ValueError(f"expected {kind.__name__} as {key!r} of 'holder'")
    return holder


def context_type_id(store: Store, name: str) -> int:
    """Return the id of a type of contexts, which is made where there is none."""
    try:
        return int(store.get_context_type(name).id)
    except _tfx.ml_metadata.errors.NotFoundError:
        return int(store.put_context_type(_tfx.metadata_store_pb2.ContextType(name=name)))


def _change(store: Store, turn: Turn, state: str, properties: Mapping[str, str]) -> bool:
    if not is_ours(store, turn):
        return False
    context = store.get_context_by_type_and_name(turn.kind, _context_name(turn))
    if context is None:
        return False
    context.custom_properties["state"].string_value = state
    for key, value in properties.items():
        context.custom_properties[key].string_value = value
    store.put_contexts([context])
    return True


def _key(turn: Turn) -> tuple[str, str]:
    return turn.kind, _context_name(turn)


def _context_name(turn: Turn) -> str:
    return f"{turn.name}/{turn.number}"


def _held(turn: Turn) -> Held:
    holder = turn.holder
    return Held(
        f"{turn.subject} is being run by process {holder.process_id} on {holder.name}",
        turn,
        hint="Wait for its end, or stop that process first.",
    )
