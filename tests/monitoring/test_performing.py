"""Whether metrics are within their limits."""

from __future__ import annotations

import pytest

from penstock.monitoring.measures import ALARM, FINE, PERFORMANCE, Measure
from penstock.monitoring.outcomes import BINARY, CLASSES, NUMBERS
from penstock.monitoring.performing import judged, metrics_of
from penstock.project.monitors import Limits, PerformanceTests

pytestmark = pytest.mark.core


def one(limits, name="AUC", value=0.8, reach=0.01, reference=None):
    measure = Measure(
        PERFORMANCE,
        "all rows",
        name,
        value,
        lower=value - reach,
        upper=value + reach,
        reference=reference,
    )
    [found] = judged([measure], {name: limits}, 0.99)
    return found


def test_a_metric_below_what_it_should_be_at_least_rings():
    found = one(Limits(at_least=0.85))
    assert (found.state, found.threshold) == (ALARM, 0.85)
    assert found.why == "it should be 0.85 at least"


def test_a_metric_above_what_it_should_be_at_most_rings():
    assert one(Limits(at_most=0.7)).state == ALARM


def test_a_metric_whose_interval_has_the_limit_in_it_is_fine():
    assert one(Limits(at_least=0.805)).state == FINE


def test_a_metric_that_is_worse_than_it_was_rings():
    found = one(Limits(worse_by=0.05), reference=0.9)
    assert (found.state, found.threshold) == (ALARM, pytest.approx(0.855))
    assert found.why == "it was 0.9 when the model was evaluated, and may be 5% worse"


def test_an_error_is_worse_where_it_is_larger():
    limits = Limits(worse_by=0.1)
    assert one(limits, "MeanAbsoluteError", 5.0, reference=4.0).state == ALARM
    assert one(limits, "MeanAbsoluteError", 3.0, reference=4.0).state == FINE


def test_without_a_reference_nothing_is_worse():
    assert one(Limits(worse_by=0.05)).state == FINE


def test_many_measures_have_wider_intervals_each():
    measure = Measure(PERFORMANCE, "all rows", "AUC", 0.8, lower=0.78, upper=0.82)
    limits = {"AUC": Limits(at_least=0.826)}
    assert judged([measure], limits, 0.99)[0].state == ALARM
    assert judged([measure] * 50, limits, 0.99)[0].state == FINE


@pytest.mark.parametrize(
    ("task", "metrics"),
    [
        (BINARY, {"AUC", "BinaryAccuracy", "Calibration"}),
        (CLASSES, {"Accuracy"}),
        (NUMBERS, {"MeanAbsoluteError", "RootMeanSquaredError"}),
    ],
)
def test_each_task_has_metrics_of_its_own(task, metrics):
    assert set(metrics_of(task, PerformanceTests())) == metrics


def test_what_is_named_is_measured_and_nothing_else():
    tests = PerformanceTests(metrics={"F1Score": Limits(at_least=0.5)})
    assert metrics_of(BINARY, tests) == {"F1Score": Limits(at_least=0.5)}
