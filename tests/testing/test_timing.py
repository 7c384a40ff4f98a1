"""The strict server's own reading of cron, and Penstock's, agree on what is a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.project import cron
from penstock.testing.kubeflow.timing import refusal


@pytest.mark.parametrize(
    "line",
    ["0 0 9 * * MON-FRI", "*/15 * * * * ?", "0 30 4 1,15 JAN-mar 5/2", "@daily", "@every 1h30m"],
)
def test_a_line_of_six_fields_is_taken(line):
    assert refusal(line) == ""


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 9 * * 1", "expected exactly 6 fields, found 5"),
        ("", "expected exactly 6 fields, found 0"),
        ("0 0 24 * * *", "outside of 0 to 23"),
        ("0 0 0 0 * *", "outside of 1 to 31"),
        ("0 0 0 * * 7", "outside of 0 to 6"),
        ("0 0 9-5 * * *", "beyond end of range"),
        ("0 0/0 * * * *", "should be a positive number"),
        ("0 0/1/2 * * * *", "too many slashes"),
        ("0 1-2-3 * * * *", "too many hyphens"),
        ("0 0 0 * FOO *", "failed to parse int"),
        ("@often", "unrecognized descriptor"),
    ],
)
def test_another_line_is_refused_with_the_reason(line, reason):
    assert reason in refusal(line)


PARTS = st.sampled_from(
    ["*", "?", "0", "1", "5", "12", "31", "59", "1-5", "5-1", "*/2", "1/0", "MON", "JAN", "x"]
)


@given(st.lists(PARTS, min_size=6, max_size=6))
def test_both_readings_take_the_same_lines(parts):
    line = " ".join(parts)
    try:
        cron.parse(line, fields=6)
    except cron.CronError:
        assert refusal(line) != ""
    else:
        assert refusal(line) == ""
