"""Distances of samples, and how likely they are by chance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.monitoring.distances import (
    chi_square_chance,
    distance,
    kolmogorov_smirnov,
    share_chance,
)
from penstock.project.monitors import JS, LINF, PSI

pytestmark = pytest.mark.core

COUNTS = st.lists(st.integers(0, 10_000), min_size=2, max_size=30).filter(any)


@pytest.mark.parametrize("test", [JS, PSI, LINF])
@given(COUNTS)
def test_a_sample_is_not_apart_from_itself(test, counts):
    found = distance(test, counts, counts, sum(counts), sum(counts))
    assert found.value == pytest.approx(0, abs=1e-9)
    assert found.chance == 1


@pytest.mark.parametrize("test", [JS, LINF])
@given(COUNTS, COUNTS)
def test_a_distance_of_shares_is_at_most_one(test, one, other):
    size = min(len(one), len(other))
    one, other = one[:size], other[:size]
    if any(one) and any(other):
        assert 0 <= distance(test, one, other, sum(one), sum(other)).value <= 1 + 1e-9


def test_js_of_samples_without_a_common_value_is_a_bit():
    assert distance(JS, [5, 0], [0, 7], 5, 7).value == pytest.approx(1)


def test_psi_is_the_sum_of_differences_times_logarithms_of_ratios():
    one, other = [300, 700], [500, 500]
    expected = (0.3 - 0.5) * math.log(0.3 / 0.5) + (0.7 - 0.5) * math.log(0.7 / 0.5)
    assert distance(PSI, one, other, 1000, 1000).value == pytest.approx(expected, rel=5e-3)


def test_linf_is_the_largest_difference_of_shares():
    assert distance(LINF, [30, 50, 20], [30, 20, 50], 100, 100).value == pytest.approx(0.3)


def test_ks_is_the_largest_distance_of_distribution_functions():
    one, other = np.array([1.0, 2, 3, 4]), np.array([3.0, 4, 5, 6])
    assert kolmogorov_smirnov(one, other).value == pytest.approx(0.5)


def test_ks_takes_rows_without_a_number_for_the_smallest():
    one, other = np.array([np.nan, np.nan, 1, 2]), np.array([0.0, 0, 1, 2])
    assert kolmogorov_smirnov(one, other).value == pytest.approx(0.5)


def test_ks_chances_are_those_of_scipy():
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    random = np.random.default_rng(1)
    for shift in (0.0, 0.1, 0.2):
        one, other = random.normal(shift, 1, 400), random.normal(0, 1, 600)
        expected = stats.ks_2samp(one, other, method="asymp").pvalue
        assert kolmogorov_smirnov(one, other).chance == pytest.approx(expected, abs=0.02)


def test_chances_of_chi_square_are_those_of_scipy():
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    for degrees in (1, 5, 50):
        for value in (degrees * 0.5, degrees * 1.5, degrees + 4 * math.sqrt(2 * degrees)):
            expected = stats.chi2.sf(value, degrees)
            assert chi_square_chance(value, degrees) == pytest.approx(expected, abs=1e-2)


@pytest.mark.parametrize("test", [JS, PSI, LINF])
@pytest.mark.parametrize("size", [200, 2000])
def test_one_of_a_hundred_samples_of_one_distribution_has_a_chance_of_a_hundredth(test, size):
    random = np.random.default_rng(7)
    shares = np.array([0.4, 0.3, 0.2, 0.05, 0.05])
    rare = 0
    for _ in range(1000):
        one, other = random.multinomial(size, shares), random.multinomial(10_000, shares)
        rare += distance(test, one, other, size, 10_000).chance <= 0.01
    # Of 1000, 10 are expected; beyond 20 is less likely than one in 500.
    assert rare <= 20


def test_noise_is_what_samples_of_one_distribution_are_apart():
    random = np.random.default_rng(7)
    shares = np.full(10, 0.1)
    for test in (JS, PSI):
        found = [
            distance(test, *random.multinomial(500, shares, size=2), 500, 500) for _ in range(300)
        ]
        mean = np.mean([one.value for one in found])
        assert mean == pytest.approx(found[0].noise, rel=0.15)


def test_rows_that_hang_together_make_a_distance_more_likely():
    one, other = [60, 40], [50, 50]
    alone = distance(JS, one, other, 100, 100).chance
    assert distance(JS, one, other, 20, 100).chance > alone


def test_a_share_is_likely_where_it_is_what_is_expected():
    assert share_chance(50, 100, 0.5) == pytest.approx(0.5, abs=0.05)
    assert share_chance(70, 100, 0.5) < 1e-4
    assert share_chance(1, 100, 0.0) == 0.0
    assert share_chance(0, 100, 0.0) == 1.0
    assert share_chance(0, 0, 0.5) == 1.0
