"""Charts over windows of time, from plain values."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from penstock.report.timelines import Mark, Period, Point, Track, beside, over_time, stacked

BEGIN = datetime(2026, 5, 1, tzinfo=UTC)


def period(number: int) -> Period:
    begin = BEGIN + timedelta(days=number)
    return Period(begin, begin + timedelta(days=1))


def track(*values: float | None, alarms: tuple[int, ...] = (), **options: bool) -> Track:
    points = (Point(period(n), value, is_alarm=n in alarms) for n, value in enumerate(values))
    return Track("auc", tuple(points), **options)


def test_a_line_is_broken_where_nothing_is_known():
    drawn = over_time([track(1.0, 2.0, None, 3.0, 4.0)], "a chart")
    assert len(re.findall(r'<path class="line', drawn)) == 2


def test_what_is_no_number_is_as_not_known():
    drawn = over_time([track(1.0, float("nan"), float("inf"))], "a chart")
    assert "nan" not in drawn
    assert drawn.count("<circle") == 1


def test_alarms_have_a_shape_of_their_own():
    drawn = over_time([track(1.0, 2.0, 3.0, alarms=(1,))], "a chart")
    assert (drawn.count('class="alarm"'), drawn.count("<circle")) == (1, 2)


def test_of_very_many_points_the_line_and_the_alarms_are_drawn():
    drawn = over_time([track(*[1.0] * 200, alarms=(7, 9))], "a chart")
    assert (drawn.count("<circle"), drawn.count('class="alarm"')) == (0, 2)
    assert drawn.count('class="line') == 1


def test_what_is_estimated_has_rings_and_fine_dots():
    drawn = over_time([track(1.0, 2.0, is_estimated=True)], "a chart")
    assert drawn.count(" ring") == 2
    assert 'stroke-dasharray="2 4"' in drawn


def test_a_limit_that_is_far_away_is_left_out_unless_it_is_asked_for():
    values = [track(1.0, 1.1)]
    assert 'class="limit"' not in over_time(values, "a chart", limits=[100.0])
    assert 'class="limit"' in over_time(values, "a chart", limits=[100.0], far_limits=True)
    assert 'class="limit"' in over_time(values, "a chart", limits=[2.0])


def test_marks_whose_words_would_meet_have_lines_alone():
    marks = [Mark(BEGIN + timedelta(hours=n), f"version {n}") for n in (40, 41, 90)]
    drawn = over_time([track(1.0, 2.0, 3.0, 4.0, 5.0)], "a chart", marks=marks)
    assert drawn.count('class="mark"') == 3
    assert re.findall(r">(version \d+)</text>", drawn) == ["version 40", "version 90"]


def test_marks_outside_of_the_time_are_left_out():
    marks = [Mark(BEGIN - timedelta(days=1), "v1"), Mark(BEGIN + timedelta(days=9), "v2")]
    assert 'class="mark"' not in over_time([track(1.0, 2.0)], "a chart", marks=marks)


def test_without_any_value_axes_are_drawn():
    assert "<svg" in over_time([], "a chart")
    assert "<svg" in stacked([], [], "a chart")
    assert "<svg" in beside([], [], "a chart", ("", ""))


def test_parts_stand_upon_each_other():
    drawn = stacked(["a", "b"], [(period(0), [1.0, 3.0])], "a chart")
    found = re.findall(r'<rect class="fill-(\d)" .*? y="([\d.]+)" .*? height="([\d.]+)"', drawn)
    (_, top, tall), (_, above, above_tall) = found
    assert float(top) + float(tall) > float(above) + float(above_tall)
    assert float(above_tall) > 2 * float(tall)


def test_what_names_say_is_text():
    hostile = "<script>"
    drawn = stacked([hostile], [(period(0), [1.0])], hostile)
    drawn += over_time([Track(hostile, track(1.0).points)], hostile)
    drawn += beside([1.0], [1.0], hostile, (hostile, hostile))
    assert hostile not in drawn
