"""A deployment under way: the steps that it takes, each recorded before the next.

intended -> gates before -> image -> version -> canary -> run -> gates on the model -> decided
         -> registered -> alias -> schedule -> done
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from penstock import _tfx, registry
from penstock.errors import (
    PenstockError,
    RegistryError,
    RunError,
    ServiceError,
    StorageError,
    StoreError,
)
from penstock.metadata import journal, registered
from penstock.metadata.journal import DONE, FAILED, INTENDED, REFUSED, Entry
from penstock.metadata.leases import Lease
from penstock.metadata.protocol import Store
from penstock.metadata.store import connect, connection_config
from penstock.operations.delivery import evidence as judging
from penstock.operations.delivery import gates, records, releasing
from penstock.operations.delivery.gates import Evidence, Gate
from penstock.operations.delivery.records import Deployment
from penstock.operations.starting import Request, RunState, Started, Starter
from penstock.project.config import Config
from penstock.project.environments import Environment
from penstock.registry import facts as registry_facts

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


class DeployStep(enum.Enum):
    """What has just happened to a deployment, in this order."""

    INTENDED = "its entry is in the journal"
    ADMITTED = "the gates before building hold"
    BUILT = "its image is there"
    UPLOADED = "its version is on the server"
    CANARY = "the canary's run has gone well"
    STARTED = "its run has been started"
    ENDED = "its run has gone well"
    DECIDED = "its gates hold, and that is recorded"
    REGISTERED = "its model is registered"
    MOVED = "the alias stands for its model"
    SCHEDULED = "the schedule runs its version"
    CONCLUDED = "its entry says that it is done"


OnStep = Callable[[DeployStep], None]


def ignore(step: DeployStep) -> None:
    """Take no notice."""


class RefusedError(RunError):
    """A deployment was refused; `gates` are all that were decided, `deployment` its record."""

    def __init__(self, message: str, deployment: Deployment, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.deployment = deployment


@dataclass(frozen=True)
class Wanted:
    """What is to be deployed: a pipeline as it is at a commit, known by its fingerprint.

    `checks` are the checks of this fingerprint that did not pass, None where none are on record.
    """

    pipeline: str
    fingerprint: str
    commit: str = ""
    who: str = ""
    why: str = ""
    checks: tuple[str, ...] | None = None
    signature_change: str = ""


@dataclass(frozen=True)
class Deploying:
    """Where something is deployed, and with what.

    `fingerprint_now` returns the fingerprint of a pipeline's code as it is at that moment; without
    it nobody looks whether the code is changed meanwhile.
    """

    config: Config
    environment: Environment
    starter: Starter
    fingerprint_now: Callable[[str], str] | None = None
    on_step: OnStep = ignore
    tell: Callable[[str], None] = field(default=lambda _: None)
    pause: Callable[[float], None] = time.sleep

    @property
    def connection(self) -> _tfx.Connection:
        """How to connect to the environment's store."""
        return connection_config(self._address(self.environment))

    def promoted(self, pipeline: str, fingerprint: str) -> frozenset[str]:
        """Return which of the environments that are needed have a fingerprint now."""
        found = set()
        for name in self.environment.needs:
            address = self._address(self.config.environments[name])
            with connect(connection_config(address)) as metadata:
                there = records.deployed(records.deployments(metadata.store, name, pipeline))
            if there is not None and there.fingerprint == fingerprint:
                found.add(name)
        return frozenset(found)

    def _address(self, environment: Environment) -> str:
        return self.config.profile(environment.profile or None).metadata_address()


def token_of(entry: Entry, part: str) -> str:
    """Return the token of one of a deployment's runs."""
    return entry.run_id("" if part == "run" else part)


@dataclass
class Steps:
    """A deployment under way; its entry says how far it is."""

    deploying: Deploying
    store: Store
    lease: Lease
    wanted: Wanted
    entry: Entry

    @property
    def outcome(self) -> dict[str, Any]:
        """What has come of it so far."""
        return dict(self.entry.outcome)

    @property
    def environment(self) -> Environment:
        """Where it is deployed to."""
        return self.deploying.environment

    @property
    def model(self) -> str:
        """The registered model whose alias moves, "" for none."""
        return self.environment.model_of(self.wanted.pipeline)

    def bring_to_its_end(self) -> Deployment:
        """Take all steps that were not taken yet."""
        if not self.outcome.get("decided"):
            try:
                self._admit()
                self._build()
                self._run_all()
                self._decide()
            except (RefusedError, ServiceError, StoreError, StorageError):
                # It is concluded, or what has failed may work when it is gone on with.
                raise
            except PenstockError as error:
                self._write(FAILED, reason=str(error))
                raise
        return self.promote()

    def promote(self) -> Deployment:
        """Let what was decided take effect: the model's alias, then the schedule."""
        if self.model:
            self._register()
            self._move_alias()
        return self.release()

    def release(self) -> Deployment:
        """Let the schedule run the deployed version, and conclude."""
        self._schedule()
        self._write(DONE)
        self._step(DeployStep.CONCLUDED)
        return records.deployment_of(self.entry)

    def _admit(self) -> None:
        wanted, environment = self.wanted, self.environment
        approval = records.find_approval(
            self.store, environment.name, wanted.pipeline, wanted.fingerprint
        )
        evidence = Evidence(
            wanted.fingerprint,
            wanted.checks,
            self.deploying.promoted(wanted.pipeline, wanted.fingerprint),
            approval.who if approval is not None else "",
        )
        self._pass(gates.before_building(environment, evidence))
        self._step(DeployStep.ADMITTED)

    def _build(self) -> None:
        config, environment = self.deploying.config, self.environment
        if environment.image and "image" not in self.outcome:
            self._write(image=releasing.build_image(config, environment, self.deploying.tell))
        self._step(DeployStep.BUILT)
        if "pipeline_version" not in self.outcome:
            version = releasing.upload(
                config, environment, self.wanted.pipeline, self.outcome.get("image", "")
            )
            if version:
                self._check_code()
            self._write(pipeline_version=version)
        self._step(DeployStep.UPLOADED)

    def _run_all(self) -> None:
        pipeline, environment = self.wanted.pipeline, self.environment
        if pipeline in environment.canary:
            self._run("canary", environment.canary[pipeline])
        self._step(DeployStep.CANARY)
        started = self._run("run", environment.parameters.get(pipeline, {}))
        self._write(run_id=started.run_id)
        self._step(DeployStep.ENDED)

    def _run(self, part: str, parameters: Mapping[str, Any]) -> Started:
        """Start a run, or find it, and wait until it has gone well."""
        request = Request(
            self.wanted.pipeline,
            self.environment.profile,
            dict(parameters),
            image=self.outcome.get("image", ""),
            name=f"{self.wanted.pipeline} {part} of {self.wanted.fingerprint[:12]}",
            without_deployment=True,
        )
        if part not in self.outcome:
            # Before it is started, so that whoever comes next knows what may have been.
            self._write(INTENDED, **{part: asdict(request)})
        token = token_of(self.entry, part)
        self.deploying.tell(f"{part}: {token}")
        started = self.deploying.starter.start(request, token)
        if part == "run":
            self._step(DeployStep.STARTED)
        pause = _SHORTEST_PAUSE
        while not started.state.final:
            self._check_lease()
            self.deploying.pause(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
            there = self.deploying.starter.read(request, token)
            if there is None or there.state is RunState.LOST:
                there = self.deploying.starter.start(request, token)
            started = there
        if started.state is not RunState.SUCCEEDED:
            why = f": {started.error}" if started.error else ""
            self._refuse([Gate(part, False, f"run {started.run_id} {started.state.value}{why}")])
        return started

    def _decide(self) -> None:
        """Judge the model, and record that it may be promoted."""
        if not self.outcome["pipeline_version"]:
            # A run on this machine reads the code while it runs.
            self._check_code()
        if not self.model:
            self._write(decided=True)
            self._step(DeployStep.DECIDED)
            return
        outcome = self.outcome
        try:
            node = self.environment.model_nodes.get(self.wanted.pipeline)
            artifact_id = registry_facts.model_of_run(self.store, outcome["run_id"], node)
            described = registry_facts.describe(self.store, artifact_id)
        except RegistryError as error:
            self._refuse([Gate("model", False, str(error))])
        known = described["facts"]
        standing = self._standing()
        now = standing.aliases.get(self.environment.alias)
        aliases = {self.environment.alias} | {
            gate.reference for gate in self.environment.gates.values() if gate.reference
        }
        # Of a name that nobody gives, it is not so that there is no such version yet.
        others = self.deploying.config.environments.values()
        given = {self.environment.alias, *(one.alias for one in others)}
        references = {
            alias: judging.judged_version(standing.version(alias), known)
            if alias in standing.aliases
            else None
            for alias in aliases
            if alias in standing.aliases or alias in given or not standing.aliases
        }
        evidence = Evidence(
            self.wanted.fingerprint,
            model=judging.judged_artifact(
                self.store, artifact_id, known, load=self.environment.infra
            ),
            references=references,
            deployed=references[self.environment.alias],
            signature_change=self.entry.intent.get("signature_change", ""),
        )
        self._pass(gates.before_promoting(self.environment, evidence))
        self._write(decided=True, artifact_id=artifact_id, alias_at=now)
        self._step(DeployStep.DECIDED)

    def _check_code(self) -> None:
        """Refuse what was built or run from other code than what was checked and approved."""
        if self.deploying.fingerprint_now is None:
            return
        wanted = self.wanted.fingerprint
        now = self.deploying.fingerprint_now(self.wanted.pipeline)
        if now != wanted:
            reason = (
                f"it was changed while it was deployed: it was {wanted[:12]}, and is {now[:12]}"
            )
            self._refuse([Gate("code", False, reason)])

    def _standing(self) -> registered.RegisteredModel:
        found = registry.find_model(self.store, self.model)
        return found or registered.RegisteredModel(self.model)

    def _register(self) -> None:
        if "model_version" not in self.outcome:
            try:
                version = registry.register(
                    self.store, self.model, self.outcome["artifact_id"], who=self._who
                )
            except RegistryError as error:
                # Its files were removed or altered since the gates were decided.
                self._refuse([Gate("model", False, str(error))])
            self._write(model=self.model, model_version=version.number)
        self._step(DeployStep.REGISTERED)

    def _move_alias(self) -> None:
        outcome = self.outcome
        try:
            move_alias(
                self.deploying,
                self.store,
                self.entry,
                self.model,
                outcome["model_version"],
                kind=registered.PROMOTE,
                seen=outcome["alias_at"],
                evidence={
                    "deployment": self.entry.number,
                    "environment": self.environment.name,
                    "pipeline": self.wanted.pipeline,
                    "fingerprint": self.wanted.fingerprint,
                    "commit": self.wanted.commit,
                    "run_id": outcome["run_id"],
                    "gates": outcome.get("gates", []),
                },
            )
        except RegistryError as error:
            # What it was compared with does not serve any more, or it may not be served itself.
            self._refuse([Gate("alias", False, str(error))])
        self._step(DeployStep.MOVED)

    def _schedule(self) -> None:
        options = self.environment.schedules.get(self.wanted.pipeline)
        if options is not None and self.outcome.get("pipeline_version"):
            self._write(schedule=asdict(options))
        follow_schedule(self.deploying, self.store, records.deployment_of(self.entry))
        self._step(DeployStep.SCHEDULED)

    @property
    def _who(self) -> str:
        return self.entry.who

    def _pass(self, decided: list[Gate]) -> None:
        """Record gates; go on if all hold."""
        earlier = [g for g in self.outcome.get("gates", []) if g["name"] not in _names(decided)]
        self._write(gates=[*earlier, *map(asdict, decided)])
        for gate in decided:
            self.deploying.tell(
                f"{'holds  ' if gate.holds else 'refused'}  {gate.name}: {gate.reason}"
            )
        if any(not gate.holds for gate in decided):
            self._refuse([gate for gate in decided if not gate.holds])

    def _refuse(self, refusing: list[Gate]) -> None:
        reasons = "; ".join(f"{gate.name}: {gate.reason}" for gate in refusing)
        known = {gate["name"] for gate in self.outcome.get("gates", [])}
        added = [asdict(gate) for gate in refusing if gate.name not in known]
        self._write(REFUSED, reason=reasons, gates=[*self.outcome.get("gates", []), *added])
        environment = self.environment.name
        raise RefusedError(
            f"{self.wanted.pipeline} is not deployed to {environment}: {reasons}",
            records.deployment_of(self.entry),
            hint=_hint(refusing, environment, self.wanted.pipeline),
        )

    def _write(self, state: str = INTENDED, **outcome: Any) -> None:
        self._check_lease()
        self.entry = journal.conclude(self.store, self.entry, state, {**self.outcome, **outcome})

    def _check_lease(self) -> None:
        if self.lease.lost.is_set():
            # Not to be concluded: it is another's now.
            raise StoreError("another process has taken this deployment for abandoned")

    def _step(self, step: DeployStep) -> None:
        self.deploying.on_step(step)


def move_alias(
    deploying: Deploying,
    store: Store,
    entry: Entry,
    model: str,
    version: int,
    *,
    kind: str,
    evidence: Mapping[str, Any],
    seen: Any = registry.UNSEEN,
) -> None:
    """Let the environment's alias stand for a version; see `registry.move_alias_once`."""
    alias = deploying.environment.alias
    registry.move_alias_once(
        store,
        entry,
        model,
        alias,
        version,
        who=entry.who,
        why=entry.intent.get("why", ""),
        kind=kind,
        evidence=evidence,
        seen=seen,
    )


def follow_schedule(deploying: Deploying, store: Store, deployment: Deployment) -> None:
    """Let the server run a deployment's version by its schedule.

    One that has none ends the schedule of what the environment has had until now.
    """
    if not deployment.pipeline_version:
        return
    config, environment = deploying.config, deploying.environment
    if deployment.schedule:
        releasing.schedule(config, environment, deployment)
        return
    pipeline = deployment.pipeline
    before = records.deployed(records.deployments(store, environment.name, pipeline))
    if before is not None and before.schedule:
        releasing.unschedule(config, environment, pipeline)


def _names(decided: list[Gate]) -> set[str]:
    return {gate.name for gate in decided}


def _hint(refusing: list[Gate], environment: str, pipeline: str) -> str:
    name = refusing[0].name
    if name == "approval":
        return f"Approve of it: penstock ci approve --env {environment} {pipeline}."
    if name == "checks":
        return f"penstock ci check {pipeline} says what does not pass."
    if name.startswith("needs "):
        needed = name.removeprefix("needs ")
        return f"Deploy it there first: penstock ci deploy --env {needed} {pipeline}."
    return "What serves is as it was."
