"""How unlike groups are treated."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from penstock.monitoring.fairness import FALSE_POSITIVE, SELECTED, TRUE_POSITIVE, fairness_of
from penstock.monitoring.measures import ALARM, FINE, UNKNOWN
from penstock.project.monitors import FairnessTests

pytestmark = pytest.mark.core

TESTS = FairnessTests(groups=("city",), gap=0.2)


def measured(shares, size=1000, label=None, tests=TESTS):
    cities = np.repeat(list(shares), size)
    chosen = np.concatenate([np.arange(size) < share * size for share in shares.values()])
    table = pa.table({"city": cities})
    return {one.name: one for one in fairness_of(table, chosen, tests, label)}


def test_groups_that_are_chosen_alike_are_fine():
    assert measured({"Oslo": 0.5, "Rome": 0.55})[SELECTED].state == FINE


def test_the_farthest_two_of_all_groups_count():
    one = measured({"Oslo": 0.1, "Rome": 0.5, "Bern": 0.9})[SELECTED]
    assert (one.state, one.value) == (ALARM, pytest.approx(0.8))
    assert one.why == "90.0% of 'Bern' and 10.0% of 'Oslo'"


def test_a_gap_that_may_be_chance_does_not_ring():
    one = measured({"Oslo": 0.35, "Rome": 0.60}, size=100)[SELECTED]
    assert (one.value > TESTS.gap, one.state) == (True, FINE)
    assert one.lower < TESTS.gap < one.upper


def test_small_groups_are_left_out():
    table = pa.table({"city": ["Oslo"] * 500 + ["Rome"] * 500 + ["Bern"] * 5})
    chosen = np.array([True] * 500 + [False] * 5 + [True] * 500)
    [one] = fairness_of(table, chosen, TESTS)
    assert "Bern" not in one.why


def test_of_one_large_group_nothing_is_said():
    one = measured({"Oslo": 0.5})[SELECTED]
    assert (one.state, one.why) == (UNKNOWN, "1 of 1 groups have 100 rows or more")


def test_with_labels_the_rates_of_the_truly_positive_and_negative_are_compared():
    label = np.tile(np.arange(1000) % 2, 2).astype(float)
    found = measured({"Oslo": 0.2, "Rome": 0.8}, label=label)
    assert set(found) == {TRUE_POSITIVE, FALSE_POSITIVE}
    assert {one.state for one in found.values()} == {ALARM}


def test_a_column_that_the_log_has_not_is_said():
    [one] = fairness_of(pa.table({"age": [1]}), np.array([True]), TESTS)
    assert (one.state, one.why) == (UNKNOWN, "the log has no such column")
