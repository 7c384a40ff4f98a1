"""Releases as the store has them: two journals, of which one has the steps of one release.

Releases of a deployment are a numbered journal, `release/{deployment}`: an entry is intended as
long as the release is under way, and its outcome says how it ended. What is done in a release, and
what people ask of it, are the numbered entries of `release_steps/{deployment}/{number}`. How a
release stands is what its steps come to. Each is written after the one that it was decided on, so
of two who decide at the same moment one is told, and decides anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from penstock.metadata import journal
from penstock.metadata.journal import DONE, FAILED, INTENDED, UNDONE, Entry
from penstock.metadata.protocol import Store
from penstock.operations.releases.stages import Plan, Stage
from penstock.serving.routes import Routes

RELEASES = "release"
STEPS = "release_steps"

# Kinds of releases: by stages, the first version of a model, back to the version before.
RELEASE = "release"
FIRST = "first"
ROLLBACK = "rollback"

# Steps that are done to a target, to the registry and to the store.
PREPARE = "prepare"
SHIFT = "shift"
ALIAS = "alias"
REMOVE = "remove"
REPORT = "report"
# What people ask for.
PAUSE = "pause"
RESUME = "resume"
PROMOTE = "promote"
ABORT = "abort"
REQUESTS = (PAUSE, RESUME, PROMOTE, ABORT)

# Where a shift of routes leads.
TO_STAGE = "stage"
TO_ALL = "all"
BACK = "back"

# How a release ends.
PROMOTED = "promoted"
BROUGHT_BACK = "brought back"
ROLLED_BACK = "rolled back"
ABORTED = "aborted"
FAILED_RELEASE = "failed"
INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Step:
    """A step of a release: what was decided, who did so and why, and what came of it.

    `done` is when it was confirmed, by the clock of who did it.
    """

    number: int
    kind: str
    state: str
    who: str
    why: str
    recorded: datetime
    intent: Mapping[str, Any] = field(default_factory=dict)
    outcome: Mapping[str, Any] = field(default_factory=dict)
    token: str = ""
    entry: Entry | None = None

    @property
    def is_done(self) -> bool:
        """Whether it was done and confirmed."""
        return self.state == DONE

    @property
    def has_failed(self) -> bool:
        """Whether it was refused, and is not tried again."""
        return self.state in (FAILED, UNDONE)

    @property
    def done(self) -> datetime:
        """When it was confirmed."""
        at = self.outcome.get("at")
        return datetime.fromisoformat(at) if at else self.recorded.astimezone()

    @property
    def routes(self) -> Routes | None:
        """The routes that a shift brings, with the step's token."""
        entry = self.intent.get("routes")
        return replace(Routes.from_json(entry), token=self.token) if entry else None


@dataclass(frozen=True)
class End:
    """How a release is going to end, and why."""

    state: str
    reason: str = ""


@dataclass(frozen=True)
class Release:
    """A release of a version: where from, by which stages, and what has been done.

    `production` is the version that serves when it begins, None for none; `candidate` the new one,
    or, of a rollback, the one that is brought back. `state` is "" while it is under way.
    """

    deployment: str
    number: int
    kind: str
    model: str
    candidate: int
    production: int | None
    alias: str
    target: str
    plan: Plan
    who: str
    why: str
    began: datetime
    steps: tuple[Step, ...] = ()
    state: str = ""
    reason: str = ""
    ended: datetime | None = None
    entry: Entry | None = None

    @property
    def name(self) -> str:
        """How its journal is named, which is its name for others, too."""
        return f"{RELEASES}/{self.deployment}/{self.number}"

    @property
    def is_over(self) -> bool:
        """Whether it has come to its end."""
        return bool(self.state)

    @property
    def pending(self) -> Step | None:
        """The step that was decided, and of which nobody knows whether it was done."""
        return next((step for step in self.steps if step.state == INTENDED), None)

    def last(self, kind: str) -> Step | None:
        """Return the last step of a kind."""
        return next((step for step in reversed(self.steps) if step.kind == kind), None)

    @property
    def shift(self) -> Step | None:
        """The shift that routes are as they are by, None before the first one."""
        return next((s for s in reversed(self.steps) if s.kind == SHIFT and s.is_done), None)

    @property
    def stage_number(self) -> int | None:
        """The place of the stage that it is in; None before the first and after the last."""
        shift = self.shift
        if shift is None or shift.intent["towards"] != TO_STAGE:
            return None
        return int(shift.intent["stage"])

    @property
    def stage(self) -> Stage | None:
        """The stage that it is in."""
        number = self.stage_number
        return None if number is None else self.plan.stages[number]

    @property
    def stage_since(self) -> datetime | None:
        """Since when it is in its stage; routes that were brought back do not begin it anew."""
        number = self.stage_number
        for step in self.steps:
            if step.kind == SHIFT and step.is_done and step.intent.get("stage") == number:
                return step.done
        return None

    @property
    def ending(self) -> End | None:
        """How it is going to end, where that is decided."""
        ends = [step.intent["end"] for step in self.steps if step.intent.get("end")]
        return End(**ends[-1]) if ends else None

    def request(self, *kinds: str) -> Step | None:
        """Return the last step by which people have asked for something of these kinds."""
        return next((step for step in reversed(self.steps) if step.kind in kinds), None)

    @property
    def is_paused(self) -> bool:
        """Whether somebody wants it to stay where it is."""
        asked = self.request(PAUSE, RESUME)
        return asked is not None and asked.kind == PAUSE

    @property
    def tokens(self) -> frozenset[str]:
        """The tokens of all routes that it has brought, or may have brought."""
        return frozenset(step.token for step in self.steps if step.kind == SHIFT)

    @property
    def status(self) -> str:
        """How it stands, in a word or two."""
        if self.is_over:
            return self.state
        if self.ending is not None:
            return f"to be {self.ending.state}"
        if self.is_paused:
            return "paused"
        return self.stage.name if self.stage else "preparing"


def journal_of(deployment: str) -> str:
    """Return the journal of a deployment's releases."""
    return f"{RELEASES}/{deployment}"


def steps_journal(release: Release) -> str:
    """Return the journal of a release's steps."""
    return f"{STEPS}/{release.deployment}/{release.number}"


def begin(
    store: Store,
    deployment: str,
    *,
    kind: str,
    model: str,
    candidate: int,
    production: int | None,
    alias: str,
    target: str,
    plan: Plan,
    after: Release | None,
    who: str,
    why: str,
) -> Release:
    """Write a release, after the one that was last when it was decided.

    Raises:
      TakenError: somebody has begun another one meanwhile.
    """
    intent = {
        "kind": kind,
        "model": model,
        "candidate": candidate,
        "production": production,
        "alias": alias,
        "target": target,
        "plan": plan.to_json(),
        "why": why,
    }
    entry = journal.append(
        store,
        journal_of(deployment),
        intent,
        after=after.entry if after is not None else None,
        who=who,
        state=INTENDED,
    )
    return release_of(entry)


def add(
    store: Store,
    release: Release,
    kind: str,
    intent: Mapping[str, Any],
    *,
    who: str,
    why: str,
    state: str = INTENDED,
) -> Release:
    """Write the next step of a release; return the release with it.

    Raises:
      TakenError: another step was written meanwhile.
    """
    last = release.steps[-1].entry if release.steps else None
    content = {"kind": kind, "why": why, **intent}
    entry = journal.append(store, steps_journal(release), content, after=last, who=who, state=state)
    return replace(release, steps=(*release.steps, step_of(entry)))


def confirm(
    store: Store, release: Release, step: Step, state: str, outcome: Mapping[str, Any]
) -> Release:
    """Write what came of a step; return the release with it."""
    assert step.entry is not None
    entry = journal.conclude(store, step.entry, state, {**step.outcome, **outcome})
    steps = tuple(step_of(entry) if s.number == step.number else s for s in release.steps)
    return replace(release, steps=steps)


def conclude(store: Store, release: Release, end: End, now: datetime) -> Release:
    """Write how a release has ended."""
    assert release.entry is not None
    outcome = {"state": end.state, "reason": end.reason, "at": now.isoformat()}
    entry = journal.conclude(store, release.entry, DONE, outcome)
    return release_of(entry, release.steps)


def last_release(store: Store, deployment: str) -> Release | None:
    """Return the last release of a deployment, None where there was none yet."""
    entry = journal.last(store, journal_of(deployment))
    return None if entry is None else with_steps(store, journal.understood(entry, release_of))


def releases(store: Store, deployment: str) -> list[Release]:
    """Return all releases of a deployment in their order, without their steps."""
    entries = journal.entries(store, journal_of(deployment))
    return journal.told(journal.numbered(entries), release_of)


def history(store: Store) -> list[Release]:
    """Return the releases of all deployments, the newest first, without their steps."""
    entries = journal.entries_below(store, RELEASES)
    newest_first = sorted(entries, key=lambda entry: entry.entry_id, reverse=True)
    return journal.told(newest_first, release_of)


def find_release(store: Store, deployment: str, number: int) -> Release | None:
    """Return a release with its steps, None where there is none of that number."""
    entry = journal.find(store, journal_of(deployment), str(number))
    return None if entry is None else with_steps(store, journal.understood(entry, release_of))


def with_steps(store: Store, release: Release) -> Release:
    """Return a release with the steps that the store has of it now."""
    entries = journal.entries(store, steps_journal(release))
    return replace(release, steps=_steps(entries))


def _steps(entries: Iterable[Entry]) -> tuple[Step, ...]:
    steps = [journal.understood(entry, step_of) for entry in entries]
    return tuple(sorted(steps, key=lambda step: step.number))


def step_of(entry: Entry) -> Step:
    """Return what an entry says."""
    return Step(
        entry.number,
        entry.intent["kind"],
        entry.state,
        entry.who,
        entry.intent.get("why", ""),
        entry.recorded,
        entry.intent,
        entry.outcome,
        entry.token,
        entry,
    )


def release_of(entry: Entry, steps: tuple[Step, ...] = ()) -> Release:
    """Return what an entry says, with the steps that are known of it."""
    intent, outcome = entry.intent, entry.outcome
    ended = outcome.get("at")
    return Release(
        entry.journal.partition("/")[2],
        entry.number,
        intent["kind"],
        intent["model"],
        intent["candidate"],
        intent["production"],
        intent["alias"],
        intent["target"],
        Plan.from_json(intent["plan"]),
        entry.who,
        intent.get("why", ""),
        entry.recorded,
        steps,
        outcome.get("state", ""),
        outcome.get("reason", ""),
        datetime.fromisoformat(ended) if ended else None,
        entry,
    )
