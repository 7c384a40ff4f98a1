"""Charts, and the order and the bounds in which slices are drawn."""

from __future__ import annotations

import math
import re

import pytest

from penstock.data.results.evaluation import SliceMetric
from penstock.data.results.training_curves import Curve
from penstock.report import charts, drawing
from penstock.report.evaluations import Evaluation, SliceRow, Threshold, _lower_is_better, _order
from penstock.report.wording import metric, number

pytestmark = pytest.mark.core


def numbers_left_of_axis(svg: str) -> list[tuple[float, str]]:
    found = re.findall(r'class="tick end" x="([\d.]+)" y="[\d.]+">([^<]+)<', svg)
    return [(float(x), text) for x, text in found]


@pytest.mark.parametrize("values", [(4e5, 3.1e6), (0.00012, 0.9), (-12_345_678.0, 0.0)])
def test_labels_of_an_axis_have_room(values):
    svg = charts.lines([charts.Series("loss", tuple(enumerate(values)))], "loss", "step")
    for x, text in numbers_left_of_axis(str(svg)):
        assert x >= 6 * len(text)


def test_steps_are_whole_numbers():
    svg = str(charts.lines([charts.Series("loss", ((0, 1.0), (9, 0.5)))], "loss", "epoch"))
    labels = re.findall(r'class="tick middle" x="[\d.]+" y="182">([^<]+)<', svg)
    assert labels
    assert all(float(label).is_integer() for label in labels)


@pytest.mark.parametrize(("last", "step"), [(1, 1), (3, 1), (9, 3), (1000, 250)])
def test_ticks_are_no_nearer_than_they_may_be(last, step):
    found = charts.ticks(0, last, 4, least=1.0)
    assert found[1] - found[0] == step


def test_what_is_not_defined_is_a_dash_and_is_not_drawn():
    assert number(math.nan) == "\N{EN DASH}"
    assert charts.interval(math.nan, None, None, (0, 1), "auc") == ""


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [("example_count", 1.0, "1"), ("true_positives", 0.0, "0"), ("recall", 1.0, "1.0000")],
)
def test_what_counts_has_no_decimals(name, value, shown):
    assert metric(name, value) == shown


def at(svg: str, kind: str) -> float:
    return float(re.search(rf'class="{kind}" cx="([\d.]+)%"', svg)[1])


def test_a_slice_at_zero_is_left_of_others():
    zero, half = (str(charts.interval(v, None, None, (0.0, 1.0), "auc")) for v in (0.0, 0.5))
    assert at(zero, "dot") < at(half, "dot")


def test_what_lies_outside_of_the_picture_is_an_arrow_at_its_edge():
    below = str(charts.interval(0.0, None, None, (0.8, 1.0), "auc"))
    above = str(charts.interval(2.0, None, None, (0.8, 1.0), "auc"))
    assert 'x="2.00%"' in below
    assert 'x="98.00%"' in above
    assert "circle" not in below + above


def test_bars_have_the_ends_of_their_axis_and_the_largest_count():
    svg = str(charts.histogram([charts.Bar(0, 5, 1234)], (0, 5), "size", ("0", "5")))
    assert re.findall(">([^<]+)</text>", svg) == ["most 1,234", "0", "5"]


def test_long_words_at_the_ends_do_not_meet():
    svg = str(charts.histogram([charts.Bar(0, 1, 2)], (0, 1), "x", ("a" * 40, "b" * 40)))
    first, last = re.findall(">([^<]+)</text>", svg)[1:]
    assert first.endswith("…")
    assert len(first) + len(last) < 20


def row(name: str, value: float, count: int = 100) -> SliceRow:
    metrics = {"m": SliceMetric(name, "m", value)}
    return SliceRow(name, {**metrics, "example_count": SliceMetric(name, "example_count", count)})


@pytest.mark.parametrize(("lower_is_better", "order"), [(False, "abcd"), (True, "bacd")])
def test_the_worst_comes_first_small_ones_and_undefined_ones_last(lower_is_better, order):
    rows = [row("d", math.nan, 3), row("c", 0.0, 5), row("b", 0.9), row("a", 0.1)]
    ordered = sorted(rows, key=lambda r: _order(r, "m", lower_is_better))
    assert "".join(r.name for r in ordered) == order


@pytest.mark.parametrize(
    ("name", "threshold", "lower_is_better"),
    [
        ("root_mean_squared_error", (), True),
        ("accuracy", (), False),
        ("false_positives", (), True),
        ("my_cost", (Threshold("my_cost", "Overall", "at most 3", 3, (), 2, True),), True),
        ("loss_avoided", (Threshold("loss_avoided", "Overall", "", 3, (), 2, False),), False),
    ],
)
def test_a_metric_s_direction_is_that_of_its_thresholds_or_of_its_name(
    name, threshold, lower_is_better
):
    assert _lower_is_better(name, threshold) is lower_is_better


def test_what_never_changes_is_told_and_not_drawn():
    assert drawing.constant([Curve("rate", "train", (1, 2), (0.01, 0.01))]) == 0.01
    assert drawing.constant([Curve("loss", "train", (1, 2), (0.2, 0.1))]) is None


def test_an_evaluation_is_made_without_a_direction():
    assert not Evaluation("Evaluator", SliceRow("Overall")).lower_is_better
