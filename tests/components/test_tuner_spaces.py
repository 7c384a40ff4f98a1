"""Among which hyperparameters a search looks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.components.tuner.space import candidates, read_space
from penstock.errors import ParameterError

pytestmark = pytest.mark.core


def tried(search, trials=10, seed=0):
    return candidates(read_space(search), trials, seed)


def test_all_values_are_tried_where_there_are_no_more_than_trials():
    assert tried({"depth": [2, 4], "kind": ["a", "b"]}, trials=4) == [
        {"depth": 2, "kind": "a"},
        {"depth": 2, "kind": "b"},
        {"depth": 4, "kind": "a"},
        {"depth": 4, "kind": "b"},
    ]


def test_a_step_reaches_the_end():
    assert [t["rate"] for t in tried({"rate": {"low": 0.1, "high": 0.4, "step": 0.1}})] == (
        pytest.approx([0.1, 0.2, 0.3, 0.4])
    )


def test_the_same_seed_tries_the_same():
    space = {"rate": {"low": 0.0, "high": 1.0}, "depth": [1, 2]}
    assert tried(space, seed=3) == tried(space, seed=3) != tried(space, seed=4)


@given(low=st.floats(1e-6, 1), factor=st.floats(1, 1e6), log=st.booleans(), seed=st.integers(0, 99))
def test_numbers_stay_in_their_range(low, factor, log, seed):
    space = {"rate": {"low": low, "high": low * factor, "log": log}}
    assert all(low <= t["rate"] <= low * factor for t in tried(space, seed=seed))


def test_whole_numbers_stay_whole():
    values = [t["units"] for t in tried({"units": {"low": 8, "high": 512, "log": True}})]
    assert all(isinstance(value, int) for value in values)


def test_nothing_is_tried_twice():
    values = [t["units"] for t in tried({"units": {"low": 1, "high": 4}}, trials=50)]
    assert sorted(values) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ({}, "search is empty"),
        ({"rate": 3}, "search, 'rate': expected a list of values or a range"),
        ({"rate": []}, "search, 'rate': expected a list of values or a range"),
        ({"rate": {"low": 1}}, "search, 'rate': expected a list of values or a range"),
        ({"rate": {"low": 1, "high": 2, "steps": 1}}, "'rate': expected a list of values or a r"),
        ({"rate": {"low": 2, "high": 1}}, "expected numbers, low no more than high"),
        ({"rate": {"low": "1", "high": 2}}, "expected numbers, low no more than high"),
        ({"rate": {"low": 0, "high": 2, "log": True}}, "a range with log begins above 0, not at 0"),
        ({"rate": {"low": 1, "high": 2, "step": 0}}, "expected a step above 0"),
    ],
)
def test_what_is_no_search_space_is_told(search, told):
    with pytest.raises(ParameterError, match=told):
        read_space(search)
