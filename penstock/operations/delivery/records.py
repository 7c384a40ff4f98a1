"""What was deployed where, by whom and on what evidence: the records in the store.

The deployments of a pipeline to an environment are a numbered journal, `deploy/{environment}/
{pipeline}`; rollbacks are entries of it too. Approvals are entries by fingerprint of the journal
`approval/{environment}/{pipeline}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from penstock.errors import ParameterError
from penstock.metadata import journal
from penstock.metadata.journal import DONE, Entry
from penstock.metadata.protocol import Store
from penstock.operations.delivery.gates import Gate

DEPLOY = "deploy"
ROLLBACK = "rollback"
APPROVAL = "approval"

_FINGERPRINT = re.compile(r"[0-9a-f]{24}")


@dataclass(frozen=True)
class Deployment:
    """A deployment, or a rollback, of a pipeline to an environment.

    `state` is intended, done, refused, failed or undone. `model_version` is the version of `model`
    that its alias was given, `pipeline_version` what the server has. `gates` are those that were
    decided, `reason` why it did not come to its end.
    """

    environment: str
    pipeline: str
    number: int
    kind: str
    state: str
    fingerprint: str
    commit: str
    who: str
    why: str
    began: datetime
    gates: tuple[Gate, ...] = ()
    reason: str = ""
    run_id: str = ""
    model: str = ""
    model_version: int | None = None
    pipeline_version: Mapping[str, str] = field(default_factory=dict)
    schedule: Mapping[str, Any] = field(default_factory=dict)
    image: str = ""
    target: int | None = None


@dataclass(frozen=True)
class Approval:
    """That somebody approved of a fingerprint for an environment."""

    environment: str
    pipeline: str
    fingerprint: str
    commit: str
    who: str
    why: str
    at: datetime


def journal_of(environment: str, pipeline: str) -> str:
    """Return the journal of a pipeline's deployments to an environment."""
    return f"{DEPLOY}/{environment}/{pipeline}"


def approve(
    store: Store,
    environment: str,
    pipeline: str,
    fingerprint: str,
    *,
    commit: str,
    who: str,
    why: str,
) -> Approval:
    """Record that a fingerprint is approved; who does so first is who did."""
    name = f"{APPROVAL}/{environment}/{pipeline}"
    try:
        entry = journal.intend(
            store, name, fingerprint, {"commit": commit, "why": why}, who=who, state=DONE
        )
    except journal.TakenError as error:
        entry = error.entry
    return approval_of(entry)


def find_approval(
    store: Store, environment: str, pipeline: str, fingerprint: str
) -> Approval | None:
    """Return the approval of a fingerprint, if there is one."""
    entry = journal.find(store, f"{APPROVAL}/{environment}/{pipeline}", fingerprint)
    return journal.understood(entry, approval_of) if entry is not None else None


def whole_fingerprint(store: Store, pipeline: str, beginning: str) -> str:
    """Return the fingerprint of a pipeline that begins so: as a whole, or of its deployments.

    Raises:
      ParameterError: none of them begins so, or several do.
    """
    if _FINGERPRINT.fullmatch(beginning):
        return beginning
    entries = journal.entries_below(store, DEPLOY)
    known = {d.fingerprint for d in journal.told(entries, deployment_of) if d.pipeline == pipeline}
    found = sorted(one for one in known if one.startswith(beginning))
    if len(found) != 1:
        came = f"{len(found)} of its deployments have" if found else "none of its deployments has"
        raise ParameterError(
            f"expected the fingerprint of a deployment of {pipeline}, or its beginning; {came} one "
            f"that begins with {beginning!r}",
            hint="penstock ci history shows them; of what was never deployed, give all 24 digits.",
        )
    return found[0]


def deployments(store: Store, environment: str, pipeline: str) -> list[Deployment]:
    """Return the deployments of a pipeline to an environment, in their order."""
    entries = journal.entries(store, journal_of(environment, pipeline))
    return journal.told(journal.numbered(entries), deployment_of)


def history(store: Store) -> list[Deployment | Approval]:
    """Return all deployments, rollbacks and approvals that a store has, the newest first."""
    entries = [*journal.entries_below(store, DEPLOY), *journal.entries_below(store, APPROVAL)]
    entries.sort(key=lambda entry: entry.entry_id, reverse=True)

    def read(entry: journal.Entry) -> Deployment | Approval:
        is_approval = entry.journal.startswith(f"{APPROVAL}/")
        return approval_of(entry) if is_approval else deployment_of(entry)

    return journal.told(entries, read)


def of_run(store: Store, run_id: str) -> list[Deployment]:
    """Return the deployments whose model a run has made, or that ended with it."""
    entries = journal.entries_below(store, DEPLOY)
    of_it = [entry for entry in entries if entry.outcome.get("run_id") == run_id]
    return journal.told(of_it, deployment_of)


def deployed(all_of_them: Iterable[Deployment]) -> Deployment | None:
    """Return what an environment has now: the last deployment that came to its end.

    After a rollback it is the one that was brought back.
    """
    standing = _standing(all_of_them)
    return standing[-1] if standing else None


def earlier(all_of_them: Iterable[Deployment]) -> list[Deployment]:
    """Return what an environment can be rolled back to, the nearest first."""
    return _standing(all_of_them)[:-1][::-1]


def _standing(all_of_them: Iterable[Deployment]) -> list[Deployment]:
    """Return the deployments one after the other, without those that were rolled back from."""
    standing: list[Deployment] = []
    for deployment in all_of_them:
        if deployment.state != DONE:
            continue
        if deployment.kind == DEPLOY:
            standing.append(deployment)
            continue
        while standing and standing[-1].number != deployment.target:
            standing.pop()
    return standing


def deployment_of(entry: Entry) -> Deployment:
    """Return what an entry of the journal says."""
    _, environment, pipeline = entry.journal.split("/", 2)
    intent, outcome = entry.intent, entry.outcome
    return Deployment(
        environment,
        pipeline,
        entry.number,
        intent["kind"],
        entry.state,
        intent["fingerprint"],
        intent.get("commit", ""),
        entry.who,
        intent.get("why", ""),
        entry.recorded,
        tuple(Gate(**gate) for gate in outcome.get("gates", ())),
        outcome.get("reason", ""),
        outcome.get("run_id", ""),
        outcome.get("model", ""),
        outcome.get("model_version"),
        outcome.get("pipeline_version", {}),
        outcome.get("schedule", {}),
        outcome.get("image", ""),
        intent.get("target"),
    )


def approval_of(entry: Entry) -> Approval:
    """Return what an entry of the journal of approvals says."""
    _, environment, pipeline = entry.journal.split("/", 2)
    return Approval(
        environment,
        pipeline,
        entry.key,
        entry.intent.get("commit", ""),
        entry.who,
        entry.intent.get("why", ""),
        entry.recorded,
    )
