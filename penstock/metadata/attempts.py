"""Attempts at a run: who is running it now, and whether that process is still alive.

Each process that works on a run, at first or to resume it, makes an attempt: a context of type
`run_attempt` named `{run}/{number}`. Where each node is run by a process of its own, these make
attempts at their nodes, named `{run}/{node}/{number}`. The store makes sure that a name is taken
once, so that of two processes only one gets the next number. An attempt is a lease: its holder
renews it as long as it lives. One whose process is gone, or which has not been renewed for its
term, is abandoned.

Attempts stay in the store, as runs do: ML Metadata has no call that removes a context. So that
nobody has to read those that are long over, a context of type `ended_attempts` says up to which of
them all have ended, and which have not. That is true for ever, because what has ended does not
begin again. So it does not matter which of several processes writes it last.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count, takewhile
from typing import TYPE_CHECKING, Any

from penstock import _tfx
from penstock.errors import RunError
from penstock.metadata.protocol import Store

if TYPE_CHECKING:
    from ml_metadata.proto.metadata_store_pb2 import Context

ATTEMPT_CONTEXT = "run_attempt"
ENDED_CONTEXT = "ended_attempts"
_ENDED_PROPERTY = "ended"
TERM_SECONDS = 60.0
RENEWAL_SECONDS = 5.0

RUNNING = "running"
ABANDONED = "abandoned"

# What is younger may be followed by one with a smaller id, of a transaction that takes longer, or
# be set to running once more by a renewal that had read the state before the end. Clocks of
# several machines may differ by less than that too.
_QUIET_SECONDS = 3600.0
# So many attempts are read in vain before it is written that they have ended.
_WORTH_WRITING = 50


@dataclass(frozen=True)
class Holder:
    """A process, as others can recognize it.

    `machine` tells one boot of a machine, and one space of process ids on it, from all others;
    `born` is the process's start in clock ticks, since process ids are used again.
    """

    machine: str
    name: str
    process_id: int
    born: int

    def is_alive(self) -> bool | None:
        """Whether the process lives; None if only its own machine, or its user, can know."""
        if self.machine != _this_machine():
            return None
        born = _birth(self.process_id)
        if born is None and _is_hidden(self.process_id):
            return None
        return born == self.born


@dataclass(frozen=True)
class Attempt:
    """An attempt at a run, or at one of its nodes.

    `until` is when it expires, in seconds since the epoch.
    """

    run_id: str
    number: int
    state: str
    holder: Holder
    until: float
    node_id: str = ""

    def is_abandoned(self, now: float | None = None) -> bool:
        """Whether it says that it is running and nobody is."""
        if self.state != RUNNING:
            return False
        alive = self.holder.is_alive()
        return not alive if alive is not None else (now or time.time()) > self.until


def this_process() -> Holder:
    """Return the process that asks."""
    process_id = os.getpid()
    return Holder(_this_machine(), socket.gethostname(), process_id, _birth(process_id) or 0)


def begin(store: Store, run_id: str, node_id: str = "") -> Attempt:
    """Take the next attempt at a run or a node; an abandoned one must have been marked before.

    Raises:
      RunError: another process is at it.
    """
    earlier = attempts(store, run_id, node_id)
    if earlier and earlier[-1].state == RUNNING:
        raise _held(earlier[-1])
    attempt = Attempt(
        run_id,
        len(earlier) + 1,
        RUNNING,
        this_process(),
        time.time() + TERM_SECONDS,
        node_id,
    )
    context = _as_context(attempt)
    context.type_id = _type_id(store, ATTEMPT_CONTEXT)
    try:
        store.put_contexts([context])
    except _tfx.ml_metadata.errors.AlreadyExistsError:
        raise _held(attempts(store, run_id, node_id)[-1]) from None
    return attempt


def renew(store: Store, attempt: Attempt) -> bool:
    """Put off an attempt's end; return whether it is still ours to renew."""
    return _change(store, attempt, RUNNING, {"until": repr(time.time() + TERM_SECONDS)})


def end(store: Store, attempt: Attempt, state: str) -> None:
    """Record how an attempt came to its end, unless somebody took it for abandoned meanwhile."""
    _change(store, attempt, state, {})


def is_ours(store: Store, attempt: Attempt) -> bool:
    """Whether nobody has taken an attempt for abandoned."""
    context = store.get_context_by_type_and_name(ATTEMPT_CONTEXT, _name(attempt))
    if context is None or context.custom_properties["state"].string_value != RUNNING:
        return False
    # Somebody's mark can be overwritten by a renewal at the same moment, their next attempt not.
    return is_latest(store, attempt)


def is_latest(store: Store, attempt: Attempt) -> bool:
    """Whether no later attempt at the same run or node has begun."""
    following = replace(attempt, number=attempt.number + 1)
    return store.get_context_by_type_and_name(ATTEMPT_CONTEXT, _name(following)) is None


def attempts(store: Store, run_id: str, node_id: str = "") -> list[Attempt]:
    """Return the attempts at a run, or at one of its nodes, in their order."""
    entries: list[Attempt] = []
    for number in count(1):
        name = _join(run_id, node_id, number)
        context = store.get_context_by_type_and_name(ATTEMPT_CONTEXT, name)
        if context is None:
            break
        entries.append(_read(context))
    return entries


@dataclass(frozen=True)
class Ended:
    """All attempts up to an id have ended, but for some, of which that is not known."""

    through: int = 0
    but: tuple[int, ...] = ()


@dataclass(frozen=True)
class Recent:
    """The attempts of which it is not written that they have ended, as contexts of the store."""

    ended: Ended
    contexts: tuple[Context, ...]

    def running(self) -> list[Attempt]:
        """Return those that have not ended, abandoned ones among them."""
        entries = [_read(context) for context in self.contexts]
        return [attempt for attempt in entries if attempt.state == RUNNING]

    def abandoned(self) -> list[Attempt]:
        """Return those that nobody is working on, though they have not ended."""
        return [attempt for attempt in self.running() if attempt.is_abandoned()]

    def ended_by(self, now: float) -> Ended:
        """Return which attempts have ended, with those of them that are known now."""
        quiet = (now - _QUIET_SECONDS) * 1000
        settled = takewhile(
            lambda context: context.create_time_since_epoch < quiet,
            sorted(self.contexts, key=lambda context: context.id),
        )
        through = max([self.ended.through, *(context.id for context in settled)])
        but = tuple(
            context.id
            for context in self.contexts
            if context.id <= through
            and (context.last_update_time_since_epoch >= quiet or _read(context).state == RUNNING)
        )
        return Ended(through, but)


def read_recent(store: Store) -> Recent:
    """Read the attempts that may not have ended yet."""
    ended = Ended()
    context = store.get_context_by_type_and_name(ENDED_CONTEXT, ENDED_CONTEXT)
    if context is not None:
        noted = json.loads(context.custom_properties[_ENDED_PROPERTY].string_value)
        ended = Ended(noted["through"], tuple(noted["but"]))
    options = _tfx.ml_metadata.ListOptions(
        filter_query=f"type = '{ATTEMPT_CONTEXT}' AND id > {ended.through}",
        # So that where this is read page by page, it ends with the first that has older ones.
        order_by=_tfx.ml_metadata.OrderByField.ID,
        is_asc=False,
    )
    others = store.get_contexts_by_id(ended.but) if ended.but else ()
    return Recent(ended, (*store.get_contexts(options), *others))


def note_ended(store: Store, recent: Recent, now: float | None = None) -> None:
    """Write down which attempts have ended, if that spares others much reading."""
    ended = recent.ended_by(now or time.time())
    covered = sum(context.id <= ended.through for context in recent.contexts)
    if covered - len(ended.but) < _WORTH_WRITING:
        return
    context = store.get_context_by_type_and_name(ENDED_CONTEXT, ENDED_CONTEXT)
    if context is None:
        type_id = _type_id(store, ENDED_CONTEXT)
        context = _tfx.metadata_store_pb2.Context(type_id=type_id, name=ENDED_CONTEXT)
    context.custom_properties[_ENDED_PROPERTY].string_value = json.dumps(vars(ended))
    # Another process may have made it meanwhile; what that one wrote is as true.
    with contextlib.suppress(_tfx.ml_metadata.errors.AlreadyExistsError):
        store.put_contexts([context])


def _change(store: Store, attempt: Attempt, state: str, properties: Mapping[str, str]) -> bool:
    if not is_ours(store, attempt):
        return False
    context = store.get_context_by_type_and_name(ATTEMPT_CONTEXT, _name(attempt))
    if context is None:
        return False
    context.custom_properties["state"].string_value = state
    for key, value in properties.items():
        context.custom_properties[key].string_value = value
    store.put_contexts([context])
    return True


def _name(attempt: Attempt) -> str:
    return _join(attempt.run_id, attempt.node_id, attempt.number)


def _join(run_id: str, node_id: str, number: int) -> str:
    return "/".join(filter(None, (run_id, node_id, str(number))))


def _as_context(attempt: Attempt) -> Any:
    context = _tfx.metadata_store_pb2.Context(name=_name(attempt))
    context.custom_properties["state"].string_value = attempt.state
    context.custom_properties["holder"].string_value = json.dumps(vars(attempt.holder))
    context.custom_properties["until"].string_value = repr(attempt.until)
    return context


def _read(context: _tfx.ContextProto) -> Attempt:
    run_and_node, _, number = context.name.rpartition("/")
    run_id, _, node_id = run_and_node.partition("/")
    properties = context.custom_properties
    return Attempt(
        run_id,
        int(number),
        properties["state"].string_value,
        Holder(**json.loads(properties["holder"].string_value)),
        float(properties["until"].string_value),
        node_id,
    )


def _type_id(store: Store, name: str) -> int:
    try:
        return int(store.get_context_type(name).id)
    except _tfx.ml_metadata.errors.NotFoundError:
        return int(store.put_context_type(_tfx.metadata_store_pb2.ContextType(name=name)))


def _held(attempt: Attempt) -> RunError:
    holder = attempt.holder
    what = f"node {attempt.node_id} of run" if attempt.node_id else "run"
    return RunError(
        f"{what} {attempt.run_id} is being run by process {holder.process_id} on {holder.name}",
        hint="Wait for its end, or stop that process first.",
    )


@functools.cache
def _this_machine() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        # Without these only the term of the lease counts.
        return f"{socket.gethostname()} {time.time_ns()}"


def _is_hidden(process_id: int) -> bool:
    """Whether there is such a process and /proc does not show it, as those of other users."""
    try:
        os.kill(process_id, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _birth(process_id: int) -> int | None:
    """Return when a process started, in clock ticks since the boot, None if there is none."""
    try:
        with open(f"/proc/{process_id}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
