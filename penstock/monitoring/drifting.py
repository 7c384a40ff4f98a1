"""Whether what a model sees is distributed as what it is compared with, feature by feature.

An alarm says two things: the distance is farther than chance takes it, and it matters. The first
is asked of all features together, so that one of many does not ring by chance (S. Holm, 1979);
the second is whether the distance, less what is expected by chance at these sizes, is above a
threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from penstock.monitoring import distances, distributions
from penstock.monitoring.distances import Distance
from penstock.monitoring.distributions import Binned
from penstock.monitoring.measures import ALARM, FINE, UNKNOWN, Histogram, Measure
from penstock.project.monitors import KS, LINF, DriftTests, FeatureTest


@dataclass(frozen=True)
class Compared:
    """A column of a window beside that of what it is compared with."""

    measure: Measure
    histogram: Histogram


def compare(
    window: pa.Table,
    reference: pa.Table,
    tests: DriftTests,
    *,
    kind: str,
    groups: Any = None,
    names: Mapping[str, str] | None = None,
) -> list[Compared]:
    """Compare the columns that both tables have.

    `groups` has a number for each row of the window: rows of one group, as of one hour, may hang
    together and count as fewer than they are. `names` are what columns are called.
    """
    found: list[tuple[Compared, Distance | None]] = []
    for column in reference.column_names:
        called = (names or {}).get(column, column)
        wanted = tests.of(called)
        if column not in window.column_names or not wanted.enabled:
            continue
        one, other = window.column(column), reference.column(column)
        found.append(_compared(called, one, other, wanted, tests, kind, groups))
    corrected = _corrections(tests.correction)([d.chance if d else None for _, d in found])
    return [
        replace(one, measure=_judged(one.measure, distance, chance, tests))
        for (one, distance), chance in zip(found, corrected, strict=True)
    ]


def _compared(
    name: str,
    window: Any,
    reference: Any,
    wanted: FeatureTest,
    tests: DriftTests,
    kind: str,
    groups: Any,
) -> tuple[Compared, Distance | None]:
    counts = distributions.binned(window, reference, tests.bins)
    test = str(wanted.test)
    if test == KS and not counts.is_of_numbers:
        test = LINF
    measure = Measure(kind, name, test, None, UNKNOWN, rows=len(window), threshold=wanted.threshold)
    histogram = _histogram(name, counts)
    fewest = min(len(window), len(reference))
    if fewest < max(tests.rows, 2):
        which = "were seen" if fewest == len(window) else "are there to compare with"
        why = f"{fewest} rows {which}, {tests.rows} are needed"
        return Compared(replace(measure, why=why), histogram), None
    size = distributions.independent_rows(counts, groups) if groups is not None else len(window)
    if test == KS:
        found = distances.kolmogorov_smirnov(
            distributions.values_of(window), distributions.values_of(reference), size
        )
    else:
        one, other = distributions.told_apart(counts)
        found = distances.distance(test, one, other, size, float(counts.reference.sum()))
    difference = in_words(counts, window, reference)
    return Compared(replace(measure, value=found.value, why=difference), histogram), found


def _judged(
    measure: Measure, distance: Distance | None, chance: float | None, tests: DriftTests
) -> Measure:
    if distance is None or chance is None:
        return measure
    threshold = measure.threshold or 0.0
    is_alarm = chance <= tests.chance and distance.beyond_noise > threshold
    return replace(measure, chance=chance, state=ALARM if is_alarm else FINE)


def in_words(counts: Binned, window: Any, reference: Any) -> str:
    """Return what differs most, as it is told to people."""
    shares, before = (side / max(1, side.sum()) for side in (counts.counts, counts.reference))
    place = int(np.abs(shares - before).argmax())
    name = counts.names[place]
    if counts.is_of_numbers and name != distributions.MISSING:
        one, other = (_middle(distributions.values_of(column)) for column in (window, reference))
        return f"its median is {one:.6g} where it was {other:.6g}"
    now, then = f"{shares[place]:.1%} of rows", f"{before[place]:.1%}"
    if name == distributions.MISSING:
        return f"{now} have no value, where {then} had none"
    if name == distributions.NEW:
        return f"{now} have values that were not there"
    if name == distributions.OTHERS:
        return f"{now} have one of the rarer values, where {then} had"
    return f"{now} are {name!r}, where {then} were"


def _middle(values: Any) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _histogram(name: str, counts: Binned) -> Histogram:
    def shares(side: Any) -> tuple[tuple[float, ...], float]:
        there = side[:-1]
        of_values = there / max(1, there.sum())
        return tuple(round(float(s), 6) for s in of_values), float(side[-1] / max(1, side.sum()))

    one, missing = shares(counts.counts)
    other, other_missing = shares(counts.reference)
    return Histogram(name, counts.names[:-1], one, other, counts.edges, missing, other_missing)


def _corrections(
    name: str,
) -> Callable[[Sequence[float | None]], Iterable[float | None]]:
    return _holm if name == "holm" else lambda chances: chances


def _holm(chances: Sequence[float | None]) -> list[float | None]:
    """Return chances as they are when all tests are looked at together."""
    known = sorted((chance, place) for place, chance in enumerate(chances) if chance is not None)
    corrected: list[float | None] = [None] * len(chances)
    largest = 0.0
    for rank, (chance, place) in enumerate(known):
        largest = max(largest, min(1.0, chance * (len(known) - rank)))
        corrected[place] = largest
    return corrected
