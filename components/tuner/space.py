"""The values among which a search looks: how they are written, and which it tries."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.errors import ParameterError

_KEYS = ("low", "high", "step", "log")


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    def sample(self, source: random.Random) -> Any:
        """Return one of them."""
        return source.choice(self.values)


@dataclass(frozen=True)
class Range:
    """A number between two, which may be either; whole where both are.

    Without `step` any of them, and with `log` each order of magnitude as often as any other.
    """

    low: float
    high: float
    log: bool = False

    def sample(self, source: random.Random) -> float:
        """Return a number of the range."""
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        if not self.log:
            return source.randint(int(self.low), int(self.high)) if whole else self._between(source)
        power = source.uniform(math.log(self.low), math.log(self.high))
        number = min(max(math.exp(power), self.low), self.high)
        return round(number) if whole else number

    def _between(self, source: random.Random) -> float:
        return source.uniform(self.low, self.high)


Dimension = Choice | Range


def read_space(search: Mapping[str, Any]) -> dict[str, Dimension]:
    """Read a search space: by name a list of values, or a range as {"low": 1, "high": 9}.

    Raises:
      ParameterError: it is written in another way.
    """
    if not search:
        raise ParameterError(
            "search is empty: there is nothing to look for",
            hint='Give the values of each hyperparameter: {"depth": [2, 4], "rate": '
            '{"low": 0.001, "high": 0.1, "log": True}}.',
        )
    return {name: _dimension(name, written) for name, written in search.items()}


def candidates(
    space: Mapping[str, Dimension], trials: int, seed: int
) -> Sequence[Mapping[str, Any]]:
    """Return what is tried: all that there is, where that is no more than the trials allow.

    Else it is chosen at random by the seed, and nothing twice.
    """
    finite = [dimension for dimension in space.values() if isinstance(dimension, Choice)]
    if len(finite) == len(space) and math.prod(len(d.values) for d in finite) <= trials:
        combined = itertools.product(*(dimension.values for dimension in finite))
        return [dict(zip(space, values, strict=True)) for values in combined]
    source = random.Random(seed)
    chosen: list[Mapping[str, Any]] = []
    for _ in range(100 * trials):  # a range of few whole numbers may hold less than that
        candidate = {name: dimension.sample(source) for name, dimension in space.items()}
        if candidate not in chosen:
            chosen.append(candidate)
        if len(chosen) == trials:
            break
    return chosen


def _dimension(name: str, written: Any) -> Dimension:
    if isinstance(written, Sequence) and not isinstance(written, str) and len(written):
        return Choice(tuple(written))
    if isinstance(written, Mapping) and {"low", "high"} <= written.keys() <= set(_KEYS):
        return _range(name, written)
    raise ParameterError(
        f"search, {name!r}: expected a list of values or a range with low and high, and maybe step "
        f"or log, got {written!r}",
        hint='As [16, 32] or {"low": 0.001, "high": 0.1, "log": True}.',
    )


def _range(name: str, written: Mapping[str, Any]) -> Dimension:
    low, high, step = written["low"], written["high"], written.get("step")
    numbers = [number for number in (low, high, step) if number is not None]
    if any(isinstance(n, bool) or not isinstance(n, (int, float)) for n in numbers) or low > high:
        raise ParameterError(
            f"search, {name!r}: expected numbers, low no more than high, got {dict(written)!r}"
        )
    if step is not None:
        if step <= 0 or written.get("log"):
            raise ParameterError(
                f"search, {name!r}: expected a step above 0, and none with log, got {step!r}"
            )
        # A step of a tenth should reach the end.
        return Choice(tuple(low + step * n for n in range(int((high - low) / step + 1e-9) + 1)))
    if written.get("log") and low <= 0:
        raise ParameterError(f"search, {name!r}: a range with log begins above 0, not at {low!r}")
    return Range(low, high, bool(written.get("log")))
