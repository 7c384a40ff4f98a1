"""What a model has to beat: never expecting a delay, and going by the departure delay alone.

    python -m penstock.pipelines.flights.baselines DIRECTORY

prints both for the examples below DIRECTORY, as an Examples artifact's `Split-eval`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

from penstock.pipelines.flights.features import LABEL
from penstock.pipelines.flights.merged_table import LATE_MINUTES


@dataclass(frozen=True)
class Baseline:
    """A rule and how it does; `auc` is the area under the ROC curve, both are 0 to 1."""

    name: str
    auc: float
    accuracy: float


def baselines(directory: str) -> list[Baseline]:
    """Return the baselines on the examples (TFRecord or Parquet) of a split's directory."""
    import numpy as np

    from penstock.data import read_record_batches, record_files

    labels, delays = [], []
    for batch in read_record_batches(
        record_files(directory), batch_rows=50_000, columns=[LABEL, "dep_delay"]
    ):
        labels.append(batch.column(LABEL).flatten().to_numpy())
        delays.append(batch.column("dep_delay").flatten().to_numpy())
    return baselines_of(np.concatenate(labels), np.concatenate(delays))


def baselines_of(labels: np.ndarray, delays: np.ndarray) -> list[Baseline]:
    """Return the baselines of labels (0 or 1) and departure delays in minutes, a pair a flight."""
    late = labels == 1
    expected = delays >= LATE_MINUTES
    return [
        Baseline("always on time", 0.5, float(1 - late.mean())),
        Baseline(
            "departure delay alone",
            area_under_roc(labels, delays),
            float((expected == late).mean()),
        ),
    ]


def area_under_roc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the area under the ROC curve, exactly: the Mann-Whitney statistic with ties halved.

    Without both labels it is not a number.
    """
    import numpy as np

    late = labels == 1
    positives, negatives = int(late.sum()), int((~late).sum())
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = mean_ranks[inverse][late].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


if __name__ == "__main__":
    for baseline in baselines(sys.argv[1]):
        line = f"{baseline.name:24}AUC {baseline.auc:.4f}  accuracy {baseline.accuracy:.4f}"
        sys.stdout.write(f"{line}\n")
