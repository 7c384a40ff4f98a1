from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.project import cron

pytestmark = pytest.mark.core

MONDAY = datetime(2026, 6, 1, 12, 0)


@pytest.mark.parametrize(
    ("common", "of_kubeflow"),
    [
        ("0 9 * * 1", "0 0 9 * * 1"),
        ("*/15 * * * *", "0 */15 * * * *"),
        ("0 6 * * mon-fri", "0 0 6 * * MON-FRI"),
        ("0 0 * * 7", "0 0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 0 * * 5-6,0"),
        ("0 0 * * 0-7", "0 0 0 * * 0-6"),
        ("@daily", "0 0 0 * * *"),
        ("30 0 9 ? * 2-6", "30 0 9 ? * 2-6"),
    ],
)
def test_five_fields_become_six(common, of_kubeflow):
    assert cron.parse(common).text == of_kubeflow


@pytest.mark.parametrize(
    ("line", "following"),
    [
        ("0 9 * * 1", datetime(2026, 6, 8, 9)),
        ("0 6 * * *", datetime(2026, 6, 2, 6)),
        ("*/15 * * * *", datetime(2026, 6, 1, 12, 15)),
        ("10/20 * * * * *", datetime(2026, 6, 1, 12, 0, 10)),
        ("0 0 13 * 5", datetime(2026, 6, 5)),
        ("0 0 29 2 *", datetime(2028, 2, 29)),
        ("0 0 1 JAN *", datetime(2027, 1, 1)),
    ],
)
def test_the_next_time_is_the_first_that_fits(line, following):
    assert cron.parse(line).next(MONDAY) == following


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("0 9 * *", "expected 5 or 6 fields of cron, got 4"),
        ("61 * * * *", "minutes: expected 0 to 59, got '61'"),
        ("0 0 * * FUN", "days of the week: expected 0 to 6, or SUN"),
        ("0 0 5-1 * *", "days of the month: expected 1 to 31, got '5-1'"),
        ("0 */0 * * *", "hours: expected 0 to 23, got '*/0'"),
        ("0 0 30 2 *", "there is no time that fits '0 0 30 2 *'"),
        ("0 0 0 * * 7", "days of the week: expected 0 to 6"),
    ],
)
def test_a_line_that_cannot_be_read_is_told_field_by_field(line, text):
    with pytest.raises(cron.CronError) as raised:
        cron.parse(line)
    assert text in str(raised.value)


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),
    st.integers(0, 59),
    st.integers(0, 23),
    st.integers(1, 28),
)
def test_a_month_has_one_time_of_a_day_hour_and_minute(after, minute, hour, day):
    line = cron.parse(f"{minute} {hour} {day} * *")
    first = line.next(after)
    assert first is not None
    assert (first.minute, first.hour, first.day, first.second) == (minute, hour, day, 0)
    assert timedelta(0) < first - after.replace(microsecond=0) <= timedelta(days=31)
