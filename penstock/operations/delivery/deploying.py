"""Deploying a pipeline to an environment: built, run, judged, and promoted if its gates hold.

All of it is one entry of the journal. Each action is recorded when it is done, and given the
entry's token, so whoever deploys after a crash goes on where it stopped. What serves is touched
last: once all gates hold that is recorded (`decided`), and from then on a deployment is brought to
its end, whoever does so. One whose gates were not decided yet, and that nobody wants any more, is
undone: it has changed nothing that serves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from penstock import registry
from penstock.errors import ConfigError, RegistryError, RunError, suggestion
from penstock.metadata import journal, registered
from penstock.metadata.journal import DONE, FAILED, INTENDED, UNDONE, Entry
from penstock.metadata.leases import Lease, held
from penstock.metadata.protocol import Store
from penstock.metadata.store import connect
from penstock.operations.delivery import records
from penstock.operations.delivery.deployment import (
    Deploying,
    DeployStep,
    RefusedError,
    Steps,
    Wanted,
    follow_schedule,
    move_alias,
    token_of,
)
from penstock.operations.delivery.records import Deployment
from penstock.operations.starting import Request
from penstock.project.config import Config
from penstock.project.environments import Environment
from penstock.registry import integrity


def environment_of(config: Config, name: str) -> Environment:
    """Return an environment of the project.

    Raises:
      ConfigError: there is none of that name, or two would move one alias.
    """
    if name not in config.environments:
        raise ConfigError(
            f"there is no environment {name!r}",
            path=str(config.path) if config.path else None,
            hint=suggestion(name, config.environments, noun="environment")
            if config.environments
            else f"Write a table [environments.{name}].",
        )
    environment = config.environments[name]
    for other in config.environments.values():
        same_alias = other.name != name and other.alias == environment.alias
        if same_alias and _store_of(config, other) == _store_of(config, environment):
            raise ConfigError(
                f"environments {name} and {other.name} have one store and one alias, "
                f"{environment.alias}: each would take the other's model for its own",
                path=str(config.path),
                key=f"environments.{name}.alias",
                hint='Give each an alias of its own, as alias = "candidate" for staging.',
            )
    return environment


def deploy(deploying: Deploying, wanted: Wanted) -> Deployment:
    """Bring a pipeline to an environment, or go on with a deployment whose process has died.

    What the environment has already is left as it is, unless its model may not be served any more;
    where only its schedule is another one, that alone is brought there.

    Raises:
      Held: another process is at it.
      RefusedError: a gate does not hold; what serves is as it was.
      PenstockError: something does not work; the same again goes on from there.
    """
    name = deploying.environment.name
    with _at_it(deploying, wanted.pipeline) as (store, lease):
        unfinished = _take_up(deploying, store, lease, wanted)
        there = records.deployments(store, name, wanted.pipeline)
        now = records.deployed(there)
        if unfinished is None and now is not None and now.fingerprint == wanted.fingerprint:
            lost = _lost(deploying, store, now)
            has = f"{name} has {wanted.pipeline} {wanted.fingerprint[:12]} already"
            deploying.tell(f"{has}, but {lost}: it is deployed anew" if lost else has)
            if not lost and dict(now.schedule) == _schedule_of(deploying, now):
                return now
            if not lost:
                deploying.tell(f"the schedule of {wanted.pipeline} is another one")
                return _reschedule(deploying, store, lease, wanted, now)
        entry = unfinished or _intend(deploying, store, wanted)
        return Steps(deploying, store, lease, wanted, entry).bring_to_its_end()


def _intend(deploying: Deploying, store: Store, wanted: Wanted, **outcome: Any) -> Entry:
    """Write the entry of a deployment, of which so much is known already."""
    name = records.journal_of(deploying.environment.name, wanted.pipeline)
    entry = journal.append(
        store,
        name,
        {
            "kind": records.DEPLOY,
            "fingerprint": wanted.fingerprint,
            "commit": wanted.commit,
            "why": wanted.why,
            "signature_change": wanted.signature_change,
        },
        after=journal.last(store, name),
        who=wanted.who,
        state=INTENDED,
    )
    if outcome:
        entry = journal.conclude(store, entry, INTENDED, outcome)
    deploying.on_step(DeployStep.INTENDED)
    return entry


def _reschedule(
    deploying: Deploying, store: Store, lease: Lease, wanted: Wanted, now: Deployment
) -> Deployment:
    """Deploy what is there already once more, with the schedule that penstock.toml asks for now."""
    entry = _intend(
        deploying,
        store,
        wanted,
        decided=True,
        run_id=now.run_id,
        model=now.model,
        model_version=now.model_version,
        pipeline_version=dict(now.pipeline_version),
        image=now.image,
        gates=[asdict(gate) for gate in now.gates],
    )
    return Steps(deploying, store, lease, wanted, entry).release()


def _schedule_of(deploying: Deploying, now: Deployment) -> dict[str, Any]:
    """Return the schedule that a deployment is to have, as it is recorded; {} for none."""
    options = deploying.environment.schedules.get(now.pipeline)
    return asdict(options) if options is not None and now.pipeline_version else {}


def _lost(deploying: Deploying, store: Store, now: Deployment) -> str:
    """Return what keeps the model from being served that an environment has, "" for nothing.

    An alias that somebody has moved by hand is theirs: it is told, and left.
    """
    if now.model_version is None:
        return ""
    model, alias = registry.read_model(store, now.model), deploying.environment.alias
    if model.aliases.get(alias) != now.model_version:
        move = model.last_move(alias)
        to = f"{now.model}@{move.to}" if move and move.to is not None else "nothing"
        who = f", as {move.who} has moved it" if move else ""
        deploying.tell(f"{alias} of {now.model} is {to}{who}, and not {now.model_version}")
        return ""
    return integrity.harm(store, model.version(now.model_version))


def roll_back(
    deploying: Deploying, pipeline: str, *, who: str, why: str, to: int | None = None
) -> Deployment:
    """Bring back what an environment had before: pipeline version, schedule and alias together.

    Raises:
      Held: another process is at it.
      RegistryError: the version of the model may not be served any more.
      RunError: there is nothing to go back to.
    """
    name = deploying.environment.name
    with _at_it(deploying, pipeline) as (store, lease):
        _take_up(deploying, store, lease, None, pipeline)
        all_of_them = records.deployments(store, name, pipeline)
        target = _target(all_of_them, name, pipeline, to)
        if target.model_version is not None:
            registry.resolve(store, target.model, target.model_version)
        journal_name = records.journal_of(name, pipeline)
        entry = journal.append(
            store,
            journal_name,
            {
                "kind": records.ROLLBACK,
                "fingerprint": target.fingerprint,
                "commit": target.commit,
                "why": why,
                "target": target.number,
            },
            after=journal.last(store, journal_name),
            who=who,
            state=INTENDED,
        )
        return _bring_back(deploying, store, entry, target)


def _bring_back(deploying: Deploying, store: Store, entry: Entry, target: Deployment) -> Deployment:
    """Make all stand as after an earlier deployment; what does so already is left.

    Raises:
      RegistryError: the alias cannot be moved back; the rollback has failed, and is concluded.
    """
    outcome = {
        "decided": True,
        "run_id": target.run_id,
        "model": target.model,
        "model_version": target.model_version,
        "pipeline_version": dict(target.pipeline_version),
        "schedule": dict(target.schedule),
        "image": target.image,
    }
    entry = journal.conclude(store, entry, INTENDED, outcome)
    deploying.on_step(DeployStep.DECIDED)
    if target.model_version is not None:
        try:
            move_alias(
                deploying,
                store,
                entry,
                target.model,
                target.model_version,
                kind=registered.ROLLBACK,
                evidence={"rollback": entry.number, "to": target.number},
            )
        except RegistryError as error:
            journal.conclude(store, entry, FAILED, {**outcome, "reason": str(error)})
            raise
    deploying.on_step(DeployStep.MOVED)
    follow_schedule(deploying, store, target)
    deploying.on_step(DeployStep.SCHEDULED)
    entry = journal.conclude(store, entry, DONE, outcome)
    deploying.on_step(DeployStep.CONCLUDED)
    return records.deployment_of(entry)


def _target(all_of_them: list[Deployment], name: str, pipeline: str, to: int | None) -> Deployment:
    earlier = records.earlier(all_of_them)
    if not earlier:
        raise RunError(
            f"{name} had no other deployment of {pipeline} before",
            hint=f"penstock ci history --env {name} shows what there was.",
        )
    if to is None:
        return earlier[0]
    found = next((one for one in earlier if one.number == to), None)
    if found is None:
        numbers = ", ".join(str(one.number) for one in earlier)
        raise RunError(
            f"{name} cannot go back to deployment {to} of {pipeline}",
            hint=f"It can go back to: {numbers}.",
        )
    return found


@contextmanager
def _at_it(deploying: Deploying, pipeline: str) -> Iterator[tuple[Store, Lease]]:
    """Hold the lease of a pipeline's deployments to an environment."""
    connection = deploying.connection
    name = f"deployment of {pipeline} to {deploying.environment.name}"
    with (
        connect(connection) as metadata,
        held(metadata.store, connection, name) as lease,
    ):
        yield metadata.store, lease


def _take_up(
    deploying: Deploying,
    store: Store,
    lease: Lease,
    wanted: Wanted | None,
    pipeline: str = "",
) -> Entry | None:
    """Bring what a dead process left to its end, or undo it; return it where it is what is wanted.

    Whoever holds the lease knows that nobody else is at it.
    """
    pipeline = wanted.pipeline if wanted is not None else pipeline
    last = journal.last(store, records.journal_of(deploying.environment.name, pipeline))
    if last is None or last.state != INTENDED:
        return None
    if last.intent["kind"] == records.ROLLBACK:
        deploying.tell(f"rollback {last.number}, which was interrupted, is brought to its end")
        all_of_them = records.deployments(store, deploying.environment.name, pipeline)
        target = next(one for one in all_of_them if one.number == last.intent["target"])
        try:
            _bring_back(deploying, store, last, target)
        except RegistryError as error:
            deploying.tell(f"rollback {last.number} has failed: {error}")
        return None
    if wanted is not None and _is_same(last, wanted):
        deploying.tell(f"going on with deployment {last.number}, which was interrupted")
        return last
    left = Wanted(pipeline, last.intent["fingerprint"], last.intent.get("commit", ""), last.who)
    if last.outcome.get("decided"):
        deploying.tell(f"deployment {last.number}, which was interrupted, is brought to its end")
        try:
            Steps(deploying, store, lease, left, last).promote()
        except RefusedError as error:
            # It was another's; what is wanted now is decided on by itself.
            deploying.tell(f"deployment {last.number} is refused: {error.deployment.reason}")
        return None
    deploying.tell(f"deployment {last.number}, which was interrupted, is undone")
    for part in ("canary", "run"):
        if part in last.outcome:
            request = Request(**last.outcome[part])
            deploying.starter.cancel(request, token_of(last, part))
    reason = "its process died before its gates were decided; nothing that serves was changed"
    journal.conclude(store, last, UNDONE, {**last.outcome, "reason": reason})
    return None


def _is_same(entry: Entry, wanted: Wanted) -> bool:
    """Whether an entry is of what is wanted, and of a change that is declared only if it was."""
    declared = wanted.signature_change
    return bool(entry.intent["fingerprint"] == wanted.fingerprint) and (
        not declared or declared == entry.intent.get("signature_change")
    )


def _store_of(config: Config, environment: Environment) -> str:
    return config.profile(environment.profile or None).metadata
