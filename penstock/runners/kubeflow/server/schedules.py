"""Schedules: a pipeline's version that the server runs again and again.

A schedule is a recurring run of the server. The server can neither change one nor hold its name
unique, so a schedule is known by its name, and its description has a digest of all that it is.
Scheduling the same again changes nothing. For something else a new recurring run is created,
disabled; then the old one is disabled, the new one enabled, and the old one removed. Whatever
interrupts this, two are never enabled at a time, and asking again brings it to its end. Since the
server ends the runs of a recurring run that is removed, one with a run in progress stays until
the next time, disabled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.errors import RunError, ServiceError, UnansweredError, suggestion
from penstock.project.kubernetes import check_no_braces
from penstock.runners.kubeflow.server.operations import FINAL
from penstock.runners.kubeflow.server.service import Service
from penstock.runners.kubeflow.server.versions import Version, equals, runtime_config

_MARK = "penstock schedule "
_OWNER = ", applied by "


@dataclass(frozen=True)
class Timing:
    """When runs start: by a line of cron with six fields, or every so many seconds."""

    cron: str = ""
    seconds: int = 0
    start: datetime | None = None
    end: datetime | None = None

    def trigger(self, start: datetime | None) -> dict[str, Any]:
        """Return how the server is told, with a start that may be another."""
        times = {
            name: _timestamp(at)
            for name, at in (("start_time", start), ("end_time", self.end))
            if at
        }
        if self.cron:
            return {"cron_schedule": {"cron": self.cron, **times}}
        return {"periodic_schedule": {"interval_second": self.seconds, **times}}

    def later_start(self, before: Mapping[str, Any], now: datetime) -> datetime | None:
        """Return the start for what takes the place of another recurring run.

        Times that have gone by are not made up for again, and an interval goes on from where the
        other one has it: else it would begin anew with each deployment, and might never end.
        """
        if self.start is not None and self.start > now:
            return self.start
        if self.cron:
            return now if self.start is not None else None
        trigger = before.get("trigger") or {}
        periodic = trigger.get("periodic_schedule") or {}
        if int(periodic.get("interval_second") or 0) != self.seconds:
            return now if self.start is not None else None
        anchor = datetime.fromisoformat(periodic.get("start_time") or before["created_at"])
        gone = (now - anchor) // timedelta(seconds=self.seconds)
        return anchor + max(gone, 0) * timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class Schedule:
    """What is to run, when, and how many of its runs at a time.

    `owner` is who has declared it, "" for one that somebody has asked for by hand.
    """

    name: str
    version: Version
    timing: Timing
    parameters: Mapping[str, Any]
    experiment_id: str
    catch_up: bool = False
    concurrency: int = 1
    service_account: str = ""
    pipeline_root: str = ""
    enabled: bool = True
    owner: str = ""

    def __post_init__(self) -> None:
        check_no_braces(self.name, "the name of the schedule")
        check_no_braces(self.pipeline_root, "pipeline_root")

    def body(self, start: datetime | None) -> dict[str, Any]:
        """Return what the server is sent: a recurring run that is not enabled yet."""
        return {**self._settings(start), "description": self.description}

    def _settings(self, start: datetime | None) -> dict[str, Any]:
        account = {"service_account": self.service_account} if self.service_account else {}
        return {
            "display_name": self.name,
            "experiment_id": self.experiment_id,
            "pipeline_version_reference": self.version.reference(),
            "runtime_config": runtime_config(self.parameters, self.pipeline_root),
            "trigger": self.timing.trigger(start),
            "max_concurrency": self.concurrency,
            "no_catchup": not self.catch_up,
            "mode": "DISABLE",
            **account,
        }

    @property
    def description(self) -> str:
        """A mark with a digest of all that is asked for."""
        settings = json.dumps(self._settings(self.timing.start), sort_keys=True)
        digest = hashlib.sha256(settings.encode()).hexdigest()
        owner = f"{_OWNER}{self.owner}" if self.owner else ""
        return f"{_MARK}{digest[:16]}, version {self.version.name}{owner}"


@dataclass(frozen=True)
class Scheduled:
    """What became of asking for a schedule.

    `change` is created, moved, enabled, disabled or unchanged.
    """

    recurring_run_id: str
    change: str
    left: tuple[str, ...] = ()


def apply(service: Service, schedule: Schedule, now: datetime | None = None) -> Scheduled:
    """Make the server run a pipeline by a schedule, which takes the place of one of its name.

    Raises:
      UnansweredError: nobody can say whether all of it has happened; ask again.
      ServiceError: the server cannot be reached, or refuses.
    """
    there = find(service, schedule.name)
    same = [r for r in there if r.get("description") == schedule.description]
    others = [r for r in there if r not in same]
    if not same:
        moment = now or datetime.now(UTC)
        start = schedule.timing.start
        if others:
            start = schedule.timing.later_start(others[-1], moment)
        same = _create(service, schedule, start)
    kept, *twins = same
    old = [*twins, *others]
    for recurring_run in old:
        if _is_enabled(recurring_run):
            switch(service, recurring_run["recurring_run_id"], on=False)
    was_as_wanted = _is_enabled(kept) == schedule.enabled
    if not was_as_wanted:
        switch(service, kept["recurring_run_id"], on=schedule.enabled)
    left = [r["recurring_run_id"] for r in old if not _remove(service, r["recurring_run_id"])]
    created = kept["recurring_run_id"] not in {r["recurring_run_id"] for r in there}
    if created:
        change = "moved" if others else "created"
    else:
        switched = "enabled" if schedule.enabled else "disabled"
        change = "unchanged" if was_as_wanted and not others else switched
    return Scheduled(kept["recurring_run_id"], change, tuple(left))


def is_as_wanted(there: Sequence[Mapping[str, Any]], schedule: Schedule) -> bool:
    """Whether the recurring runs of a schedule's name are what asking for it would leave."""
    return [(r.get("description"), _is_enabled(r)) for r in there] == [
        (schedule.description, schedule.enabled)
    ]


def owner_of(recurring_run: Mapping[str, Any]) -> str:
    """Return who has declared a recurring run of ours, "" if nobody has."""
    return str(recurring_run.get("description", "")).partition(_OWNER)[2]


def _create(service: Service, schedule: Schedule, start: datetime | None) -> list[dict[str, Any]]:
    """Create a disabled recurring run; the answer may be several, which do no harm yet."""
    try:
        created = service.post(
            "/recurringruns", f"create the schedule {schedule.name}", schedule.body(start)
        )
    except UnansweredError:
        for pause in (*service.patience.settling, 0):
            with contextlib.suppress(ServiceError):
                if existing := _same(service, schedule):
                    return existing
            service.patience.sleep(pause)
        raise
    return _same(service, schedule) or [created]


def _same(service: Service, schedule: Schedule) -> list[dict[str, Any]]:
    there = find(service, schedule.name)
    return [r for r in there if r.get("description") == schedule.description]


def find(service: Service, name: str) -> list[dict[str, Any]]:
    """Return the recurring runs of a name that are ours, the oldest first."""
    return [r for r in _ours(service, equals("display_name", name)) if r["display_name"] == name]


def find_all(service: Service) -> list[dict[str, Any]]:
    """Return all recurring runs that are ours, the oldest first."""
    return _ours(service, "")


def _ours(service: Service, predicate: str) -> list[dict[str, Any]]:
    where = {"namespace": service.namespace, "filter": predicate}
    listed = service.listed("/recurringruns", "recurringRuns", "list the schedules", **where)
    own = [r for r in listed if str(r.get("description", "")).startswith(_MARK)]
    return sorted(own, key=lambda r: (r.get("created_at", ""), r["recurring_run_id"]))


def named(service: Service, name: str) -> list[dict[str, Any]]:
    """Return the recurring runs of a schedule, of which there is one unless a move was cut short.

    Raises:
      RunError: there is no schedule of the name.
    """
    schedules = find(service, name)
    if not schedules:
        names = {r["display_name"] for r in find_all(service)}
        raise RunError(
            f"there is no schedule {name!r}", hint=suggestion(name, names, noun="schedule")
        )
    return schedules


def enable(service: Service, name: str) -> None:
    """Enable the newest recurring run of a schedule."""
    *older, newest = named(service, name)
    for recurring_run in older:
        switch(service, recurring_run["recurring_run_id"], on=False)
    switch(service, newest["recurring_run_id"], on=True)


def disable(service: Service, name: str) -> None:
    """Disable a schedule; its runs in progress go on."""
    for recurring_run in named(service, name):
        switch(service, recurring_run["recurring_run_id"], on=False)


def delete(service: Service, name: str) -> tuple[str, ...]:
    """Remove a schedule, and return the recurring runs that stay while a run is in progress."""
    schedules = named(service, name)
    for schedule in schedules:
        switch(service, schedule["recurring_run_id"], on=False)
    ids = [schedule["recurring_run_id"] for schedule in schedules]
    return tuple(identifier for identifier in ids if not _remove(service, identifier))


def switch(service: Service, recurring_run_id: str, *, on: bool) -> None:
    """Enable or disable a recurring run; may be asked again."""
    verb = "enable" if on else "disable"
    path = f"/recurringruns/{recurring_run_id}:{verb}"
    service.again(lambda: service.post(path, f"{verb} a schedule"))


def _remove(service: Service, recurring_run_id: str) -> bool:
    """Remove a disabled recurring run unless one of its runs is in progress."""
    runs = service.listed(
        "/runs",
        "runs",
        "list a schedule's runs",
        namespace=service.namespace,
        filter=equals("recurring_run_id", recurring_run_id),
    )
    if any(run.get("state") not in FINAL for run in runs):
        return False

    def attempt() -> None:
        try:
            service.delete(f"/recurringruns/{recurring_run_id}", "remove a schedule")
        except ServiceError as error:
            if error.status != 404:
                raise

    service.again(attempt)
    return True


def _is_enabled(recurring_run: Mapping[str, Any]) -> bool:
    return recurring_run.get("status") == "ENABLED"


def _timestamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
