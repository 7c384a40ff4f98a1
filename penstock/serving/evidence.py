"""What was seen of versions that serve: counts that add up, from workers, servers and time.

Evidence is of one set of routes, by its token; a server that starts again begins to count anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from penstock.serving.sketches import Sketch, added


@dataclass(frozen=True)
class Answers:
    """What a version answered in one role.

    `errors` are answers that the server is to blame for, `refused` those that the caller is:
    the other requests were answered well. `latency` has seconds, as callers saw them; those of a
    shadow are no measure of it, as nobody waits for one. `work` has the seconds that the workers
    took for the batches in which requests were answered. Both are told by spans of time of equal
    length, too, in their order, since what is slow is slow for a while. `scores` has the numbers
    that were predicted: the probability of the last class, or the value of a regression; `classes`
    counts predicted classes, `not_finite` predicted numbers that are none. `cpu_seconds` are its
    workers', `memory_bytes` the most that they have together.
    """

    requests: int = 0
    rows: int = 0
    errors: int = 0
    refused: int = 0
    latency: Sketch = field(default_factory=dict)
    latency_spans: tuple[Sketch, ...] = ()
    work: Sketch = field(default_factory=dict)
    work_spans: tuple[Sketch, ...] = ()
    scores: Sketch = field(default_factory=dict)
    classes: Mapping[str, int] = field(default_factory=dict)
    not_finite: int = 0
    cpu_seconds: float = 0.0
    memory_bytes: int = 0


@dataclass(frozen=True)
class Comparison:
    """A shadow's predictions beside production's, row by row, for the same requests.

    `agreeing` rows have the same class, or a number within one percent. `differences` has the
    absolute differences of scores. `dropped` requests were not copied since the shadow was busy;
    `failed` ones it answered with an error where production did not.
    """

    rows: int = 0
    agreeing: int = 0
    differences: Sketch = field(default_factory=dict)
    dropped: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Evidence:
    """What one server, or several, saw of a model since its routes are as they are.

    `token` is that of the routes, `seconds` how long they have been so, and `answers` are by role:
    production, canary, shadow.
    """

    token: str
    seconds: float = 0.0
    answers: Mapping[str, Answers] = field(default_factory=dict)
    compared: Comparison = Comparison()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "token": self.token,
            "seconds": self.seconds,
            "answers": {role: as_json(answers) for role, answers in self.answers.items()},
            "compared": as_json(self.compared),
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Evidence:
        """Return what `to_json` wrote."""
        return cls(
            token=entry["token"],
            seconds=entry["seconds"],
            answers={role: counts_from_json(Answers, a) for role, a in entry["answers"].items()},
            compared=counts_from_json(Comparison, entry["compared"]),
        )


def sum_of(parts: Iterable[Any]) -> Any:
    """Return the sum of answers, or of comparisons; memory is added up, too, spans are listed.

    Raises:
      ValueError: there are none.
    """
    several = list(parts)
    if not several:
        raise ValueError("nothing to add up")
    kind = type(several[0])
    return kind(**{f.name: _sum([getattr(p, f.name) for p in several]) for f in fields(kind)})


def _sum(values: list[Any]) -> Any:
    if isinstance(values[0], Mapping):
        return added(values)
    if isinstance(values[0], tuple):
        return tuple(one for value in values for one in value)
    return sum(values)


def as_json(counts: Any) -> dict[str, Any]:
    """Return answers, or a comparison, as JSON values."""
    return {f.name: _in_json(getattr(counts, f.name)) for f in fields(counts)}


def _in_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): count for key, count in value.items()}
    return [_in_json(one) for one in value] if isinstance(value, tuple) else value


def counts_from_json(kind: Any, entry: Mapping[str, Any]) -> Any:
    """Return the answers, or the comparison, that `as_json` wrote."""
    return kind(**{n: value if n == "classes" else _from_json(value) for n, value in entry.items()})


def _from_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {int(key): count for key, count in value.items()}
    return tuple(_from_json(one) for one in value) if isinstance(value, list) else value
