"""Whoever looks at a trigger is killed at every step, or not alone: no run is lost or doubled."""

from __future__ import annotations

from datetime import timedelta

import pytest

from penstock.operations.triggers.steps import TriggerStep
from penstock_support import triggers as project
from penstock_support.processes import at_once
from penstock_support.triggers import (
    NOW,
    SPANS,
    arrive,
    check,
    end_runs,
    killed_at,
    starter_in,
    states,
    trained,
)

ALL = f'{SPANS}\ncatch_up = "all"'
REPLACE = f'{SPANS}\nconcurrency = "replace"'

# What is done before the look that is killed, and at which time of which step it is.
CASES = [
    (ALL, "first", TriggerStep.HELD, 1),
    (ALL, "first", TriggerStep.RECORDED, 1),
    (ALL, "first", TriggerStep.STARTED, 1),
    (ALL, "first", TriggerStep.NOTED, 1),
    (ALL, "first", TriggerStep.RECORDED, 2),
    (ALL, "ended", TriggerStep.HELD, 1),
    (ALL, "ended", TriggerStep.ENDED, 1),
    (ALL, "ended", TriggerStep.RECORDED, 1),
    (ALL, "ended", TriggerStep.STARTED, 1),
    (ALL, "ended", TriggerStep.NOTED, 1),
    (REPLACE, "second", TriggerStep.RECORDED, 1),
    (REPLACE, "second", TriggerStep.CANCELED, 1),
    (REPLACE, "second", TriggerStep.MADE_ROOM, 1),
    (REPLACE, "replaced", TriggerStep.ENDED, 1),
    (REPLACE, "replaced", TriggerStep.RECORDED, 1),
    (REPLACE, "replaced", TriggerStep.STARTED, 1),
]


def test_every_step_is_among_the_cases():
    assert {step for _, _, step, _ in CASES} == set(TriggerStep)


def come_to_rest(folder):
    for _ in range(6):
        check(folder, NOW + timedelta(minutes=1))
        end_runs(folder)
    check(folder, NOW + timedelta(minutes=1))


@pytest.mark.parametrize(
    ("table", "before", "step", "time"), CASES, ids=lambda v: getattr(v, "name", str(v)[-12:])
)
def test_killed_at_a_step_it_is_taken_up_by_the_next(tmp_path, table, before, step, time):
    project.write(tmp_path, table)
    arrive(tmp_path, 1, *([2] if table == ALL else []))
    if before != "first":
        check(tmp_path)
    if table == REPLACE:
        arrive(tmp_path, 2)
    if before == "ended":
        end_runs(tmp_path)
    if before == "replaced":
        check(tmp_path)
    assert killed_at(tmp_path, step, time)
    come_to_rest(tmp_path)
    assert trained(tmp_path) == ["1", "2"]
    first = "canceled" if table == REPLACE else "done"
    assert states(tmp_path) == {"1": first, "2": "done"}


def _look(number, folder, start, results):
    start.wait()
    looked = check(folder)
    results.put((len(looked.changed), looked.busy))


@pytest.mark.parametrize("rounds", [3])
def test_of_several_who_look_at_once_one_starts_the_run(tmp_path, metadata, rounds):
    project.write(tmp_path, ALL, metadata)
    for span in range(1, rounds + 1):
        arrive(tmp_path, span)
        at_once(_look, 4, tmp_path)
        check(tmp_path)
        end_runs(tmp_path)
    check(tmp_path)
    assert trained(tmp_path) == [str(span) for span in range(1, rounds + 1)]
    assert set(states(tmp_path).values()) == {"done"}


def test_of_several_who_look_at_once_none_goes_beyond_the_limit(tmp_path, metadata):
    project.write(tmp_path, f"{ALL}\nlimit_a_day = 2", metadata)
    for span in range(1, 5):
        arrive(tmp_path, span)
        at_once(_look, 4, tmp_path)
        end_runs(tmp_path)
        at_once(_look, 4, tmp_path)
    assert trained(tmp_path) == ["1", "2"]


def test_an_answer_that_was_lost_ten_times_is_one_run(tmp_path):
    project.write(tmp_path)
    arrive(tmp_path, 1)
    for _ in range(10):
        check(tmp_path, starter=starter_in(tmp_path, unanswered=10))
    check(tmp_path)
    assert len(starter_in(tmp_path).started) == 1
