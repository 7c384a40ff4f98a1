"""What a search leaves: the best hyperparameters and all trials, as TFX writes them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BEST_FILE = "best_hyperparameters.txt"
TRIALS_FILE = "tuner_results.json"


@dataclass(frozen=True)
class Found:
    """What a search has found: KerasTuner's config of the best hyperparameters, and all trials."""

    best: Mapping[str, Any]
    trials: Sequence[Mapping[str, Any]]

    def write(self, best_uri: str, results_uri: str) -> None:
        """Write the best hyperparameters, and all trials."""
        _write(os.path.join(best_uri, BEST_FILE), self.best)
        _write(os.path.join(results_uri, TRIALS_FILE), self.trials)


def _write(path: str, content: Any) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file)
