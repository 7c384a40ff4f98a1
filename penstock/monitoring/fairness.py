"""How unlike groups of rows are treated: differences of shares between the groups of a column."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa

from penstock.monitoring.intervals import Bounds, difference, share
from penstock.monitoring.labels import as_text
from penstock.monitoring.measures import ALARM, FAIRNESS, FINE, UNKNOWN, Measure
from penstock.project.monitors import FairnessTests

SELECTED = "selection_rate_difference"
TRUE_POSITIVE = "true_positive_rate_difference"
FALSE_POSITIVE = "false_positive_rate_difference"


def fairness_of(
    table: pa.Table, chosen: Any, tests: FairnessTests, label: Any = None
) -> Iterator[Measure]:
    """Yield the differences between groups of rows.

    `chosen` is whether rows are predicted positive, `label` whether they truly are, of the same
    rows; without it only the shares that are predicted positive are compared.
    """
    for column in tests.groups:
        if column not in table.column_names:
            why = "the log has no such column"
            yield Measure(FAIRNESS, column, SELECTED, None, UNKNOWN, why)
            continue
        groups = np.array(as_text(table.column(column)).to_pylist(), object)
        groups[groups == np.array(None)] = "(none)"
        if label is None:
            yield _compared(column, SELECTED, groups, chosen, tests)
        else:
            for name, value in ((TRUE_POSITIVE, 1), (FALSE_POSITIVE, 0)):
                wanted = label == value
                yield _compared(column, name, groups[wanted], chosen[wanted], tests)


def unlabeled(tests: FairnessTests) -> Iterator[Measure]:
    """Yield what nothing can be said of before labels have come."""
    for column in tests.groups:
        for name in (TRUE_POSITIVE, FALSE_POSITIVE):
            yield Measure(FAIRNESS, column, name, None, UNKNOWN, "no label has come")


def _compared(column: str, name: str, groups: Any, chosen: Any, tests: FairnessTests) -> Measure:
    shares: dict[str, Bounds] = {}
    names, counts = np.unique(groups.astype(str), return_counts=True)
    large = [group for group, count in zip(names, counts, strict=True) if count >= tests.rows]
    measure = Measure(FAIRNESS, column, name, None, UNKNOWN, threshold=tests.gap, rows=len(groups))
    if len(large) < 2:
        why = f"{len(large)} of {len(names)} groups have {tests.rows} rows or more"
        return Measure(**{**measure.__dict__, "why": why})
    # Whichever two groups are farthest apart was not known before: all pairs are looked at.
    pairs = len(large) * (len(large) - 1) / 2
    z = NormalDist().inv_cdf(1 - (1 - tests.confidence) / pairs)
    for group in large:
        of_group = chosen[groups == group]
        shares[group] = share(int(of_group.sum()), len(of_group), z)
    most = max(shares, key=lambda group: shares[group].value)
    least = min(shares, key=lambda group: shares[group].value)
    apart = difference(shares[most], shares[least])
    why = f"{shares[most].value:.1%} of {most!r} and {shares[least].value:.1%} of {least!r}"
    return Measure(
        FAIRNESS,
        column,
        name,
        apart.value,
        ALARM if apart.lower > tests.gap else FINE,
        why,
        len(groups),
        max(0.0, apart.lower),
        min(1.0, apart.upper),
        threshold=tests.gap,
    )
