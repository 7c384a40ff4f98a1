"""What came of one try to serve a model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Measured:
    """How long a model took to load and for its slowest answer, and the memory that it had."""

    loading_seconds: float = 0.0
    prediction_seconds: float = 0.0
    memory_bytes: int = 0


@dataclass(frozen=True)
class Outcome:
    """Why a model does not serve, "" if it does; `is_final` reasons would be the same again."""

    reason: str = ""
    is_final: bool = False
    measured: Measured = Measured()


def no_numbers(answer: Any) -> str:
    """Return the output in which an answer has no number, or nothing, "" if there is none."""
    for row in answer if isinstance(answer, list) else [answer]:
        outputs = row.items() if isinstance(row, dict) else [("its output", row)]
        for name, value in outputs:
            if _has_none(value):
                return str(name)
    return ""


def _has_none(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_none, value.values()))
    if isinstance(value, list):
        return any(map(_has_none, value))
    return value is None or (isinstance(value, float) and not math.isfinite(value))
