"""ExampleValidator's work: TFDV compares each split's statistics with the schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from penstock.components.example_validator.comparators import compared_features, with_thresholds
from penstock.data.results.anomalies import (
    Anomaly,
    describe_anomalies,
    describe_measurements,
    table_of,
    table_of_measurements,
    write_anomalies,
)
from penstock.data.results.statistics import of_all_examples, read_statistics
from penstock.data.splits import split_directory
from penstock.errors import DataError, ParameterError, suggestion

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

_MOST_VALUES = 3


def validate_splits(
    statistics: Mapping[str, str],
    schema: schema_pb2.Schema,
    anomalies_uri: str,
    *,
    previous: Mapping[str, str] | None = None,
    serving: Mapping[str, str] | None = None,
    environment: str | None = None,
    drift_thresholds: Mapping[str, float] | None = None,
    skew_thresholds: Mapping[str, float] | None = None,
) -> dict[str, anomalies_pb2.Anomalies]:
    """Write `Split-X/SchemaDiff.pb` below `anomalies_uri` and return the anomalies by split.

    `statistics`, `previous` and `serving` are directories with a FeatureStats.pb by split. A split
    is compared with that of its name; serving statistics of a single split are for all splits.

    Raises:
      ParameterError: the schema does not know an environment or a threshold.
      DataError: previous or serving statistics have none of the splits.
    """
    import tensorflow_data_validation as tfdv

    _check_environment(schema, environment)
    schema = with_thresholds(schema, drift_thresholds, skew_thresholds)
    previous = _matched("previous", statistics, previous)
    if serving is not None and len(serving) == 1:
        serving = dict.fromkeys(statistics, *serving.values())
    serving = _matched("serving", statistics, serving)
    _tell_what_is_not_compared(schema, previous, serving)
    anomalies = {}
    for split, directory in statistics.items():
        anomalies[split] = tfdv.validate_statistics(
            read_statistics(directory),
            schema,
            environment=environment,
            previous_statistics=read_statistics(previous[split]) if split in previous else None,
            serving_statistics=read_statistics(serving[split]) if split in serving else None,
        )
        _name_what_is_no_number(anomalies[split], read_statistics(directory))
        write_anomalies(anomalies[split], split_directory(anomalies_uri, split))
    return anomalies


def report(anomalies_of_splits: Mapping[str, anomalies_pb2.Anomalies]) -> dict[str, list[Anomaly]]:
    """Print anomalies and measured drift and skew to the node's log; return the anomalies."""
    described = {
        split: describe_anomalies(anomalies) for split, anomalies in anomalies_of_splits.items()
    }
    measured = {
        split: describe_measurements(anomalies) for split, anomalies in anomalies_of_splits.items()
    }
    if any(measured.values()):
        print(table_of_measurements(measured), end="\n\n")
    if any(described.values()):
        print(table_of(described))
    else:
        print(f"No anomalies in {', '.join(anomalies_of_splits)}.")
    return described


def _name_what_is_no_number(
    anomalies: anomalies_pb2.Anomalies, statistics: statistics_pb2.DatasetFeatureStatisticsList
) -> None:
    """Say which values have made texts of a column of numbers, as far as statistics hold them."""
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    wanted = anomalies_pb2.AnomalyInfo.UNEXPECTED_DATA_TYPE
    features = {".".join(f.path.step) or f.name: f for f in of_all_examples(statistics).features}
    for name, info in anomalies.anomaly_info.items():
        feature = features.get(".".join(info.path.step) or name)
        for reason in info.reason:
            if feature is None or reason.type != wanted or "got STRING" not in reason.description:
                continue
            buckets = feature.string_stats.rank_histogram.buckets
            texts = [b.label for b in buckets if not _is_number(b.label)]
            if not texts or len(texts) == len(buckets):
                continue
            more = f" and {len(texts) - _MOST_VALUES} more" if len(texts) > _MOST_VALUES else ""
            named = ", ".join(map(repr, texts[:_MOST_VALUES]))
            reason.description += f"; no number is {named}{more}"
            info.description = reason.description if len(info.reason) == 1 else info.description


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_environment(schema: schema_pb2.Schema, environment: str | None) -> None:
    if environment is not None and environment not in schema.default_environment:
        raise ParameterError(
            f"expected an environment of the schema, but {environment!r} is none",
            hint=suggestion(environment, schema.default_environment, noun="default_environment"),
        )


def _matched(
    role: str, statistics: Mapping[str, str], others: Mapping[str, str] | None
) -> Mapping[str, str]:
    """Return the other statistics by the names of the splits that they are compared with."""
    if others is None:
        return {}
    matched = {split: others[split] for split in statistics if split in others}
    if not matched:
        raise DataError(
            f"expected {role}_statistics of at least one of the splits {list(statistics)}, "
            f"but they are of {list(others)}",
            hint="Splits are matched by name.",
        )
    for split in statistics:
        if split not in matched:
            print(f"Split {split!r} is not in {role}_statistics and is not compared with them.")
    return matched


def _tell_what_is_not_compared(
    schema: schema_pb2.Schema, previous: Mapping[str, str], serving: Mapping[str, str]
) -> None:
    for others, role, what in ((previous, "previous", "drift"), (serving, "serving", "skew")):
        if others and not compared_features(schema, f"{what}_comparator"):
            print(
                f"{role}_statistics are given, but no feature of the schema has a "
                f"{what}_comparator: set {what}_thresholds, or edit the schema."
            )
