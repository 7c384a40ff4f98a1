"""What penstock.toml declares for a server, and bringing the server to it.

Experiments and versions are only ever made: runs refer to them. Schedules are made, changed and
removed. Those that may be removed were applied by the same owner before, which stands in their
descriptions: what somebody has scheduled by hand, or another project, is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.runners.kubeflow.contract.documents import Documents
from penstock.runners.kubeflow.server import schedules, versions
from penstock.runners.kubeflow.server.schedules import Schedule, Timing
from penstock.runners.kubeflow.server.service import Service
from penstock.runners.kubeflow.server.versions import Version

CREATED, CHANGED, UNCHANGED, REMOVED = "created", "changed", "unchanged", "removed"
EXPERIMENT, VERSION, SCHEDULE = "experiment", "version", "schedule"

_CHANGES = {"created": CREATED, "unchanged": UNCHANGED}


@dataclass(frozen=True)
class DeclaredSchedule:
    """A schedule, with the pipeline that it runs as its documents."""

    name: str
    documents: Documents
    timing: Timing
    experiment: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    catch_up: bool = False
    concurrency: int = 1
    enabled: bool = True


@dataclass(frozen=True)
class Declared:
    """All that there should be; `owner` tells whose schedules are to be removed."""

    owner: str
    experiments: tuple[str, ...] = ()
    pipelines: tuple[Documents, ...] = ()
    schedules: tuple[DeclaredSchedule, ...] = ()
    service_account: str = ""

    def all_experiments(self) -> list[str]:
        """Return the experiments that are declared, and those that schedules are in."""
        return list(dict.fromkeys([*self.experiments, *(s.experiment for s in self.schedules)]))

    def all_pipelines(self) -> list[Documents]:
        """Return the pipelines that are declared, and those that schedules run."""
        every = [*self.pipelines, *(s.documents for s in self.schedules)]
        return list({(d.name, d.fingerprint): d for d in every}.values())


@dataclass(frozen=True)
class Change:
    """What becomes, or has become, of something: `change` is one of the four above."""

    kind: str
    name: str
    change: str
    detail: str = ""


def plan(service: Service, declared: Declared) -> list[Change]:
    """Return what would change; nothing is changed.

    Raises:
      ServiceError: the server cannot be reached, or refuses.
    """
    return list(_plan(service, declared))


def _plan(service: Service, declared: Declared) -> Iterator[Change]:
    experiments: dict[str, str] = {}
    for name in declared.all_experiments():
        found = versions.find_experiment(service, name)
        if found is not None:
            experiments[name] = str(found["experiment_id"])
        yield Change(EXPERIMENT, name, UNCHANGED if found else CREATED)
    uploaded: dict[str, Version] = {}
    for documents in declared.all_pipelines():
        version = _find_version(service, documents)
        if version is not None:
            uploaded[documents.fingerprint] = version
        made = UNCHANGED if version else CREATED
        yield Change(VERSION, documents.name, made, documents.fingerprint)
    for one in declared.schedules:
        there = schedules.find(service, one.name)
        version = uploaded.get(one.documents.fingerprint)
        experiment = experiments.get(one.experiment)
        if not there:
            change = CREATED
        elif version is None or experiment is None:
            change = CHANGED
        else:
            wanted = _schedule(declared, one, version, experiment)
            change = UNCHANGED if schedules.is_as_wanted(there, wanted) else CHANGED
        yield Change(SCHEDULE, one.name, change, _when(one.timing))
    for name in _left_over(service, declared):
        yield Change(SCHEDULE, name, REMOVED)


def carry_out(service: Service, declared: Declared) -> Iterator[Change]:
    """Bring the server to what is declared, and yield what became of each thing as it is done.

    May be done again, whatever interrupted it.

    Raises:
      UnansweredError: nobody can say whether a change has happened; do it again.
      ServiceError: the server cannot be reached, or refuses.
    """
    experiments: dict[str, str] = {}
    for name in declared.all_experiments():
        was_there = versions.find_experiment(service, name) is not None
        experiments[name] = versions.experiment_id(service, name)
        yield Change(EXPERIMENT, name, UNCHANGED if was_there else CREATED)
    uploaded: dict[str, Version] = {}
    for documents in declared.all_pipelines():
        version = versions.upload(service, documents)
        uploaded[documents.fingerprint] = version
        made = CREATED if version.created else UNCHANGED
        yield Change(VERSION, documents.name, made, documents.fingerprint)
    for one in declared.schedules:
        version, experiment = uploaded[one.documents.fingerprint], experiments[one.experiment]
        done = schedules.apply(service, _schedule(declared, one, version, experiment))
        change = _CHANGES.get(done.change, CHANGED)
        yield Change(SCHEDULE, one.name, change, _when(one.timing))
    for name in _left_over(service, declared):
        left = schedules.delete(service, name)
        yield Change(SCHEDULE, name, REMOVED, _STAYS if left else "")


_STAYS = "disabled: a run of it is in progress, and it is removed the next time"


def _find_version(service: Service, documents: Documents) -> Version | None:
    pipeline = versions.find_pipeline(service, documents.name)
    if pipeline is None:
        return None
    pipeline_id = str(pipeline["pipeline_id"])
    found = versions.find_version(service, pipeline_id, documents.fingerprint)
    if found is None:
        return None
    return Version(pipeline_id, str(found["pipeline_version_id"]), documents.fingerprint)


def _schedule(
    declared: Declared, one: DeclaredSchedule, version: Version, experiment_id: str
) -> Schedule:
    return Schedule(
        name=one.name,
        version=version,
        timing=one.timing,
        parameters=one.parameters,
        experiment_id=experiment_id,
        catch_up=one.catch_up,
        concurrency=one.concurrency,
        service_account=declared.service_account,
        pipeline_root=one.documents.pipeline_root,
        enabled=one.enabled,
        owner=declared.owner,
    )


def _left_over(service: Service, declared: Declared) -> list[str]:
    """Return the schedules that the owner has applied before and declares no longer."""
    names = {one.name for one in declared.schedules}
    own = [r for r in schedules.find_all(service) if schedules.owner_of(r) == declared.owner]
    return sorted({str(r["display_name"]) for r in own} - names)


def _when(timing: Timing) -> str:
    return f"cron {timing.cron}" if timing.cron else f"every {timing.seconds} s"
