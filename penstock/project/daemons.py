"""A project's daemon, as the table `daemon` of penstock.toml has it.

[daemon]
start = true
idle_minutes = 30
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from penstock.errors import ParameterError


@dataclass(frozen=True)
class DaemonOptions:
    """Whether runs start the project's daemon, and how long it stays when none needs it."""

    start: bool = True
    idle_minutes: float = 30.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.idle_minutes) and self.idle_minutes > 0):
            raise ParameterError(f"expected idle_minutes above 0, got {self.idle_minutes}")
