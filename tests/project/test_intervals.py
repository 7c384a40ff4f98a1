"""Intervals are read as people write them, and shown so."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.project.intervals import parse_interval, shown_interval, written_interval

pytestmark = pytest.mark.core


@settings(deadline=None)
@given(st.integers(1, 10**9))
def test_what_is_written_is_read_as_the_same(seconds):
    assert parse_interval(written_interval(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0s"), (59.6, "1m"), (3661, "1h1m"), (86400 * 9 + 5, "9d5s")]
)
def test_of_an_interval_the_two_largest_units_are_shown(seconds, shown):
    assert shown_interval(seconds) == shown
