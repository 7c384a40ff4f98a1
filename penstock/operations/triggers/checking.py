"""Looking at a trigger once: what has happened, what is decided, and doing that.

A decision is recorded before it is done, and what is done has the record's token. Whoever looks
next takes up what is recorded and not done. Decisions of one trigger are made by one process at a
time, which holds a lease of it; that is taken only where there is something to do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from penstock import _tfx
from penstock.errors import (
    ParameterError,
    PenstockError,
    RunError,
    ServiceError,
    StoreError,
    UnansweredError,
)
from penstock.metadata.databases.addresses import connection_config
from penstock.metadata.journal import FAILED, INTENDED, TakenError
from penstock.metadata.leases import Lease, held
from penstock.metadata.protocol import Store
from penstock.metadata.runs import RunRecord
from penstock.metadata.store import connect
from penstock.metadata.turns import Held
from penstock.operations.starting import Request, RunState, Started, Starter
from penstock.operations.triggers import records as recording
from penstock.operations.triggers import sources
from penstock.operations.triggers.deciding import Decision, Evidence, Verdict, decide
from penstock.operations.triggers.records import RUNNING, Ledger, Record
from penstock.operations.triggers.steps import OnStep, TriggerStep, ignore
from penstock.project.config import Config
from penstock.project.triggers import Trigger, filled

# So often a run is gone on with whose process has died, then it has failed.
MOST_TRIES = 5


@dataclass(frozen=True)
class Round:
    """What came of looking at a trigger: what was written, and what stands in the way.

    `busy` says that another process has the trigger in hand.
    """

    trigger: str
    changed: tuple[Record, ...] = ()
    problems: tuple[str, ...] = ()
    busy: bool = False


@dataclass
class Watched:
    """A trigger of a project, and what is known of it from one look to the next."""

    name: str
    config: Config
    starter: Starter
    on_step: OnStep = ignore
    who: str = "penstock"
    _decided: Ledger = field(init=False)
    _happened: Ledger = field(init=False)
    _done_runs: dict[tuple[int, int], RunRecord] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._decided = Ledger(recording.journal_of(self.name))
        when = self.trigger.when
        self._happened = Ledger(
            f"alert/{when.alert}" if when.alert else sources.events_journal(self.name)
        )

    @property
    def trigger(self) -> Trigger:
        """What penstock.toml says of it."""
        return self.config.triggers[self.name]

    @property
    def connection(self) -> _tfx.Connection:
        """How the store of its profile is reached."""
        return connection_config(self.config.profile(self.trigger.profile).metadata_address())

    def check(self, now: datetime) -> Round:
        """Look once; `now` has a zone.

        Raises:
          PenstockError: what has happened, or how its runs stand, cannot be found out.
        """
        with connect(self.connection) as metadata, self._other(metadata.store) as other:
            look = _Look(self, metadata.store, other, now)
            if not look.has_something_to_do():
                return Round(self.name)
            try:
                with held(metadata.store, self.connection, f"trigger {self.name}") as lease:
                    self.on_step(TriggerStep.HELD, self.name)
                    return look.act(lease)
            except Held:
                return Round(self.name, busy=True)

    def records(self, store: Store) -> list[Record]:
        """Return what it has decided."""
        return recording.to_records(self._decided.read(store))

    def evidence(
        self, store: Store, other: Store, decided: Sequence[Record], now: datetime
    ) -> list[Evidence]:
        """Return what has happened that it waits for."""
        source = sources.Source(
            self.name,
            self.trigger,
            self.config,
            store,
            other,
            decided,
            now,
            self._happened,
            self._done_runs,
        )
        return sources.evidence(source)

    @contextlib.contextmanager
    def _other(self, store: Store) -> Iterator[Store]:
        """Connect to the store that has what the trigger waits for, where that is another one."""
        own = self.config.profile(self.trigger.profile)
        profile = self.config.profile(self.trigger.when.profile or own.name)
        is_asked_elsewhere = profile.kubeflow is not None and bool(self.trigger.when.upstream)
        if profile == own or is_asked_elsewhere:
            yield store
            return
        with connect(connection_config(profile.metadata_address())) as metadata:
            yield metadata.store


@dataclass
class _Look:
    """One look at a trigger."""

    watched: Watched
    store: Store
    other: Store
    now: datetime
    changed: list[Record] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def has_something_to_do(self) -> bool:
        """Whether anything is to be written or done; nothing of that is done yet."""
        decided = self.watched.records(self.store)
        for record in decided:
            if record.state == INTENDED:
                return True
            if record.state == RUNNING:
                there = self._read(record)
                if there is None or there.state in (RunState.LOST, *_FINAL):
                    return True
        return bool(self._decisions(decided))

    def act(self, lease: Lease) -> Round:
        """Take up what is not done, decide, and do that, as long as the trigger's lease is held."""
        for record in self.watched.records(self.store):
            if record.state == INTENDED:
                self._start(record)
            elif record.state == RUNNING:
                self._follow(record)
        decided = self.watched.records(self.store)
        by_key = {record.evidence.key: record for record in decided}
        for decision in self._decisions(decided):
            if lease.lost.is_set():
                break
            self._do(decision, by_key)
        return Round(
            self.watched.name, tuple(self.changed), tuple(self.problems), lease.lost.is_set()
        )

    def _decisions(self, decided: Sequence[Record]) -> tuple[Decision, ...]:
        evidence = self.watched.evidence(self.store, self.other, decided, self.now)
        past = [record.past for record in decided]
        return decide(self.watched.trigger, evidence, past, self.now)

    def _do(self, decision: Decision, by_key: dict[str, Record]) -> None:
        decision, request = self._request(decision)
        try:
            record = recording.record(
                self.store,
                self.watched.name,
                decision,
                request,
                self.now,
                who=self.watched.who,
                earlier=by_key.get(decision.key),
            )
        except TakenError:
            return  # another process has decided about it, and does it
        self._step(TriggerStep.RECORDED)
        self.changed.append(record)
        if record.state == INTENDED:
            self._start(record)
        for key in decision.replaces:
            self._make_room(by_key[key], decision.key)

    def _request(self, decision: Decision) -> tuple[Decision, Request | None]:
        """Return what run is to be started, or why there cannot be one."""
        if decision.verdict is not Verdict.FIRE:
            return decision, None
        trigger, item = self.watched.trigger, decision.evidence
        profile = self.watched.config.profile(trigger.profile).name
        try:
            parameters = filled(trigger.parameters, item.values)
        except ParameterError as error:
            return Decision(item, Verdict.SKIP, error.message), None
        return decision, Request(
            trigger.run, profile, parameters, name=f"{self.watched.name}: {item.what}"
        )

    def _start(self, record: Record) -> None:
        """Start a run, or find it, and note that."""
        assert record.request is not None
        try:
            started = self.watched.starter.start(record.request, record.token)
        except (
            UnansweredError,
            StoreError,
            OSError,
            _tfx.ml_metadata.errors.StatusError,
        ) as error:
            self._try_again(record, str(error))
            return
        except ServiceError as error:
            if error.transient:
                self._try_again(record, str(error))
            else:
                self._note(record, FAILED, error=str(error), ended=self.now.isoformat())
            return
        except PenstockError as error:
            self._note(record, FAILED, error=str(error), ended=self.now.isoformat())
            return
        self._step(TriggerStep.STARTED)
        self._note(record, RUNNING, run=_as_json(started), problem="")
        self._step(TriggerStep.NOTED)
        if record.ending:
            # Before it had begun there was nothing that could have been asked to end.
            self._make_room(self.changed[-1], record.ending)

    def _try_again(self, record: Record, problem: str) -> None:
        self.problems.append(problem)
        if record.problem != problem:
            self._note(record, record.state, problem=problem)

    def _follow(self, record: Record) -> None:
        """Note how a run has ended, or go on with one whose process has died."""
        there = self._read(record)
        if there is None:
            text = f"run {record.run.get('run_id')} is gone"
            self._note(record, FAILED, error=text, ended=self.now.isoformat())
        elif there.state is RunState.LOST and there.tries >= MOST_TRIES:
            text = f"its process has died {there.tries} times"
            self._note(record, FAILED, error=text, ended=self.now.isoformat())
        elif there.state is RunState.LOST and record.ending:
            self._note(record, recording.CANCELED, ended=self.now.isoformat())
        elif there.state is RunState.LOST:
            self._start(record)
        elif there.state.final:
            state = recording.state_after(there.state)
            self._note(record, state, error=there.error, ended=self.now.isoformat())
        else:
            return
        self._step(TriggerStep.ENDED)

    def _make_room(self, record: Record, key: str) -> None:
        """Ask a run to end that another one takes the place of."""
        assert record.request is not None
        try:
            self.watched.starter.cancel(record.request, record.token)
        except (RunError, ServiceError, StoreError) as error:
            self.problems.append(str(error))
            return
        self._step(TriggerStep.CANCELED)
        self._note(record, record.state, ending=key)
        self._step(TriggerStep.MADE_ROOM)

    def _read(self, record: Record) -> Started | None:
        assert record.request is not None
        return self.watched.starter.read(record.request, record.token)

    def _note(self, record: Record, state: str, **changes: Any) -> None:
        self.changed.append(recording.note(self.store, record, state, **changes))

    def _step(self, step: TriggerStep) -> None:
        self.watched.on_step(step, self.watched.name)


_FINAL = tuple(state for state in RunState if state.final)


def _as_json(started: Started) -> dict[str, Any]:
    return {"run_id": started.run_id, "where": started.where, "address": started.address}
