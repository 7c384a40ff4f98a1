"""How good predictions without labels are likely to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.monitoring.estimating import calibrated, estimates
from penstock.monitoring.outcomes import BINARY, CLASSES

pytestmark = pytest.mark.core


def sample(size, seed, spread=1.0):
    """Return scores that are too sure of themselves, and labels."""
    random = np.random.default_rng(seed)
    x = random.normal(0, spread, size)
    label = (random.random(size) < 1 / (1 + np.exp(-x))).astype(float)
    return 1 / (1 + np.exp(-3 * x)), label


def true_auc(score, label):
    order = np.argsort(score)
    ranks = np.empty(len(score))
    ranks[order] = np.arange(1, len(score) + 1)
    ones = label.sum()
    return (ranks[label == 1].sum() - ones * (ones + 1) / 2) / (ones * (len(label) - ones))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=200))
def test_calibrated_shares_do_not_decrease_and_have_the_mean_of_the_labels(pairs):
    score = np.array([one for one, _ in pairs])
    label = np.array([float(one) for _, one in pairs])
    points, shares = calibrated(score, label)
    assert (np.diff(points) > 0).all()
    assert (np.diff(shares) >= -1e-12).all()
    assert np.interp(score, points, shares).mean() == pytest.approx(label.mean(), abs=1e-9)


@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
def test_auc_and_accuracy_are_foretold_where_scores_mean_what_they_meant(spread):
    known, new = sample(20_000, 1), sample(20_000, 2, spread)
    found = estimates(*known, new[0], new[0] > 0.5, BINARY)
    assert found["AUC"].value == pytest.approx(true_auc(*new), abs=0.02)
    accuracy = ((new[0] > 0.5) == new[1]).mean()
    assert found["BinaryAccuracy"].value == pytest.approx(accuracy, abs=0.02)


def test_the_interval_has_the_estimate_in_it_and_is_wider_for_fewer_rows():
    few, many = (
        estimates(*sample(size, 1), *(sample(size, 2)[0], sample(size, 2)[0] > 0.5), BINARY)["AUC"]
        for size in (200, 5000)
    )
    assert few.lower < few.value < few.upper
    assert few.upper - few.lower > many.upper - many.lower


def test_of_several_classes_the_share_that_is_right_is_foretold():
    random = np.random.default_rng(3)
    score = random.uniform(0.3, 1, 5000)
    right = (random.random(5000) < score).astype(float)
    found = estimates(score, right, score, right > 0, CLASSES)
    assert found["Accuracy"].value == pytest.approx(right.mean(), abs=0.01)
