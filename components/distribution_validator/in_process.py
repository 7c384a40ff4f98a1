"""DistributionValidator's work: TFDV compares the statistics of two splits."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.components.example_validator.comparators import EVERY_FEATURE, with_thresholds
from penstock.components.example_validator.in_process import report
from penstock.data.results.anomalies import PAIR, write_anomalies
from penstock.data.results.statistics import feature_name, of_all_examples, read_statistics
from penstock.errors import ParameterError, nearest

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2

__all__ = ["Bounds", "bounds_of", "compare", "report"]

# What two data sets have to do with each other, by TFDV's names; all else is about one of them.
_OF_COMPARISONS = (
    "COMPARATOR_CONTROL_DATA_MISSING",
    "COMPARATOR_TREATMENT_DATA_MISSING",
    "COMPARATOR_L_INFTY_HIGH",
    "COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH",
    "COMPARATOR_LOW_NUM_EXAMPLES",
    "COMPARATOR_HIGH_NUM_EXAMPLES",
    "CUSTOM_VALIDATION",
)


@dataclass(frozen=True)
class Bounds:
    """How far data may be from its baseline; `examples` are the least and most for each there."""

    thresholds: Mapping[str, float]
    examples: tuple[float, float] | None = None


def bounds_of(thresholds: Mapping[str, float], fractions: Sequence[float] | None) -> Bounds:
    """Return bounds of a component's parameters.

    Raises:
      ParameterError: they cannot be any.
    """
    if not thresholds and fractions is None:
        raise ParameterError(
            "expected thresholds or num_examples_fractions, got neither",
            hint='thresholds={"*": 0.1} is for every feature.',
        )
    for name, threshold in thresholds.items():
        if not 0.0 <= threshold <= 1.0:
            raise ParameterError(
                f"expected thresholds[{name!r}] between 0 and 1, but it is {threshold}",
                hint="0 reports any difference, 1 none.",
            )
    if fractions is None:
        return Bounds(thresholds)
    if len(fractions) != 2 or not 0.0 <= fractions[0] <= fractions[1] < math.inf:
        raise ParameterError(
            "expected the least and the most examples for each of the baseline's as "
            f"num_examples_fractions, got {list(fractions)}",
            hint="[0.5, 2] is from half of them to twice as many.",
        )
    return Bounds(thresholds, (fractions[0], fractions[1]))


def compare(
    directory: str, baseline_directory: str, bounds: Bounds, anomalies_uri: str, name: str
) -> anomalies_pb2.Anomalies:
    """Write `SplitPair-{name}/SchemaDiff.pb` below `anomalies_uri`, and return what is in it.

    The directories have a FeatureStats.pb each.
    """
    import tensorflow_data_validation as tfdv

    statistics, baseline = read_statistics(directory), read_statistics(baseline_directory)
    schema = tfdv.infer_schema(baseline)
    known = _features(baseline)
    named = {n: t for n, t in bounds.thresholds.items() if n == EVERY_FEATURE or n in known}
    schema = with_thresholds(schema, named)
    if bounds.examples is not None:
        comparator = schema.dataset_constraints.num_examples_drift_comparator
        comparator.min_fraction_threshold, comparator.max_fraction_threshold = bounds.examples
    every = tfdv.validate_statistics(statistics, schema, previous_statistics=baseline)
    found = _of_comparison(every)
    _add_what_was_not_compared(found, bounds.thresholds, known)
    write_anomalies(found, os.path.join(anomalies_uri, f"{PAIR}{name}"))
    return found


def _features(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> set[str]:
    return {feature_name(f.path, f.name) for f in of_all_examples(statistics).features}


def _of_comparison(every: anomalies_pb2.Anomalies) -> anomalies_pb2.Anomalies:
    """Return the anomalies without what is about one of the data sets alone."""
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    kinds = {anomalies_pb2.AnomalyInfo.Type.Value(name) for name in _OF_COMPARISONS}
    found = anomalies_pb2.Anomalies()
    found.CopyFrom(every)
    found.ClearField("data_missing")
    for feature in list(found.anomaly_info):
        if not _keep(found.anomaly_info[feature], kinds):
            del found.anomaly_info[feature]
    if not (found.HasField("dataset_anomaly_info") and _keep(found.dataset_anomaly_info, kinds)):
        found.ClearField("dataset_anomaly_info")
    return found


def _keep(info: anomalies_pb2.AnomalyInfo, kinds: set[int]) -> bool:
    """Leave the reasons of some kinds, if there are any, and no text about all of them."""
    reasons = [reason for reason in info.reason if reason.type in kinds]
    for field in ("description", "short_description", "diff_regions", "reason"):
        info.ClearField(field)
    info.reason.extend(reasons)
    return bool(reasons)


def _add_what_was_not_compared(
    found: anomalies_pb2.Anomalies, thresholds: Mapping[str, float], known: set[str]
) -> None:
    """Have an anomaly of each named feature that was not compared, as a missing one."""
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    compared = {".".join(info.path.step) for info in found.drift_skew_info}
    found.anomaly_name_format = anomalies_pb2.Anomalies.SERIALIZED_PATH
    for name in sorted(set(thresholds) - compared - {EVERY_FEATURE}):
        info = found.anomaly_info[name]
        info.path.step.extend(name.split("."))
        info.severity = anomalies_pb2.AnomalyInfo.ERROR
        reason = info.reason.add()
        reason.type = anomalies_pb2.AnomalyInfo.STATS_NOT_AVAILABLE
        reason.short_description = "Comparison could not be done."
        reason.description = f"There is nothing to compare of {name!r}"
        if name not in known:
            reason.description += ": the baseline has no such feature"
            if near := nearest(name, sorted(known)):
                reason.description += f"; did you mean {near!r}?"
