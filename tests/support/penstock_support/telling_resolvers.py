"""A component whose resolve function says too much."""

from __future__ import annotations

from typing import Any

from penstock import Output, Resolved, component
from penstock.artifacts import Model


def tell(parameters: dict[str, Any]) -> dict[str, Any]:
    print("resolving")
    raise ValueError(f"cannot log in with {parameters['token']}")


@component(resolve=tell)
def LogIn(model: Output[Model], token: str, known: Resolved[int] = 0) -> None:
    """Never come so far."""
