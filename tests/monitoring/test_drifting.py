"""Whether what is seen is distributed as it was: what rings, what does not, and what is said."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest

from penstock.errors import ParameterError
from penstock.monitoring.drifting import compare
from penstock.monitoring.measures import ALARM, DRIFT, FINE, UNKNOWN
from penstock.project.monitors import JS, KS, LINF, PSI, TESTS, DriftTests, FeatureTest

pytestmark = pytest.mark.core


def table(rows, seed=0, shift=0.0, jfk=0.5):
    random = np.random.default_rng(seed)
    others = (1 - jfk) / 2
    return pa.table(
        {
            "distance": random.normal(700 + 100 * shift, 100, rows),
            "stops": random.integers(0, 3, rows),
            "origin": random.choice(["JFK", "LGA", "EWR"], rows, p=[jfk, others, others]),
            "tail": random.zipf(1.5, rows).clip(0, 3000).astype(str),
        }
    )


REFERENCE = table(20_000)


def measures(window, tests, **arguments):
    compared = compare(window, REFERENCE, tests, kind=DRIFT, **arguments)
    return {one.measure.subject: one.measure for one in compared}


@pytest.mark.parametrize("test", TESTS)
def test_a_sample_of_the_same_rings_for_nothing(test):
    found = measures(table(2000, seed=1), DriftTests(test=test))
    assert {measure.state for measure in found.values()} == {FINE}


@pytest.mark.parametrize("test", TESTS)
def test_a_shift_by_a_standard_deviation_rings_for_that_feature_alone(test):
    found = measures(table(1000, seed=2, shift=1), DriftTests(test=test))
    assert [name for name, measure in found.items() if measure.state == ALARM] == ["distance"]


@pytest.mark.parametrize("test", TESTS)
def test_other_shares_of_texts_ring(test):
    found = measures(table(2000, seed=3, jfk=0.75), DriftTests(test=test))
    assert found["origin"].state == ALARM


def test_a_tiny_difference_that_is_sure_does_not_ring():
    many = compare(table(200_000, seed=4, shift=0.05), table(200_000), DriftTests(), kind=DRIFT)
    [distance] = [one.measure for one in many if one.measure.subject == "distance"]
    assert distance.chance < 0.001
    assert distance.state == FINE


def test_of_few_rows_nothing_is_said():
    found = measures(table(20, seed=5), DriftTests())
    assert {measure.state for measure in found.values()} == {UNKNOWN}
    assert found["distance"].why == "20 rows were seen, 100 are needed"


def test_what_is_compared_with_too_few_rows_says_so():
    found = compare(table(500), table(20), DriftTests(), kind=DRIFT)
    assert found[0].measure.why == "20 rows are there to compare with, 100 are needed"


def test_numbers_are_told_by_their_medians():
    window = table(1000, seed=2, shift=1)
    why = measures(window, DriftTests())["distance"].why
    medians = (np.median(side.column("distance").to_numpy()) for side in (window, REFERENCE))
    assert why == "its median is {:.6g} where it was {:.6g}".format(*medians)


def test_texts_are_told_by_the_share_that_changed_most():
    why = measures(table(5000, seed=3, jfk=0.9), DriftTests())["origin"].why
    assert re.fullmatch(r"(89|90)\.\d% of rows are 'JFK', where (49|50)\.\d% were", why)


def test_missing_values_are_told():
    window = table(1000, seed=6).set_column(
        0, "distance", pa.array([None if n % 2 else 700.0 for n in range(1000)])
    )
    found = measures(window, DriftTests())["distance"]
    assert found.state == ALARM


def test_a_feature_may_have_a_test_and_a_threshold_of_its_own():
    tests = DriftTests(
        threshold=0.5, features={"dist*": FeatureTest(KS), "origin": FeatureTest(threshold=0.01)}
    )
    found = measures(table(1000, seed=2, shift=0.5), tests)
    assert (found["distance"].name, found["distance"].threshold) == (KS, 0.1)
    assert (found["origin"].name, found["origin"].threshold) == (JS, 0.01)
    assert found["stops"].threshold == 0.5


def test_features_are_left_out_by_patterns():
    tests = DriftTests(without=("t*",), features={"stops": FeatureTest(enabled=False)})
    assert set(measures(table(200), tests)) == {"distance", "origin"}


def test_what_is_no_number_is_tested_by_shares_where_the_test_is_of_numbers():
    assert measures(table(200), DriftTests(test=KS))["origin"].name == LINF


def test_columns_that_one_side_lacks_are_not_compared():
    assert set(measures(table(200).drop(["origin"]), DriftTests())) == {"distance", "stops", "tail"}


def test_hours_that_are_each_alike_do_not_ring_where_single_rows_would():
    random = np.random.default_rng(8)
    hours = np.repeat(np.arange(24), 50)
    by_hour = np.repeat(random.normal(700, 100, 24), 50)
    window = table(1200, seed=8).set_column(0, "distance", pa.array(by_hour))
    alone = measures(window, DriftTests())["distance"]
    grouped = measures(window, DriftTests(), groups=hours)["distance"]
    assert alone.state == ALARM
    assert grouped.chance > alone.chance
    assert grouped.state == FINE


def wide(rows, seed):
    """Return a table of 24 columns, of which each is a sample of the same."""
    tables = [table(rows, seed=seed * 100 + number) for number in range(6)]
    return pa.table(
        {
            f"{name}-{number}": one.column(name)
            for number, one in enumerate(tables)
            for name in one.column_names
        }
    )


@pytest.mark.parametrize("test", TESTS)
def test_of_twelve_windows_without_drift_at_most_one_test_in_a_hundred_rings(test):
    # Without a threshold, so that chance alone keeps it from ringing.
    tests = DriftTests(test=test, threshold=0.0)
    reference = wide(10_000, 1)
    found = [
        one.measure
        for window in range(2, 14)
        for one in compare(wide(1000, window), reference, tests, kind=DRIFT)
    ]
    assert len(found) == 12 * 24
    assert sum(measure.state == ALARM for measure in found) <= len(found) / 100


def test_without_a_correction_more_rings():
    window = table(1500, seed=9, shift=0.08)
    corrected, alone = (
        measures(window, DriftTests(correction=correction))["distance"].chance
        for correction in ("holm", "none")
    )
    assert alone < corrected


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"test": "kl"}, "expected a test of js, psi, linf, ks, got 'kl'"),
        ({"correction": "bonferoni"}, "expected a correction of holm, none, got 'bonferoni'"),
        ({"chance": 0.0}, "expected a chance between 0 and 1, got 0"),
        ({"bins": 1}, "expected two bins or more, got 1"),
    ],
)
def test_what_cannot_be_tested_is_refused(arguments, text):
    with pytest.raises(ParameterError, match=text):
        DriftTests(**arguments)


def test_default_thresholds_are_those_of_the_test():
    assert DriftTests(test=PSI).of("anything") == FeatureTest(PSI, 0.2)
