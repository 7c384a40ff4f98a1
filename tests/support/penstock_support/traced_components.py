"""Pipelines of which one counts, and one fails."""

from __future__ import annotations

from typing import Any

from penstock import component, pipeline


@component
def Count(upto: int = 3) -> int:
    """Count."""
    return upto


@component
def Fail(count: int) -> int:
    """Fail."""
    raise ValueError(f"no such luck with {count}")


@pipeline
def counting() -> list[Any]:
    """Count."""
    return [Count()]


@pipeline
def failing() -> list[Any]:
    """Count, and fail."""
    count = Count()
    return [count, Fail(count=count.outputs["output"])]
