"""The stages of a release, as its record has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from penstock.serving.routes import CANARY, SHADOW


@dataclass(frozen=True)
class Stage:
    """What share of the requests the new version gets in a role, and for how long at least."""

    role: str
    percent: float
    seconds: float

    @property
    def name(self) -> str:
        """How people call it: `canary 5%`."""
        return f"{self.role} {self.percent:g}%"


@dataclass(frozen=True)
class Plan:
    """The stages of a release, one after the other.

    One that ends with a shadow waits for a person's word, since no caller was answered yet.
    """

    stages: tuple[Stage, ...] = ()
    key: str = ""
    give_up_seconds: float = 86400.0

    @property
    def is_for_people(self) -> bool:
        """Whether somebody has to say that the new version is promoted."""
        return bool(self.stages) and self.stages[-1].role == SHADOW

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Plan:
        """Return what `to_json` wrote."""
        stages = tuple(Stage(**stage) for stage in entry["stages"])
        return cls(stages, entry["key"], entry["give_up_seconds"])


def plan_of(
    shadow_percent: float,
    shadow_seconds: float,
    canary: tuple[float, ...],
    bake_seconds: float,
    *,
    key: str,
    give_up_seconds: float,
) -> Plan:
    """Return the plan of a shadow, where it gets anything, and of the shares of a canary."""
    shadow = [Stage(SHADOW, shadow_percent, shadow_seconds)] if shadow_percent else []
    shares = [Stage(CANARY, percent, bake_seconds) for percent in canary]
    return Plan((*shadow, *shares), key, give_up_seconds)
