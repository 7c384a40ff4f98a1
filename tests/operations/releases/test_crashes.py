"""Whoever carries a release out is killed at every step, and the next one takes it up."""

from __future__ import annotations

import pytest

from penstock.operations.releases import records
from penstock.operations.releases.steps import ReleaseStep
from penstock_support import releases as project
from penstock_support.processes import at_once
from penstock_support.releases import aliases, answers, brought_to_its_end, killed_at, moves
from penstock_support.releases import seen as answered

# A good release takes so many steps: prepare, three stages, the report, all, the alias, remove.
STEPS = 8


def cases(times: int) -> list[tuple[ReleaseStep, int]]:
    each = (ReleaseStep.RECORDED, ReleaseStep.TAKEN, ReleaseStep.NOTED)
    return [(step, time) for step in each for time in range(1, times + 1)]


def test_every_step_is_among_the_cases():
    held_and_over = {ReleaseStep.HELD, ReleaseStep.CONCLUDED}
    assert {step for step, _ in cases(1)} | held_and_over == set(ReleaseStep)


@pytest.mark.parametrize(
    ("step", "time"),
    [*cases(STEPS), (ReleaseStep.HELD, 2), (ReleaseStep.CONCLUDED, 1)],
    ids=lambda v: getattr(v, "name", str(v)),
)
def test_killed_at_a_step_of_a_good_release_it_is_promoted_once(tmp_path, step, time):
    project.write(tmp_path)
    project.target_in(tmp_path).see(answered())
    project.start(tmp_path)
    assert killed_at(tmp_path, step, time)
    if step is not ReleaseStep.CONCLUDED:
        brought_to_its_end(tmp_path)
    release = project.last(tmp_path)
    assert (release.state, aliases(tmp_path)["champion"]) == (records.PROMOTED, 2)
    assert [move.to for move in moves(tmp_path)] == [1, 2]
    done = [s for s in release.steps if s.kind == records.SHIFT]
    assert [s.intent["towards"] for s in done] == ["stage", "stage", "stage", "all"]
    assert len(release.steps) == STEPS


@pytest.mark.parametrize(("step", "time"), cases(4), ids=lambda v: getattr(v, "name", str(v)))
def test_killed_at_a_step_of_a_bad_release_what_served_before_serves(tmp_path, step, time):
    project.write(tmp_path)
    project.target_in(tmp_path).see(answered(answers(errors=2000)))
    project.start(tmp_path)
    assert killed_at(tmp_path, step, time)
    release = brought_to_its_end(tmp_path)
    assert (release.state, aliases(tmp_path)["champion"]) == (records.ROLLED_BACK, 1)
    assert project.target_in(tmp_path).describe().routes.versions() == (1,)
    assert 2 not in project.target_in(tmp_path).describe().versions


@pytest.mark.parametrize(("step", "time"), cases(4), ids=lambda v: getattr(v, "name", str(v)))
def test_killed_at_a_step_of_a_rollback_it_is_brought_to_its_end(tmp_path, step, time):
    project.write(tmp_path)
    project.target_in(tmp_path).see(answered())
    project.start(tmp_path)
    brought_to_its_end(tmp_path)
    project.roll_back(tmp_path)
    assert killed_at(tmp_path, step, time)
    release = brought_to_its_end(tmp_path)
    assert (release.state, aliases(tmp_path)["champion"]) == (records.BROUGHT_BACK, 1)
    assert [move.to for move in moves(tmp_path)] == [1, 2, 1]


def _look(number, folder, start, results):
    from penstock.metadata.turns import Held

    start.wait()
    try:
        results.put(len(project.looked(folder).written))
    except Held:
        results.put(0)


def test_of_several_who_carry_it_out_at_once_each_step_is_taken_by_one(tmp_path):
    project.write(tmp_path)
    project.target_in(tmp_path).see(answered())
    project.start(tmp_path)
    at_once(_look, 4, tmp_path)
    brought_to_its_end(tmp_path)
    release = project.last(tmp_path)
    assert (release.state, len(release.steps)) == (records.PROMOTED, STEPS)
    assert project.target_in(tmp_path).asked == [
        "prepare 2",
        "shift 1 2 100%",
        "shift 1 2 5%",
        "shift 1 2 50%",
        "shift 2",
        "remove 1",
    ]
