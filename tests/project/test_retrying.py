"""How a node that failed is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import ParameterError
from penstock.project.retrying import FAILURES, Retries

pytestmark = pytest.mark.core


def test_there_are_as_many_retries_as_are_asked_for():
    assert [Retries(2).pause(tried, "error") for tried in range(3)] == [0.0, 0.0, None]


def test_pauses_grow_up_to_the_longest():
    retries = Retries(9, pause_seconds=10, factor=3, longest_pause_seconds=100)
    assert [retries.pause(tried, "error") for tried in range(4)] == [10, 30, 90, 100]


def test_only_failures_that_are_named_are_tried_again():
    retries = Retries(1, after=("error", "timeout"))
    tried_again = [failure for failure in FAILURES if retries.pause(0, failure) is not None]
    assert tried_again == ["error", "timeout"]


def test_what_is_not_the_work_s_failure_is_not_tried_again():
    assert Retries(1).pause(0, "") is None


@given(st.integers(0, 10**6), st.floats(0, 1e300), st.floats(1, 1e300))
def test_a_pause_is_never_longer_than_the_longest(tried, pause, factor):
    retries = Retries(10**9, pause_seconds=pause, factor=factor)
    assert 0 <= retries.pause(tried, "error") <= 600


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"count": 1.5}, "retries should be a whole number from 0, got 1.5"),
        ({"after": ("eror",)}, "retries after 'eror' are not known. Did you mean 'error'?"),
        ({"pause_seconds": -1}, "pause_seconds of retries should be a number from 0, got -1"),
        ({"factor": 0.5}, "factor of retries should be a number from 1, got 0.5"),
        ({"longest_pause_seconds": float("inf")}, "longest_pause_seconds of retries should be"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_written(options, said):
    with pytest.raises(ParameterError) as raised:
        Retries(**options)
    assert said in str(raised.value)
