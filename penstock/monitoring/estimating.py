"""How good predictions are likely to be whose labels have not come: an estimate, no measurement.

A score of rows with labels is turned into the share of rows that came out so, by an isotonic
regression. If the relation of score and outcome still holds, and only then, what is expected of
new rows follows from their scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from penstock.monitoring.outcomes import BINARY

_REPLICATES = 40


@dataclass(frozen=True)
class Estimate:
    """A number that is to be expected, and what it may be by chance: at 95 %."""

    value: float
    lower: float
    upper: float


def calibrated(score: Any, label: Any) -> tuple[Any, Any]:
    """Return scores, which increase, and the share of ones at each, which does not decrease.

    By pooling adjacent violators (M. Ayer et al., 1955).
    """
    order = np.argsort(score, kind="stable")
    points, starts = np.unique(score[order], return_index=True)
    sums = np.add.reduceat(label[order], starts)
    sizes = np.diff([*starts, len(score)]).astype(float)
    blocks: list[list[float]] = []
    for total, size in zip(sums, sizes, strict=True):
        blocks.append([total, size, 1])
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    shares = np.repeat([b[0] / b[1] for b in blocks], [int(b[2]) for b in blocks])
    return points, shares


def estimates(
    known_score: Any, known_label: Any, score: Any, chosen: Any, task: str
) -> Mapping[str, Estimate]:
    """Return what is to be expected of rows by their scores: by the names of metrics.

    `chosen` is whether 1 was predicted. The intervals are of samples of both the rows that are
    known and the new ones.
    """
    random = np.random.default_rng(0)
    values = _expected(known_score, known_label, score, chosen, task)
    samples: dict[str, list[float]] = {name: [] for name in values}
    for _ in range(_REPLICATES):
        rows = random.integers(0, len(known_score), len(known_score))
        new = random.integers(0, len(score), len(score))
        sample = _expected(known_score[rows], known_label[rows], score[new], chosen[new], task)
        for name, value in sample.items():
            samples[name].append(value)
    found = {}
    for name, value in values.items():
        error = 1.96 * float(np.nanstd(samples[name], ddof=1))
        found[name] = Estimate(value, max(0.0, value - error), min(1.0, value + error))
    return found


def _expected(
    known_score: Any, known_label: Any, score: Any, chosen: Any, task: str
) -> dict[str, float]:
    share = np.interp(score, *calibrated(known_score, known_label))
    if task != BINARY:
        return {"Accuracy": float(share.mean())}
    right = np.where(chosen, share, 1 - share)
    return {"AUC": _auc(score, share), "BinaryAccuracy": float(right.mean())}


def _auc(score: Any, share: Any) -> float:
    """Return the area under the curve that is expected where each row is a one by its share."""
    order = np.argsort(score, kind="stable")
    points, starts = np.unique(score[order], return_index=True)
    ones = np.add.reduceat(share[order], starts)
    zeros = np.add.reduceat(1 - share[order], starts)
    below = np.cumsum(zeros) - zeros
    pairs = ones.sum() * zeros.sum()
    return float((ones * (below + zeros / 2)).sum() / pairs) if pairs and len(points) else np.nan
