"""Whether what a model is asked is what it should be: by a schema, or by what it was trained on.

What is found has the names of TensorFlow Data Validation's anomalies, as far as they are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.monitoring import distributions
from penstock.monitoring.distances import share_chance
from penstock.monitoring.measures import ALARM, FINE, QUALITY, UNKNOWN, Measure
from penstock.project.monitors import QualityTests

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import schema_pb2

MISSING = "missing"
UNHEARD = "unexpected_values"
OUT_OF_RANGE = "out_of_range"
NO_NUMBER = "no_number"

# A column of texts with more values than these is taken for one that may have others.
_MOST_VALUES = 50
# How far beyond what was seen numbers may be, as a share of the range of what was seen.
_MARGIN = 0.1
_SHOWN = 3


@dataclass(frozen=True)
class Expectation:
    """What a feature should be; what is None is not asked for.

    `missing` is the share of rows that may have no value, `outside` that of values that may be no
    one of `values`, or not from `low` to `high`.
    """

    feature: str
    missing: float | None = None
    outside: float = 0.0
    values: frozenset[str] | None = None
    low: float | None = None
    high: float | None = None


def expected_by_schema(
    schema: schema_pb2.Schema, environment: str | None = None
) -> list[Expectation]:
    """Return what a schema expects, in one of its environments if it is named."""
    domains = {domain.name: domain for domain in schema.string_domain}
    return [
        _of_feature(feature, domains)
        for feature in schema.feature
        if _is_in(feature, schema, environment)
    ]


def expected_by_rows(table: pa.Table) -> list[Expectation]:
    """Return what is to be expected after some rows: of each column such values as they have."""
    return [_of_column(name, table.column(name)) for name in table.column_names]


def check(
    table: pa.Table, expectations: Iterable[Expectation], tests: QualityTests
) -> list[Measure]:
    """Return for each feature what share of the rows is not as expected, one measure a way."""
    found: list[Measure] = []
    for expected in expectations:
        tolerance = tests.of(expected.feature)
        if tolerance is None:
            continue
        if table.num_rows < tests.rows:
            why = f"{table.num_rows} rows were seen, {tests.rows} are needed"
            found.append(Measure(QUALITY, expected.feature, MISSING, None, UNKNOWN, why))
            continue
        found += _checked(table, expected, tolerance, tests.chance)
    return found


def _checked(
    table: pa.Table, expected: Expectation, tolerance: float, chance: float
) -> Iterable[Measure]:
    rows = table.num_rows
    if expected.feature not in table.column_names:
        if expected.missing is not None and expected.missing < 1:
            yield _judged(
                expected.feature,
                MISSING,
                rows,
                rows,
                expected.missing,
                tolerance,
                chance,
                "the column is not there",
            )
        return
    column = table.column(expected.feature)
    values = distributions.values_of(column)
    if isinstance(values, np.ndarray):
        nothing = np.isnan(values)
        size, known = len(values), values[~nothing]
    else:
        size, known = len(values), values.drop_null()
    if expected.missing is not None:
        count = size - len(known)
        yield _judged(
            expected.feature,
            MISSING,
            count,
            size,
            expected.missing,
            tolerance,
            chance,
            f"{count} of {size} rows have no value",
        )
    if expected.values is not None:
        yield _unheard(expected, known, tolerance, chance)
    elif isinstance(known, np.ndarray) and (expected.low, expected.high) != (None, None):
        yield _out_of_range(expected, known, tolerance, chance)


def _unheard(expected: Expectation, known: Any, tolerance: float, chance: float) -> Measure:
    texts = _as_texts(known)
    values = sorted(expected.values or ())
    is_known = pc.is_in(texts, value_set=pa.array(values, pa.string()))
    others = texts.filter(pc.invert(is_known))
    counted = pc.value_counts(others)
    frequent = sorted(
        zip(counted.field(1).to_pylist(), counted.field(0).to_pylist(), strict=True),
        key=lambda pair: (-pair[0], pair[1]),
    )
    shown = ", ".join(f"{value!r} ({count})" for count, value in frequent[:_SHOWN])
    why = f"{len(others)} of {len(texts)} values are not expected"
    if frequent:
        why += f": {shown}" + (" and others" if len(frequent) > _SHOWN else "")
    return _judged(
        expected.feature, UNHEARD, len(others), len(texts), expected.outside, tolerance, chance, why
    )


def _out_of_range(expected: Expectation, known: Any, tolerance: float, chance: float) -> Measure:
    low = -np.inf if expected.low is None else expected.low
    high = np.inf if expected.high is None else expected.high
    is_outside = (known < low) | (known > high)
    outside = known[is_outside]
    why = f"{len(outside)} of {len(known)} values are not from {low:.6g} to {high:.6g}"
    if len(outside):
        why += f", but from {outside.min():.6g} to {outside.max():.6g}"
    return _judged(
        expected.feature,
        OUT_OF_RANGE,
        len(outside),
        len(known),
        expected.outside,
        tolerance,
        chance,
        why,
    )


def _judged(
    feature: str,
    name: str,
    count: int,
    size: int,
    expected: float,
    tolerance: float,
    most_likely: float,
    why: str,
) -> Measure:
    threshold = min(1.0, expected + tolerance)
    share = count / size if size else 0.0
    chance = share_chance(count, size, threshold)
    is_alarm = share > threshold and chance <= most_likely
    return Measure(
        QUALITY,
        feature,
        name,
        share,
        ALARM if is_alarm else FINE,
        why,
        size,
        reference=expected,
        threshold=threshold,
        chance=chance,
    )


def _of_feature(feature: Any, domains: Mapping[str, Any]) -> Expectation:
    is_sparse = not feature.HasField("presence")
    missing = None if is_sparse else 1 - feature.presence.min_fraction
    outside = 0.0
    if feature.HasField("distribution_constraints"):
        outside = 1 - feature.distribution_constraints.min_domain_mass
    values = low = high = None
    if feature.HasField("string_domain"):
        values = frozenset(feature.string_domain.value)
    elif feature.HasField("domain") and feature.domain in domains:
        values = frozenset(domains[feature.domain].value)
    elif feature.HasField("bool_domain"):
        low, high = 0.0, 1.0
        words = {feature.bool_domain.true_value, feature.bool_domain.false_value} - {""}
        values = frozenset(words) or None
    for domain in ("int_domain", "float_domain"):
        if feature.HasField(domain):
            bounds = getattr(feature, domain)
            low = float(bounds.min) if bounds.HasField("min") else None
            high = float(bounds.max) if bounds.HasField("max") else None
    return Expectation(feature.name, missing, outside, values, low, high)


def _is_in(feature: Any, schema: Any, environment: str | None) -> bool:
    if feature.lifecycle_stage in (1, 2, 5):  # planned, alpha, deprecated: nothing is asked of it
        return False
    if environment is None:
        return True
    if environment in feature.not_in_environment:
        return False
    return environment in feature.in_environment or environment in schema.default_environment


def _of_column(name: str, column: Any) -> Expectation:
    values = distributions.values_of(column)
    if isinstance(values, np.ndarray):
        known = values[np.isfinite(values)]
        missing = 1 - np.count_nonzero(~np.isnan(values)) / max(1, len(values))
        if not len(known):
            return Expectation(name, missing)
        low, high = float(known.min()), float(known.max())
        margin = _MARGIN * (high - low)
        return Expectation(name, missing, low=low - margin, high=high + margin)
    missing = values.null_count / max(1, len(values))
    distinct: Sequence[str] = pc.unique(values.drop_null()).to_pylist()
    known_values = frozenset(distinct) if len(distinct) <= _MOST_VALUES else None
    return Expectation(name, missing, values=known_values)


def _as_texts(known: Any) -> Any:
    if isinstance(known, np.ndarray):
        return pa.array([f"{value:g}" for value in known.tolist()], pa.string())
    return known
