"""Judging the windows of a monitor that are due: a run each, and the alerts that follow from it.

That a window is going to be judged is recorded before its run is started under the record's token,
so whoever comes after a crash finds the run. Windows of one monitor are judged by one process at a
time, in the order of event time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from penstock import _tfx
from penstock.errors import (
    DataError,
    PenstockError,
    RunError,
    ServiceError,
    UnansweredError,
)
from penstock.metadata.databases.addresses import connection_config
from penstock.metadata.journal import INTENDED, TakenError
from penstock.metadata.leases import Lease, held
from penstock.metadata.protocol import Store
from penstock.metadata.store import connect
from penstock.metadata.turns import Held
from penstock.monitoring.labels import labels_fingerprint
from penstock.operations.alarm import Alarm
from penstock.operations.alerts.judging import judge
from penstock.operations.monitors import records
from penstock.operations.monitors.deciding import Due, Logged, due, windows_in
from penstock.operations.monitors.records import Judgement, Summary
from penstock.operations.monitors.reports import read_reports, reports_of_run
from penstock.operations.monitors.steps import MonitorStep, OnStep, ignore
from penstock.operations.starting import Request, RunState, Started, Starter
from penstock.project.config import Config
from penstock.project.monitors import Monitor
from penstock.safety.users import user_and_machine
from penstock.serving.log.reading import list_spans

_LOOK_SECONDS = 0.5
# So often a run is gone on with whose process has died, then it has failed.
_MOST_PROCESSES = 5


@dataclass(frozen=True)
class Round:
    """What came of looking at a monitor; `busy` says that another process has it in hand."""

    monitor: str
    judged: tuple[Judgement, ...] = ()
    problems: tuple[str, ...] = ()
    busy: bool = False

    @property
    def alarms(self) -> int:
        """How many measures are alarms, of all windows together."""
        return sum(one.summary.alarms for one in self.judged)


@dataclass
class Monitored:
    """A monitor of a project; `told` hears of each window when it is judged."""

    monitor: Monitor
    config: Config
    starter: Starter
    on_step: OnStep = ignore
    told: Callable[[Judgement], None] = lambda _: None
    who: str = field(default_factory=user_and_machine)

    @property
    def connection(self) -> _tfx.Connection:
        """How the store of its profile is reached."""
        return connection_config(self.config.profile(self.monitor.profile).metadata_address())

    def logged(self) -> list[Logged]:
        """Return the windows of which the log has something.

        Raises:
          PenstockError: it cannot be looked at.
        """
        return windows_in(_fingerprints(self.monitor), self.monitor)

    def run(
        self, now: datetime, alarm: Alarm, *, again: Sequence[str] = (), most: int | None = None
    ) -> Round:
        """Judge the windows that are due, the last `most` of them, and those of the keys `again`.

        Raises:
          PenstockError: the log, the labels or the store cannot be looked at.
        """
        logged, labels = self.logged(), labels_fingerprint(self.monitor.labels)
        with connect(self.connection) as metadata:
            store = metadata.store
            judged = records.last_judgements(store, self.monitor.name)
            if not records.unfinished(judged) and not self._plan(
                judged, logged, labels, now, again, most
            ):
                return Round(self.monitor.name)
            try:
                with held(store, self.connection, f"monitor {self.monitor.name}") as lease:
                    self._step(MonitorStep.HELD)
                    judging = _Judging(self, store, lease, alarm, now, labels)
                    judging.take_up()
                    judged = records.last_judgements(store, self.monitor.name)
                    for one in self._plan(judged, logged, labels, now, again, most):
                        if lease.lost.is_set() or alarm.ending:
                            break
                        judging.judge(one)
                    return Round(self.monitor.name, tuple(judging.judged), tuple(judging.problems))
            except Held:
                return Round(self.monitor.name, busy=True)

    def _plan(
        self,
        judged: Sequence[Judgement],
        logged: list[Logged],
        labels: str,
        now: datetime,
        again: Sequence[str],
        most: int | None,
    ) -> list[Due]:
        past = {one.window.key: one.past for one in judged}
        found = due(self.monitor, logged, past, labels, now)
        if most is not None:
            found = found[-most:] if most else []
        keys = {one.logged.window.key for one in found}
        asked = [
            Due(one, "somebody asked for it")
            for one in logged
            if one.window.key in again and one.window.key not in keys
        ]
        return sorted([*found, *asked], key=lambda one: one.logged.window.begin)

    def _step(self, step: MonitorStep) -> None:
        self.on_step(step, self.monitor.name)


@dataclass
class _Judging:
    """Windows that are judged under one lease."""

    monitored: Monitored
    store: Store
    lease: Lease
    alarm: Alarm
    now: datetime
    labels: str
    judged: list[Judgement] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def monitor(self) -> Monitor:
        return self.monitored.monitor

    def take_up(self) -> None:
        """End what somebody has begun."""
        for one in records.unfinished(records.last_judgements(self.store, self.monitor.name)):
            self._carry_out(one)

    def judge(self, one: Due) -> None:
        """Judge a window."""
        window = one.logged.window
        last = next(
            (
                judged
                for judged in reversed(records.history(self.store, self.monitor.name, window))
                if judged.fingerprint == one.logged.fingerprint and judged.error
            ),
            None,
        )
        content = {
            "why": one.why,
            "fingerprint": one.logged.fingerprint,
            "labels": self.labels,
            "model": self.monitor.model,
            "tries": 1 + (last.tries if last is not None else 0),
        }
        try:
            intended = records.intend(
                self.store, self.monitor.name, window, content, who=self.monitored.who
            )
        except TakenError:
            return  # another process has taken the lease, and judges it
        self._step(MonitorStep.RECORDED)
        self._carry_out(intended)

    def _carry_out(self, judged: Judgement) -> None:
        assert judged.entry is not None
        assert judged.state == INTENDED
        profile = self.monitored.config.profile(self.monitor.profile).name
        request = Request(
            self.monitor.pipeline,
            profile,
            {"first_span": judged.window.first, "last_span": judged.window.last},
            name=f"{self.monitor.name}: {judged.window.key}",
        )
        try:
            ended = self._ended(request, judged.entry.token)
        except (UnansweredError, OSError, _tfx.ml_metadata.errors.StatusError) as error:
            self.problems.append(f"{judged.window.key}: {error}")
            return  # it is taken up by the next one
        except ServiceError as error:
            if error.transient:
                self.problems.append(f"{judged.window.key}: {error}")
                return
            self._conclude(judged, "", str(error))
            return
        except PenstockError as error:
            self._conclude(judged, "", str(error))
            return
        if ended is None:
            return
        self._step(MonitorStep.ENDED)
        failure = ""
        if ended.state is not RunState.SUCCEEDED:
            failure = ended.error or f"run {ended.run_id} is {ended.state.value}"
        self._settle(judged, ended.run_id, failure)

    def _ended(self, request: Request, token: str) -> Started | None:
        """Start the run, or find it, and return how it ended; None where we are to end first."""
        started = self.monitored.starter.start(request, token)
        self._step(MonitorStep.STARTED)
        while not started.state.final:
            if self.alarm.ending or self.lease.lost.is_set():
                return None
            if started.state is RunState.LOST:
                if started.tries >= _MOST_PROCESSES:
                    raise RunError(f"the process of run {started.run_id} has died too often")
                started = self.monitored.starter.start(request, token)
                continue
            self.alarm.sleep(_LOOK_SECONDS)
            there = self.monitored.starter.read(request, token)
            if there is None:
                raise RunError(f"run {started.run_id} is gone")
            started = there
        return started

    def _settle(self, judged: Judgement, run_id: str, error: str) -> None:
        """Take what a run has measured, also one that failed in part, to alerts and the store."""
        try:
            uris = reports_of_run(self.store, run_id)
            report = read_reports(uris)
        except (DataError, ValueError, RunError) as unread:
            self._conclude(judged, run_id, error or str(unread))
            return
        changed = judge(
            self.store,
            self.monitor.name,
            self.monitor.alerts,
            report,
            self.now,
            who=self.monitored.who,
            data={"run": run_id},
        )
        self._step(MonitorStep.ALERTED)
        self._conclude(judged, run_id, error, Summary.of(report, uris), sorted(changed))

    def _conclude(
        self,
        judged: Judgement,
        run_id: str,
        error: str,
        summary: Summary | None = None,
        alerts: Sequence[str] = (),
    ) -> None:
        concluded = records.conclude(
            self.store,
            judged,
            error=error,
            run_id=run_id,
            alerts=list(alerts),
            **({"summary": records.summary_as_json(summary)} if summary is not None else {}),
        )
        self.judged.append(concluded)
        if error:
            self.problems.append(f"{judged.window.key}: {error}")
        self._step(MonitorStep.CONFIRMED)
        self.monitored.told(concluded)

    def _step(self, step: MonitorStep) -> None:
        self.monitored.on_step(step, self.monitor.name)


def _fingerprints(monitor: Monitor) -> dict[int, str]:
    """Return what there is of each span, rows and measures, as text that changes with it."""
    folder, _, model = monitor.log.rstrip("/").rpartition("/")
    found: dict[int, str] = {}
    for kind, span in _listed(folder, model, monitor.log_span):
        found[span.number] = f"{found.get(span.number, '')} {kind} {span.fingerprint}"
    return found


def _listed(folder: str, model: str, log_span: str) -> Iterator[tuple[str, Any]]:
    for kind, measures in (("rows", False), ("measures", True)):
        for span in list_spans(folder, model, log_span, measures=measures):
            yield kind, span
