"""How many runs of a pipeline may be under way at once: the tables `limits` of a profile.

[profiles.team.limits.taxi]
runs_at_once = 1
when_reached = "wait"               # or "refuse"
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.errors import ParameterError, suggestion

WAIT, REFUSE = "wait", "refuse"


@dataclass(frozen=True)
class RunLimit:
    """How many runs of a pipeline may be under way at once in one metadata store.

    Where so many are, the next one waits until one has ended, or is an error, as `when_reached`
    says.
    """

    runs_at_once: int
    when_reached: str = WAIT

    def __post_init__(self) -> None:
        if self.runs_at_once < 1:
            raise ParameterError(f"expected runs_at_once of 1 or more, got {self.runs_at_once}")
        if self.when_reached not in (WAIT, REFUSE):
            raise ParameterError(
                f"expected when_reached = {WAIT!r} or {REFUSE!r}, got {self.when_reached!r}",
                hint=suggestion(self.when_reached, (WAIT, REFUSE)),
            )
