"""Attempts at a run: who is running it now, and whether that process is still alive.

Each process that works on a run, at first or to resume it, makes an attempt: a turn
(`penstock.metadata.turns`) of type `run_attempt` named `{run}/{number}`. Where each node is run by
a process of its own, these make attempts at their nodes, named `{run}/{node}/{number}`.

Attempts stay in the store, as runs do: ML Metadata has no call that removes a context. So that
nobody has to read those that are long over, a context of type `ended_attempts` says up to which of
them all have ended, and which have not. That is true for ever, because what has ended does not
begin again. So it does not matter which of several processes writes it last.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from itertools import count, takewhile
from typing import TYPE_CHECKING

from penstock import _tfx
from penstock.metadata import turns
from penstock.metadata.protocol import Store
from penstock.metadata.rows import MalformedRowError, Row, json_of, property_or, readable, text_of
from penstock.metadata.turns import RUNNING, Turn

if TYPE_CHECKING:
    from ml_metadata.proto.metadata_store_pb2 import Context

ATTEMPT_CONTEXT = "run_attempt"
ENDED_CONTEXT = "ended_attempts"
_ENDED_PROPERTY = "ended"

# What is younger may be followed by one with a smaller id, of a transaction that takes longer, or
# be set to running once more by a renewal that had read the state before the end. Clocks of
# several machines may differ by less than that too.
_QUIET_SECONDS = turns.QUIET_SECONDS
# So many attempts are read in vain before it is written that they have ended.
_WORTH_WRITING = 50


@dataclass(frozen=True)
class Attempt(Turn):
    """An attempt at a run, or at one of its nodes."""

    kind: str = ATTEMPT_CONTEXT

    @property
    def run_id(self) -> str:
        """The run that it is an attempt at."""
        return self.name.partition("/")[0]

    @property
    def node_id(self) -> str:
        """The node that it is an attempt at, "" where it is the run."""
        return self.name.partition("/")[2]

    @property
    def subject(self) -> str:
        """What it is an attempt at, in words."""
        return f"node {self.node_id} of run {self.run_id}" if self.node_id else f"run {self.run_id}"


def begin(store: Store, run_id: str, node_id: str = "") -> Attempt:
    """Take the next attempt at a run or a node; an abandoned one must have been marked before.

    Raises:
      RunError: another process is at it.
    """
    return turns.take(store, Attempt, _join(run_id, node_id))


def attempts(store: Store, run_id: str, node_id: str = "") -> list[Attempt]:
    """Return the attempts at a run, or at one of its nodes, that can be read, in their order."""
    name, contexts = _join(run_id, node_id), []
    for number in count(1):
        context = store.get_context_by_type_and_name(ATTEMPT_CONTEXT, f"{name}/{number}")
        if context is None:
            break
        contexts.append(context)
    return list(readable(contexts, _read))


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
        """Return those that have not ended, abandoned ones among them; not what is unreadable."""
        entries = readable(self.contexts, _read)
        return [attempt for attempt in entries if attempt.state == RUNNING]

    def held_runs(self) -> frozenset[str]:
        """Return the runs that somebody works on, or may: an attempt may be unreadable."""
        held = {attempt.run_id for attempt in self.running() if not attempt.is_abandoned()}
        doubtful = {c.name.partition("/")[0] for c in self.contexts if _is_doubtful(c)}
        return frozenset(held | doubtful)

    def runs_under_way(self) -> frozenset[str]:
        """Return the runs that one process works on, or may.

        Not those whose nodes have a process each: between two nodes nobody works on them.
        """
        held = self.held_runs()
        of_nodes = {
            context.name.partition("/")[0]
            for context in self.contexts
            if context.name.count("/") > 1
        }
        return held - of_nodes

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
            and (context.last_update_time_since_epoch >= quiet or _may_run(context))
        )
        return Ended(through, but)


def read_recent(store: Store) -> Recent:
    """Read the attempts that may not have ended yet."""
    ended = Ended()
    context = store.get_context_by_type_and_name(ENDED_CONTEXT, ENDED_CONTEXT)
    if context is not None:
        row = Row(ENDED_CONTEXT, context.id, context.name)
        ended = property_or(row, _ENDED_PROPERTY, lambda: read_ended(context), ended)
    options = _tfx.ml_metadata.ListOptions(
        filter_query=f"type = '{ATTEMPT_CONTEXT}' AND id > {ended.through}",
        # So that where this is read page by page, it ends with the first that has older ones.
        order_by=_tfx.ml_metadata.OrderByField.ID,
        is_asc=False,
    )
    others = store.get_contexts_by_id(ended.but) if ended.but else ()
    return Recent(ended, (*store.get_contexts(options), *others))


def read_ended(context: Context) -> Ended:
    """Return which attempts a context says have ended.

    Raises:
      ValueError: it is none that says so.
    """
    noted = json_of(text_of(context, _ENDED_PROPERTY), dict, _ENDED_PROPERTY)
    ended = Ended(noted["through"], tuple(noted["but"]))
    if not all(isinstance(number, int) for number in (ended.through, *ended.but)):
        raise ValueError(f"expected ids of attempts, got {noted!r}")
    return ended


def _read(context: Context) -> Attempt:
    return turns.read(Attempt, context)


def _is_doubtful(context: Context) -> bool:
    """Whether an attempt cannot be read and may be under way."""
    try:
        _read(context)
    except MalformedRowError:
        return not turns.is_over(context)
    return False


def _may_run(context: Context) -> bool:
    try:
        return _read(context).state == RUNNING
    except MalformedRowError:
        return not turns.is_over(context)


def note_ended(store: Store, recent: Recent, now: float | None = None) -> None:
    """Write down which attempts have ended, if that spares others much reading."""
    ended = recent.ended_by(now or time.time())
    covered = sum(context.id <= ended.through for context in recent.contexts)
    if covered - len(ended.but) < _WORTH_WRITING:
        return
    context = store.get_context_by_type_and_name(ENDED_CONTEXT, ENDED_CONTEXT)
    if context is None:
        type_id = turns.context_type_id(store, ENDED_CONTEXT)
        context = _tfx.metadata_store_pb2.Context(type_id=type_id, name=ENDED_CONTEXT)
    context.custom_properties[_ENDED_PROPERTY].string_value = json.dumps(vars(ended))
    # Another process may have made it meanwhile; what that one wrote is as true.
    with contextlib.suppress(_tfx.ml_metadata.errors.AlreadyExistsError):
        store.put_contexts([context])


def _join(run_id: str, node_id: str) -> str:
    return f"{run_id}/{node_id}" if node_id else run_id
