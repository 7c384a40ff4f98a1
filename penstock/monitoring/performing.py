"""Whether metrics are within their limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from statistics import NormalDist

from penstock.monitoring.measures import ALARM, FINE, Measure
from penstock.monitoring.outcomes import BINARY, CLASSES, NUMBERS
from penstock.project.monitors import Limits, PerformanceTests

_WORSE_BY = 0.1
# What is measured of a task where nobody says what.
_DEFAULTS: Mapping[str, Mapping[str, Limits]] = {
    BINARY: {
        "AUC": Limits(worse_by=_WORSE_BY),
        "BinaryAccuracy": Limits(worse_by=_WORSE_BY),
        "Calibration": Limits(),
    },
    CLASSES: {"Accuracy": Limits(worse_by=_WORSE_BY)},
    NUMBERS: {
        "MeanAbsoluteError": Limits(worse_by=_WORSE_BY),
        "RootMeanSquaredError": Limits(worse_by=_WORSE_BY),
    },
}
# Of other metrics a larger one is better.
_SMALLER_IS_BETTER = (
    "Error",
    "Entropy",
    "entropy",
    "Loss",
    "FallOut",
    "MissRate",
    "FalseDiscovery",
    "FalseOmission",
    "FalsePositives",
    "FalseNegatives",
)


def metrics_of(task: str, tests: PerformanceTests) -> Mapping[str, Limits]:
    """Return the metrics that are measured of a task, and their limits."""
    return tests.metrics or _DEFAULTS[task]


def judged(
    measures: Iterable[Measure], limits: Mapping[str, Limits], confidence: float
) -> list[Measure]:
    """Return measures with what is thought of them.

    An alarm is one whose interval is beyond a limit as a whole, when it is widened from 95 % to
    `confidence` for all of the measures together. What a metric was on the data that the model was
    evaluated on is its `reference`.
    """
    listed = list(measures)
    wider = NormalDist().inv_cdf(1 - (1 - confidence) / max(1, len(listed))) / 1.96
    return [_judged(each, limits.get(each.name, Limits()), wider) for each in listed]


def _judged(measure: Measure, limits: Limits, wider: float) -> Measure:
    if measure.value is None:
        return measure
    low, high = _bounds(measure, wider)
    for limit, is_least, why in _limits(measure, limits):
        if (high < limit) if is_least else (low > limit):
            return replace(measure, state=ALARM, threshold=limit, why=why)
    least = next((limit for limit, _, _ in _limits(measure, limits)), None)
    return replace(measure, state=FINE, threshold=least)


def _bounds(measure: Measure, wider: float) -> tuple[float, float]:
    value = measure.value or 0.0
    lower = value if measure.lower is None else measure.lower
    upper = value if measure.upper is None else measure.upper
    return value - wider * (value - lower), value + wider * (upper - value)


def _limits(measure: Measure, limits: Limits) -> Iterable[tuple[float, bool, str]]:
    """Yield limits, whether a metric has to be at least so much, and what it means to miss it."""
    if limits.at_least is not None:
        yield limits.at_least, True, f"it should be {limits.at_least:g} at least"
    if limits.at_most is not None:
        yield limits.at_most, False, f"it should be {limits.at_most:g} at most"
    if limits.worse_by is not None and measure.reference is not None:
        is_least = not any(part in measure.name for part in _SMALLER_IS_BETTER)
        sign = -1 if is_least else 1
        limit = measure.reference + sign * limits.worse_by * abs(measure.reference)
        why = (
            f"it was {measure.reference:.4g} when the model was evaluated, and may be "
            f"{limits.worse_by:.0%} worse"
        )
        yield limit, is_least, why
