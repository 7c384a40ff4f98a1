"""Saying what has come of runs and telling sinks, once, or until somebody asks that it ends."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from penstock import _tfx
from penstock.errors import PenstockError
from penstock.metadata.databases.addresses import connection_config
from penstock.metadata.protocol import Store
from penstock.metadata.runs import RunRecord, find_run
from penstock.metadata.store import connect
from penstock.operations.alarm import Alarm
from penstock.operations.alerts import outcomes
from penstock.operations.alerts.delivering import Delivery, deliver
from penstock.project.alerting import Sink
from penstock.project.config import Config
from penstock.project.notifications import Notification
from penstock.project.profiles import Profile

# What may stand in the way of telling anybody.
UNTOLD = (PenstockError, OSError, _tfx.ml_metadata.errors.StatusError)


@dataclass
class Watched:
    """Whose alerts are told to whom: those of a profile's store, and of what its runs come to."""

    config: Config
    profile: Profile
    who: str
    sinks: Sequence[Sink]
    _done_runs: MutableMapping[tuple[int, int], RunRecord] = field(default_factory=dict, init=False)

    @property
    def connection(self) -> _tfx.Connection:
        """How to connect to the store."""
        return connection_config(self.profile.metadata_address())

    def deliver(self) -> tuple[Delivery, ...]:
        """Say what has come of runs, and tell sinks what there is to tell now.

        Raises:
          StoreError: the store cannot be reached, or is not there yet.
        """
        rules = list(self.config.notifications.values())
        connection = self.connection
        with connect(connection, create=False) as metadata:
            now = datetime.now(UTC)
            if rules:
                found = self._outcomes(metadata.store, rules)
                outcomes.say(metadata.store, rules, found, now, who=self.who)
            return deliver(metadata.store, connection, self.sinks, now, who=self.who)

    def deliver_run(self, run_id: str) -> tuple[Delivery, ...]:
        """Say what has come of a run that has ended, and tell sinks; nothing where nobody asks."""
        connection = self.connection
        with connect(connection, create=False) as metadata:
            run = find_run(metadata.store, run_id)
            outcome = outcomes.outcome_of(run)
            rules = [
                r for r in self.config.notifications.values() if r.pipeline == run.pipeline_name
            ]
            if outcome is None or not rules:
                return ()
            now, found = datetime.now(UTC), {run.pipeline_name: [outcome]}
            outcomes.say(metadata.store, rules, found, now, who=self.who, of_now=run_id)
            return deliver(metadata.store, connection, self.sinks, now, who=self.who)

    def _outcomes(
        self, store: Store, rules: Sequence[Notification]
    ) -> dict[str, list[outcomes.Outcome]]:
        if self.profile.kubeflow is None:
            return outcomes.outcomes_in(store, self._done_runs)
        from penstock.operations.alerts.outcomes_on_kubeflow import outcomes_on

        return outcomes_on(self.profile, [rule.pipeline for rule in rules])


def watch(
    watched: Watched,
    alarm: Alarm,
    seconds: float,
    told: Callable[[Sequence[Delivery], str], None],
) -> None:
    """Tell sinks every so many seconds, and when the alarm is woken, until it says the end.

    `told` is given what came of it, and what stands in the way of all. Several may watch.
    """
    while not alarm.ending:
        try:
            told(watched.deliver(), "")
        except UNTOLD as error:
            told((), str(error))
        if not alarm.ending:
            alarm.sleep(seconds)
