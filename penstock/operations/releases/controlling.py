"""Carrying a release out: each step is recorded, taken, and confirmed.

One process at a time decides for a deployment; it holds a lease. Whoever comes after a crash finds
the step that is recorded, and takes it again: what is done has the step's token, so that doing it
twice is doing it once. What the target, the store or a monitor does not tell changes nothing that
serves.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from penstock import _tfx, registry
from penstock.data.files import remote
from penstock.errors import DataError, RegistryError, RunError, StoreError
from penstock.metadata import registered
from penstock.metadata.journal import DONE, FAILED, UNDONE, TakenError
from penstock.metadata.leases import Lease, held
from penstock.metadata.protocol import Store
from penstock.metadata.store import artifacts_by_id, connect
from penstock.models.layout import model_directory, serving_model_directory
from penstock.models.loading import trusted_code
from penstock.operations.alarm import Alarm
from penstock.operations.releases import collecting, records, shadow_report
from penstock.operations.releases.deciding import (
    Action,
    Conclude,
    Decision,
    Drop,
    Seen,
    Take,
    Write,
    decide,
)
from penstock.operations.releases.records import (
    ALIAS,
    PREPARE,
    REMOVE,
    REPORT,
    ROLLBACK,
    SHIFT,
    Release,
    Step,
)
from penstock.operations.releases.steps import OnStep, ReleaseStep, ignore
from penstock.operations.releases.targets.protocol import FAILED as NOT_LOADED
from penstock.operations.releases.targets.protocol import (
    READY,
    AwayError,
    Target,
    TargetError,
)
from penstock.project.deployments import Deployment
from penstock.serving.routes import CANARY, Servable


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Controller:
    """What releases of a deployment are carried out with.

    `connection` is that of the store that has them. `folder` is the project's, where commands run,
    and `root` where reports on shadows are written.
    """

    deployment: Deployment
    target: Target
    connection: _tfx.Connection
    folder: Path
    root: str
    who: str
    on_step: OnStep = ignore
    now: Callable[[], datetime] = _now

    @property
    def lease_name(self) -> str:
        """The lease that whoever decides has to hold."""
        return f"releases of {self.deployment.name}"


@dataclass(frozen=True)
class Look:
    """What came of looking at a release: how it stands, what was decided, what stands in the way.

    `written` are steps that were written or confirmed meanwhile.
    """

    release: Release
    decision: Decision = field(default_factory=Decision)
    problem: str = ""
    written: tuple[Step, ...] = ()

    @property
    def waits_for(self) -> str:
        """What is waited for, "" for nothing."""
        told = [self.decision.waits_for, self.problem]
        return "; ".join(dict.fromkeys(text for text in told if text))


def watch(
    controller: Controller, alarm: Alarm, seconds: float, told: Callable[[Look], None]
) -> Release:
    """Carry the last release out, until it is over or the alarm says the end.

    Evidence is looked at anew every so many seconds, whatever is waited for.

    Raises:
      Held: another process is at it.
      RunError: there was no release yet.
    """
    with (
        connect(controller.connection, create=False) as metadata,
        held(metadata.store, controller.connection, controller.lease_name) as lease,
    ):
        name = controller.deployment.name
        controller.on_step(ReleaseStep.HELD, name)
        looked: Look | None = None
        while True:
            try:
                looked = look(controller, metadata.store, lease)
            except (StoreError, _tfx.ml_metadata.errors.StatusError) as error:
                if looked is None or lease.lost.is_set():
                    raise
                # The store may be there again; what serves goes on meanwhile.
                looked = Look(looked.release, problem=str(error))
            told(looked)
            if looked.release.is_over or alarm.ending:
                return looked.release
            alarm.sleep(seconds)
            if alarm.ending:
                return looked.release


def look(controller: Controller, store: Store, lease: Lease) -> Look:
    """Take all steps of the last release that can be taken now.

    Raises:
      RunError: there was no release yet.
      StoreError: another process has taken this one for abandoned.
    """
    release = records.last_release(store, controller.deployment.name)
    if release is None:
        raise RunError(
            f"there was no release of {controller.deployment.name} yet",
            hint=f"Start one: penstock release start {controller.deployment.model}@challenger.",
        )
    return _Looking(controller, store, lease, release).until_it_waits()


@dataclass
class _Looking:
    """One look at a release, which goes on as long as there is something to do."""

    controller: Controller
    store: Store
    lease: Lease
    release: Release
    written: list[Step] = field(default_factory=list)
    problem: str = ""

    def until_it_waits(self) -> Look:
        """Decide and act until nothing can be done now."""
        while True:
            now = self.controller.now()
            seen = self._seen()
            decision = decide(self.release, self.controller.deployment.gates, seen, now)
            acted = bool(decision.actions) and all(self._act(a) for a in decision.actions)
            if not acted:
                problem = self.problem or seen.problem
                return Look(self.release, decision, problem, tuple(self.written))

    def _seen(self) -> Seen:
        """Look at the target, and ask for evidence, where a stage is to be decided about."""
        release = self.release
        if release.is_over or release.pending or release.ending or release.stage is None:
            return Seen()
        target, deployment = self.controller.target, self.controller.deployment
        problems: list[str] = []
        try:
            standing = target.describe()
        except (AwayError, TargetError) as error:
            return Seen(problem=str(error))
        evidence = None
        try:
            evidence = collecting.evidence_of(
                deployment.evidence, release, self.controller.folder
            ) or (target.evidence())
        except (AwayError, TargetError, DataError) as error:
            problems.append(str(error))
        numbers: Any = {}
        if release.stage.role == CANARY:
            numbers, missing = collecting.business(deployment, release, self.controller.folder)
            problems += missing
        model = registry.read_model(self.store, release.model)
        alias_at = model.aliases.get(release.alias)
        since = release.stage_since
        assert since is not None
        raised = collecting.raised(self.store, deployment.gates.alerts, since)
        return Seen(standing, evidence, numbers, alias_at, raised, "; ".join(problems))

    def _act(self, action: Action) -> bool:
        """Do what was decided; return whether there may be more to do now."""
        self._check_lease()
        if isinstance(action, Write):
            who = action.who or self.controller.who
            try:
                self.release = records.add(
                    self.store, self.release, action.kind, action.intent, who=who, why=action.why
                )
            except TakenError:
                # Somebody has asked for something meanwhile: all is decided anew.
                self.release = records.with_steps(self.store, self.release)
                return True
            self.written.append(self.release.steps[-1])
            self._step(ReleaseStep.RECORDED)
            return True
        if isinstance(action, Take):
            return self._take(action.step)
        if isinstance(action, Drop):
            self._confirm(action.step, UNDONE, reason=action.reason)
            return True
        assert isinstance(action, Conclude)
        if not self._is_as_known():
            return True
        now = self.controller.now()
        self.release = records.conclude(self.store, self.release, action.end, now)
        self._step(ReleaseStep.CONCLUDED)
        return False

    def _take(self, step: Step) -> bool:
        """Take a step; return whether there may be more to do now."""
        if not self._is_as_known():
            return True
        try:
            outcome = self._done(step)
        except AwayError as error:
            self._hear()
            self.problem = str(error)
            return False
        except (TargetError, RegistryError, DataError) as error:
            if self._is_as_known():
                self._confirm(step, FAILED, reason=str(error))
            return True
        if outcome is None:
            self._hear()
            self.problem = f"version {self.release.candidate} is loading"
            return False
        self._step(ReleaseStep.TAKEN)
        if self._is_as_known():
            self._confirm(step, DONE, **outcome)
        return True

    def _is_as_known(self) -> bool:
        """Read the release anew; return whether nobody else has gone on with it.

        A process that stood still for long may not know yet that it has lost its lease.
        """
        known, pending = self.release, self.release.pending
        found = records.find_release(self.store, known.deployment, known.number)
        assert found is not None
        self.release = found
        now = found.pending
        return found.is_over == known.is_over and (
            pending.number == now.number if pending and now else pending is now
        )

    def _hear(self) -> None:
        """Read what people have asked for while a step cannot be taken."""
        self.release = records.with_steps(self.store, self.release)

    def _done(self, step: Step) -> dict[str, Any] | None:
        """Do a step; return what came of it, None where it goes on."""
        target, release = self.controller.target, self.release
        if step.kind == PREPARE:
            return {} if self._is_prepared(int(step.intent["version"])) else None
        if step.kind == SHIFT:
            routes = step.routes
            assert routes is not None
            if not all(self._is_prepared(number) for number in routes.versions()):
                return None
            target.shift(routes)
            return {}
        if step.kind == ALIAS:
            return self._move_alias(step)
        if step.kind == REPORT:
            return shadow_report.publish(self.store, release, step, self.controller.root)
        assert step.kind == REMOVE, step.kind
        target.remove(int(step.intent["version"]))
        return {}

    def _is_prepared(self, number: int) -> bool:
        """Have a version loaded; return whether it is."""
        target = self.controller.target
        if target.describe().versions.get(number) == READY:
            return True
        servable = servable_of(self.store, self.release.model, number)
        state = target.prepare(servable)
        if state == NOT_LOADED:
            reason = target.describe().reasons.get(number, "")
            raise TargetError(f"version {number} does not load: {reason or 'nobody says why'}")
        return state == READY

    def _move_alias(self, step: Step) -> dict[str, Any]:
        assert step.entry is not None
        release, version = self.release, int(step.intent["version"])
        shift = release.shift
        registry.move_alias_once(
            self.store,
            step.entry,
            release.model,
            release.alias,
            version,
            who=step.who,
            why=step.why,
            kind=registered.ROLLBACK if release.kind == ROLLBACK else registered.PROMOTE,
            evidence={
                "release": release.number,
                "deployment": release.deployment,
                "gates": list(shift.intent.get("gates", ())) if shift is not None else [],
            },
            seen=release.production,
        )
        return {}

    def _confirm(self, step: Step, state: str, **outcome: Any) -> None:
        self._check_lease()
        at = self.controller.now().isoformat()
        self.release = records.confirm(self.store, self.release, step, state, {**outcome, "at": at})
        self.written.append(next(s for s in self.release.steps if s.number == step.number))
        self._step(ReleaseStep.NOTED)

    def _check_lease(self) -> None:
        if self.lease.lost.is_set():
            raise StoreError("another process has taken this release for abandoned")

    def _step(self, step: ReleaseStep) -> None:
        self.controller.on_step(step, self.controller.deployment.name)


def servable_of(store: Store, model: str, number: int) -> Servable:
    """Return a version of the registry as it is served, after its files were looked at.

    Raises:
      RegistryError: it may not be served.
      DataError: no model is there.
    """
    version = registry.read_model(store, model).version(number)
    registry.check(store, version)
    [artifact] = artifacts_by_id(store, [version.artifact_id])
    if remote.is_remote(version.uri):
        path = serving_model_directory(version.uri)
    else:
        path = os.path.abspath(model_directory(version.uri))
    return Servable(number, path, trusted_code(artifact))
