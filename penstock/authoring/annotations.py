"""What a component's signature says: inputs, outputs and values that somebody else provides."""

from __future__ import annotations

import enum
from typing import Annotated, TypeVar

T = TypeVar("T")


class Role(enum.Enum):
    """What an annotated argument of a component is."""

    INPUT = "input"
    OUTPUT = "output"
    RESOLVED = "resolved"


# Read as kfp's: `examples: Input[Examples]`, `model: Output[Model]`, `Input[list[Examples]]`,
# `Input[Schema] | None = None`.
Input = Annotated[T, Role.INPUT]
Output = Annotated[T, Role.OUTPUT]

# A parameter that the component's `resolve` function computes before the cache is asked.
Resolved = Annotated[T, Role.RESOLVED]
