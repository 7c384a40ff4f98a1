"""What a release does next: a plain function of how it stands, of what is seen, and of the time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from penstock.operations.releases import records
from penstock.operations.releases.gates import Business, Verdict, alarms, judge, told, unknown
from penstock.operations.releases.records import (
    ABORT,
    ALIAS,
    BACK,
    PREPARE,
    PROMOTE,
    REMOVE,
    REPORT,
    SHIFT,
    TO_ALL,
    TO_STAGE,
    End,
    Release,
    Step,
)
from penstock.operations.releases.stages import Stage
from penstock.operations.releases.targets.protocol import Standing
from penstock.project.deployments import Gates
from penstock.serving.evidence import Evidence
from penstock.serving.routes import SHADOW, Routes, Share


@dataclass(frozen=True)
class Seen:
    """What is seen of a release from outside.

    `standing` is None where the target does not answer; `problem` says why. `alias_at` is the
    version that the alias stands for. `raised` are the alerts since the stage began, by name.
    """

    standing: Standing | None = None
    evidence: Evidence | None = None
    business: Business = field(default_factory=dict)
    alias_at: int | None = None
    raised: Mapping[str, str] | None = None
    problem: str = ""


@dataclass(frozen=True)
class Write:
    """Record a step, and take it; `who` and `why` are for the record, "" for the release's own."""

    kind: str
    intent: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
    who: str = ""


@dataclass(frozen=True)
class Take:
    """Take a step that is recorded, and of which nobody knows whether it was taken."""

    step: Step


@dataclass(frozen=True)
class Drop:
    """Let a step be that is recorded, and is not wanted any more."""

    step: Step
    reason: str


@dataclass(frozen=True)
class Conclude:
    """Record how the release has ended."""

    end: End


Action = Write | Take | Drop | Conclude


@dataclass(frozen=True)
class Decision:
    """What is done now, what the gates say, and where nothing is done what is waited for."""

    actions: tuple[Action, ...] = ()
    gates: tuple[Verdict, ...] = ()
    waits_for: str = ""


def decide(release: Release, gates: Gates, seen: Seen, now: datetime) -> Decision:
    """Return what a release does next; `now` has a zone.

    One step is decided at a time, on what is known after the step before.
    """
    if release.is_over:
        return Decision()
    asked = release.request(ABORT)
    pending = release.pending
    if pending is not None:
        if asked is not None and pending.kind == PREPARE and release.ending is None:
            return Decision((Drop(pending, f"{asked.who} has ended the release"),))
        waited = now - pending.recorded.astimezone()
        if pending.kind == PREPARE and waited.total_seconds() > release.plan.give_up_seconds:
            reason = f"it was not ready after {_shown(waited)}"
            return Decision((Drop(pending, reason),))
        return Decision((Take(pending),))
    if release.ending is not None:
        return _to_the_end(release, release.ending)
    if asked is not None:
        return Decision((_back(release, records.ABORTED, asked.why or "asked for", by=asked),))
    prepared = release.last(PREPARE)
    if prepared is None:
        why = f"version {release.candidate} has to be ready before it is asked anything"
        return Decision((Write(PREPARE, {"version": release.candidate}, why),))
    if prepared.has_failed:
        reason = str(prepared.outcome.get("reason", "it does not load"))
        return Decision((_back(release, records.FAILED_RELEASE, reason),))
    if not release.plan.stages:
        return Decision((_to_all(release, release.why or release.kind, ()),))
    refused = release.last(SHIFT)
    if refused is not None and refused.has_failed:
        reason = str(refused.outcome.get("reason", "the target has refused routes"))
        return Decision((_back(release, records.FAILED_RELEASE, reason),))
    if release.stage is None:
        return Decision((_to_stage(release, 0, "the version is ready", ()),))
    return _in_stage(release, release.stage, gates, seen, now)


def _in_stage(release: Release, stage: Stage, gates: Gates, seen: Seen, now: datetime) -> Decision:
    shift, since, number = release.shift, release.stage_since, release.stage_number
    assert shift is not None
    assert since is not None
    assert number is not None
    evidence = seen.evidence
    if evidence is not None and evidence.token != shift.token:
        evidence = None
    verdicts = judge(
        gates,
        stage.role,
        evidence,
        candidate=release.candidate,
        production=release.production or 0,
        business=seen.business,
        raised=seen.raised,
    )
    if seen.standing is None:
        return Decision((), verdicts, seen.problem or "the target does not answer")
    routes = seen.standing.routes
    if routes is None:
        return Decision((), verdicts, "the target to serve: it has begun anew")
    if routes.token != shift.token:
        return Decision((_of_other_routes(release, number, routes.token),), verdicts)
    if seen.alias_at != release.production:
        to = f"version {seen.alias_at}" if seen.alias_at is not None else "no version"
        reason = f"{release.alias} was moved to {to} meanwhile"
        return Decision((_back(release, records.INTERRUPTED, reason),), verdicts)
    ringing = alarms(verdicts)
    if ringing:
        end = _back(release, records.ROLLED_BACK, told(ringing), verdicts, evidence)
        return Decision((end,), verdicts)
    wanted = release.request(PROMOTE)
    if wanted is not None:
        why = wanted.why or "asked for"
        return _next(release, _to_all(release, why, verdicts, evidence, by=wanted), verdicts, stage)
    lasted = now - since
    if release.is_paused:
        return Decision((), verdicts, "somebody to resume it: it is paused")
    open_gates = unknown(verdicts)
    left = timedelta(seconds=stage.seconds) - lasted
    if left > timedelta():
        return Decision((), verdicts, f"{stage.name} to have lasted {_shown(left)} more")
    if open_gates:
        give_up = max(release.plan.give_up_seconds, stage.seconds)
        if lasted >= timedelta(seconds=give_up):
            reason = f"not enough evidence after {_shown(lasted)}: {told(open_gates)}"
            end = _back(release, records.FAILED_RELEASE, reason, verdicts, evidence)
            return Decision((end,), verdicts)
        return Decision((), verdicts, f"enough evidence: {told(open_gates)}")
    is_last = number == len(release.plan.stages) - 1
    if is_last and release.plan.is_for_people:
        if (reported := _report(release, verdicts, evidence, stage)) is not None:
            return Decision((reported,), verdicts)
        return Decision((), verdicts, "somebody to promote or abort it: the shadow has done well")
    why = f"{stage.name} has lasted {_shown(lasted)}, and all gates hold"
    following = (
        _to_all(release, why, verdicts, evidence)
        if is_last
        else _to_stage(release, number + 1, why, verdicts, evidence)
    )
    return _next(release, following, verdicts, stage)


def _next(
    release: Release, following: Write, verdicts: tuple[Verdict, ...], stage: Stage
) -> Decision:
    """Go on; what a shadow has shown is reported before it is there no more."""
    evidence = following.intent.get("evidence")
    seen = Evidence.from_json(evidence) if evidence else None
    reported = _report(release, verdicts, seen, stage)
    return Decision((reported or following,), verdicts)


def _report(
    release: Release, verdicts: tuple[Verdict, ...], evidence: Evidence | None, stage: Stage
) -> Write | None:
    if stage.role != SHADOW or release.last(REPORT) is not None:
        return None
    if evidence is None:
        return None
    return Write(REPORT, _grounds(verdicts, evidence), "what the shadow has shown")


def _of_other_routes(release: Release, number: int, token: str) -> Write:
    """Return what is done where the target's routes are not those of the stage."""
    if token in release.tokens:
        return _to_stage(release, number, "the target has gone back to routes of before", ())
    reason = "somebody else has told the target what to serve meanwhile"
    end = {"state": records.INTERRUPTED, "reason": reason}
    return Write(REMOVE, {"version": release.candidate, "end": end}, reason)


def _to_the_end(release: Release, end: End) -> Decision:
    ended = [step for step in release.steps if step.intent.get("end")][-1]
    after = [step for step in release.steps if step.number >= ended.number]
    moved = next((step for step in after if step.kind == ALIAS), None)
    removed = next((step for step in after if step.kind == REMOVE), None)
    if ended.kind == SHIFT and ended.has_failed:
        reason = str(ended.outcome.get("reason", "the target has refused routes"))
        if ended.intent["towards"] == TO_ALL:
            return Decision((_back(release, records.FAILED_RELEASE, reason),))
        what = f"{end.state}, and what served before could not be brought back: {reason}"
        return Decision((Conclude(End(records.FAILED_RELEASE, f"{end.reason}; {what}")),))
    if ended.intent.get("towards") == TO_ALL:
        if moved is None:
            intent = {"alias": release.alias, "version": release.candidate}
            return Decision((Write(ALIAS, intent, ended.why, ended.who),))
        if moved.has_failed:
            reason = str(moved.outcome.get("reason", "the alias could not be moved"))
            return Decision((_back(release, records.FAILED_RELEASE, reason),))
        old = release.production
        if removed is None and old is not None:
            why = f"version {old} has no part in answering any more"
            return Decision((Write(REMOVE, {"version": old}, why),))
        return Decision((Conclude(end),))
    if (report := _late_report(release, ended)) is not None:
        return Decision((report,))
    if removed is None and release.last(PREPARE) is not None:
        why = f"version {release.candidate} has no part in answering any more"
        return Decision((Write(REMOVE, {"version": release.candidate}, why),))
    return Decision((Conclude(end),))


def _late_report(release: Release, ended: Step) -> Write | None:
    """Return the report on a shadow that an alarm has ended."""
    was_shadow = ended.intent.get("role") == SHADOW and ended.intent.get("evidence")
    if not was_shadow or release.last(REPORT) is not None:
        return None
    intent = {key: ended.intent[key] for key in ("gates", "evidence")}
    return Write(REPORT, intent, "what the shadow has shown")


def _to_stage(
    release: Release,
    number: int,
    why: str,
    verdicts: tuple[Verdict, ...],
    evidence: Evidence | None = None,
) -> Write:
    stage = release.plan.stages[number]
    assert release.production is not None
    share = Share(release.candidate, stage.percent)
    routes = Routes(
        release.production,
        canary=None if stage.role == SHADOW else share,
        shadow=share if stage.role == SHADOW else None,
        key=release.plan.key,
    )
    intent = {"towards": TO_STAGE, "stage": number, "routes": routes.to_json()}
    return Write(SHIFT, {**intent, **_grounds(verdicts, evidence)}, why)


def _to_all(
    release: Release,
    why: str,
    verdicts: tuple[Verdict, ...],
    evidence: Evidence | None = None,
    by: Step | None = None,
) -> Write:
    is_rollback = release.kind == records.ROLLBACK
    end = {"state": records.BROUGHT_BACK if is_rollback else records.PROMOTED, "reason": why}
    intent = {
        "towards": TO_ALL,
        "routes": Routes(release.candidate).to_json(),
        "end": end,
        **_grounds(verdicts, evidence),
    }
    return Write(SHIFT, intent, why, by.who if by is not None else "")


def _back(
    release: Release,
    state: str,
    reason: str,
    verdicts: tuple[Verdict, ...] = (),
    evidence: Evidence | None = None,
    by: Step | None = None,
) -> Write:
    """Return how what served before is brought back, or, where nothing was changed, kept."""
    who = by.who if by is not None else ""
    end = {"state": state, "reason": reason}
    shifts = [step for step in release.steps if step.kind == SHIFT]
    if not shifts or release.production is None:
        return Write(REMOVE, {"version": release.candidate, "end": end}, reason, who)
    intent = {
        "towards": BACK,
        "routes": Routes(release.production).to_json(),
        "role": release.stage.role if release.stage else "",
        "end": end,
        **_grounds(verdicts, evidence),
    }
    return Write(SHIFT, intent, reason, who)


def _grounds(verdicts: tuple[Verdict, ...], evidence: Evidence | None) -> dict[str, Any]:
    return {
        "gates": [verdict.to_json() for verdict in verdicts],
        "evidence": evidence.to_json() if evidence is not None else None,
    }


def _shown(time: timedelta) -> str:
    seconds = max(0, round(time.total_seconds()))
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds} s"
