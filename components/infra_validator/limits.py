"""What a model is asked, and within which limits it should answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ValidationSpec:
    """Limits of a model that is to be served.

    `max_loading_time_seconds` and `num_tries` are TFX's. `max_prediction_seconds` is for all rows
    that are asked about at once, `max_memory_mb` for the process with its framework, in units of
    a million bytes. Without a limit anything goes.
    """

    max_loading_time_seconds: int = 300
    num_tries: int = 5
    max_prediction_seconds: float | None = None
    max_memory_mb: float | None = None


@dataclass(frozen=True)
class RequestSpec:
    """Which rows a model is asked about: the first of a split of `examples`."""

    split_name: str = "eval"
    num_examples: int = 10
