"""What a release does next, whatever is seen: only evidence lets it go on."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from penstock.metadata.journal import DONE, FAILED, INTENDED
from penstock.operations.releases import records
from penstock.operations.releases.deciding import (
    Action,
    Conclude,
    Drop,
    Seen,
    Take,
    Write,
    decide,
)
from penstock.operations.releases.gates import Measure
from penstock.operations.releases.records import REQUESTS, SHIFT, Release, Step
from penstock.operations.releases.stages import plan_of
from penstock.operations.releases.targets.protocol import Standing
from penstock.project.deployments import Gates
from penstock.serving.routes import Routes
from penstock_support.releases import STAGES, answers, evidence

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
GATES = Gates()


def release(plan=STAGES, **changes) -> Release:
    begun = Release("m", 1, records.RELEASE, "m", 2, 1, "champion", "local", plan, "ann", "", NOW)
    return replace(begun, **changes)


def with_step(
    of: Release, kind: str, intent=None, *, state: str = DONE, at: datetime = NOW, reason: str = ""
) -> Release:
    number = len(of.steps) + 1
    outcome = {"at": at.isoformat(), **({"reason": reason} if reason else {})}
    step = Step(
        number,
        kind,
        state,
        "ann",
        "",
        at,
        {"kind": kind, **(intent or {})},
        {} if state == INTENDED else outcome,
        f"token {number}",
    )
    return replace(of, steps=(*of.steps, step))


def after(of: Release, action: Action, state: str = DONE, at: datetime = NOW) -> Release:
    """Return a release after an action was recorded and taken, or has failed."""
    if isinstance(action, Write):
        return with_step(of, action.kind, action.intent, state=state, at=at, reason="refused")
    if isinstance(action, Conclude):
        return replace(of, state=action.end.state, reason=action.end.reason)
    steps = tuple(
        replace(s, state=state, outcome={"at": at.isoformat(), "reason": "refused"})
        if s.number == action.step.number
        else s
        for s in of.steps
    )
    return replace(of, steps=steps)


def in_stage(number: int, plan=STAGES) -> Release:
    begun = with_step(release(plan), records.PREPARE, {"version": 2})
    for stage in range(number + 1):
        [action] = [
            a
            for a in decide(begun, GATES, seen(begun), NOW + timedelta(days=stage)).actions
            if isinstance(a, Write)
        ]
        while action.kind == records.REPORT:
            begun = after(begun, action)
            [action] = decide(begun, GATES, seen(begun), NOW + timedelta(days=stage)).actions
        begun = after(begun, action)
    assert begun.stage_number == number
    return begun


def seen(of: Release, new=None, **changes) -> Seen:
    """Return what is seen of a release whose target is as it was told."""
    shift = of.shift
    token = shift.token if shift is not None else "before"
    routes = shift.routes if shift is not None else Routes(1, token="before")
    found = Seen(Standing(routes), evidence(new, token=token), {}, 1)
    return replace(found, **changes)


def towards(action: Action) -> str:
    assert isinstance(action, Write)
    return action.intent.get("towards", action.kind)


def test_one_that_is_over_does_nothing():
    assert decide(release(state="promoted"), GATES, Seen(), NOW).actions == ()


def test_a_recorded_step_is_taken_before_anything_is_decided():
    pending = with_step(release(), records.PREPARE, {"version": 2}, state=INTENDED)
    [action] = decide(pending, GATES, Seen(), NOW).actions
    assert isinstance(action, Take)


def test_a_version_that_loads_for_too_long_is_given_up():
    pending = with_step(release(), records.PREPARE, {"version": 2}, state=INTENDED)
    [action] = decide(pending, GATES, Seen(), NOW + timedelta(hours=25)).actions
    assert action == Drop(pending.steps[0], "it was not ready after 1.04 d")


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_before_its_time_a_stage_stays(stage):
    begun = in_stage(stage)
    decision = decide(begun, GATES, seen(begun), NOW + timedelta(seconds=299))
    assert decision.actions == ()
    assert "to have lasted" in decision.waits_for


@pytest.mark.parametrize(("stage", "expected"), [(0, "report"), (1, "stage"), (2, "all")])
def test_after_its_time_with_all_gates_a_stage_goes_on(stage, expected):
    begun = in_stage(stage)
    [action] = decide(begun, GATES, seen(begun), NOW + timedelta(hours=1)).actions
    assert towards(action) == expected


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_an_alarm_goes_back_from_every_stage_at_any_time(stage):
    begun = in_stage(stage)
    for later in (timedelta(), timedelta(days=9)):
        found = seen(begun, answers(errors=5000))
        [action] = decide(begun, GATES, found, NOW + later).actions
        assert towards(action) == "back"
        assert Routes.from_json(action.intent["routes"]) == Routes(1)


def unusable(begun: Release) -> Iterator[Seen]:
    """Yield what is seen where something is missing, or is of something else."""
    yield seen(begun, evidence=None)
    yield seen(begun, evidence=evidence(token="of others"))
    yield seen(begun, answers(0))
    yield seen(begun, answers(90))
    yield seen(begun, standing=None)
    yield Seen()


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_what_is_missing_never_lets_it_go_on(stage):
    begun = in_stage(stage)
    for found in unusable(begun):
        for hours in (0, 1, 23):
            decision = decide(begun, GATES, found, NOW + timedelta(hours=hours))
            assert decision.actions == ()
            assert decision.waits_for


def test_a_number_of_the_business_that_is_missing_holds_a_canary_back():
    from penstock.project.deployments import BusinessGate

    gates = Gates(business={"bookings": BusinessGate(command=("b",), tolerance=0.1)})
    begun = in_stage(1)
    later = NOW + timedelta(hours=1)
    assert decide(begun, gates, seen(begun), later).actions == ()
    known = seen(begun, business={"bookings": {1: Measure(1.0), 2: Measure(1.0)}})
    assert decide(begun, gates, known, later).actions != ()


def test_the_target_of_before_is_told_again():
    begun = in_stage(1)
    earlier = next(s for s in begun.steps if s.kind == SHIFT)
    found = seen(begun, standing=Standing(earlier.routes))
    [action] = decide(begun, GATES, found, NOW).actions
    assert (towards(action), action.intent["stage"]) == ("stage", 1)


def test_routes_of_others_are_left_as_they_are():
    begun = in_stage(1)
    found = seen(begun, standing=Standing(Routes(7, token="of others")))
    [action] = decide(begun, GATES, found, NOW).actions
    assert (towards(action), action.intent["end"]["state"]) == ("remove", "interrupted")


def test_a_target_that_has_just_begun_anew_is_waited_for():
    begun = in_stage(1)
    decision = decide(begun, GATES, seen(begun, standing=Standing()), NOW)
    assert (decision.actions, decision.waits_for) == (
        (),
        "the target to serve: it has begun anew",
    )


def test_a_refused_promotion_goes_back():
    begun = in_stage(2)
    [action] = decide(begun, GATES, seen(begun), NOW + timedelta(hours=1)).actions
    failed = after(begun, action, FAILED)
    [action] = decide(failed, GATES, seen(failed), NOW).actions
    assert (towards(action), action.intent["end"]["state"]) == ("back", "failed")


def test_an_alias_that_cannot_be_moved_brings_the_routes_back():
    begun = in_stage(2)
    [action] = decide(begun, GATES, seen(begun), NOW + timedelta(hours=1)).actions
    begun = after(begun, action)
    [action] = decide(begun, GATES, seen(begun), NOW).actions
    assert towards(action) == "alias"
    failed = after(begun, action, FAILED)
    [action] = decide(failed, GATES, seen(failed), NOW).actions
    assert towards(action) == "back"


def test_what_served_before_and_cannot_be_brought_back_is_told():
    begun = in_stage(1)
    [action] = decide(begun, GATES, seen(begun, answers(errors=5000)), NOW).actions
    failed = after(begun, action, FAILED)
    [action] = decide(failed, GATES, seen(failed), NOW).actions
    assert isinstance(action, Conclude)
    assert "could not be brought back: refused" in action.end.reason


@pytest.mark.parametrize("seed", range(200))
def test_whatever_happens_it_comes_to_an_end_and_only_evidence_or_people_promote(seed):
    chance = random.Random(seed)
    plan = chance.choice(
        [
            STAGES,
            plan_of(0, 0, (10,), 60, key="", give_up_seconds=3600),
            plan_of(100, 60, (), 0, key="", give_up_seconds=3600),
        ]
    )
    now, begun = NOW, release(plan)
    asked, shown_good = set(), 0
    for _ in range(300):
        if begun.is_over:
            break
        now += timedelta(minutes=chance.choice([1, 10, 400]))
        if chance.random() < 0.05 and begun.pending is None and begun.ending is None:
            kind = chance.choice(REQUESTS)
            asked.add(kind)
            begun = with_step(begun, kind, at=now)
        new = chance.choice([answers(), answers(), answers(50), answers(errors=4000)])
        found = seen(begun, new)
        if chance.random() < 0.2:
            found = chance.choice(list(unusable(begun)))
        decision = decide(begun, GATES, found, now)
        assert len(decision.actions) <= 1
        for action in decision.actions:
            if isinstance(action, Write) and action.intent.get("towards") == "all":
                holds = {g["state"] for g in action.intent["gates"]} == {"holds"}
                shown_good += holds
                assert holds or records.PROMOTE in asked
                assert "alarm" not in {g["state"] for g in action.intent["gates"]}
            state = FAILED if chance.random() < 0.05 else DONE
            if isinstance(action, Write) and chance.random() < 0.3:
                state = INTENDED
            begun = after(begun, action, state, now)
    if not begun.is_over:
        # Only people can move these on.
        waits_for = decide(begun, GATES, seen(begun), now + timedelta(days=2)).waits_for
        assert waits_for.startswith("somebody to")
    if begun.state == records.PROMOTED:
        assert shown_good or records.PROMOTE in asked
