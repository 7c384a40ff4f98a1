"""ExampleValidator's work: TFDV compares each split's statistics with the schema."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from penstock.components.example_validator.comparators import (
    compared_features,
    is_categorical,
    with_thresholds,
)
from penstock.components.schema_gen.schema_file import feature_lines, schema_path
from penstock.data.results.anomalies import (
    Anomaly,
    describe_anomalies,
    describe_measurements,
    table_of,
    table_of_measurements,
    write_anomalies,
)
from penstock.data.results.statistics import feature_name, of_all_examples, read_statistics
from penstock.data.splits import split_directory
from penstock.errors import DataError, ParameterError, nearest, suggestion

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

_MOST_VALUES = 3
_COMPARISONS = {"previous": "drift", "serving": "skew"}
# The measures that a comparator may ask for, by TFDV's numbers for them.
_MEASURES = {
    "infinity_norm": 1,
    "jensen_shannon_divergence": 2,
    "normalized_abs_difference": 3,
}
_OF_CATEGORIES = ("infinity_norm", "normalized_abs_difference")


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
    previous = _matched("previous", statistics, previous)
    if serving is not None and len(serving) == 1:
        serving = dict.fromkeys(statistics, *serving.values())
    serving = _matched("serving", statistics, serving)
    schema = with_thresholds(schema, drift_thresholds, skew_thresholds, _features_of(serving))
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
        _name_what_is_renamed(anomalies[split])
        for role, others in (("previous", previous), ("serving", serving)):
            if split in others:
                _tell_what_is_not_measured(
                    anomalies[split],
                    split,
                    schema,
                    role,
                    read_statistics(directory),
                    read_statistics(others[split]),
                )
        write_anomalies(anomalies[split], split_directory(anomalies_uri, split))
    return anomalies


def describe(
    anomalies_of_splits: Mapping[str, anomalies_pb2.Anomalies],
    schema_uri: str,
    texts: Mapping[str, str],
) -> dict[str, list[Anomaly]]:
    """Return the anomalies of every split, with the line of the schema that speaks of each.

    `texts` says which cells made text of columns of numbers, and where they stand.
    """
    lines = feature_lines(schema_uri)
    name = os.path.basename(schema_path(schema_uri))

    def located(anomaly: Anomaly) -> Anomaly:
        long = anomaly.long
        if anomaly.kind == "UNEXPECTED_DATA_TYPE" and anomaly.feature in texts:
            long += f"; the first text is {texts[anomaly.feature]}"
        if anomaly.feature in lines:
            long += f" ({name}, line {lines[anomaly.feature]})"
        return replace(anomaly, long=long)

    return {
        split: list(map(located, describe_anomalies(anomalies)))
        for split, anomalies in anomalies_of_splits.items()
    }


def report(
    anomalies_of_splits: Mapping[str, anomalies_pb2.Anomalies],
    described: Mapping[str, Sequence[Anomaly]],
) -> None:
    """Print measured drift and skew, and the described anomalies, to the node's log."""
    measured = {
        split: describe_measurements(anomalies) for split, anomalies in anomalies_of_splits.items()
    }
    if any(measured.values()):
        print(table_of_measurements(measured), end="\n\n")
    if any(described.values()):
        print(table_of(described))
    elif described:
        print(f"No anomalies in {', '.join(described)}.")


def _name_what_is_renamed(anomalies: anomalies_pb2.Anomalies) -> None:
    """Say of a feature that is missing which new one may have its values."""
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    found = {feature_name(info.path, name): info for name, info in anomalies.anomaly_info.items()}
    new, missing = (
        {name for name, info in found.items() if any(r.type == kind for r in info.reason)}
        for kind in (
            anomalies_pb2.AnomalyInfo.SCHEMA_NEW_COLUMN,
            anomalies_pb2.AnomalyInfo.SCHEMA_MISSING_COLUMN,
        )
    )
    for name in missing:
        near = nearest(name, sorted(new))
        if near is None and len(new) == len(missing) == 1:
            (near,) = new
        if near is not None:
            for reason in found[name].reason:
                if reason.type == anomalies_pb2.AnomalyInfo.SCHEMA_MISSING_COLUMN:
                    reason.description += f"; did you mean the new column {near!r}?"


def _name_what_is_no_number(
    anomalies: anomalies_pb2.Anomalies, statistics: statistics_pb2.DatasetFeatureStatisticsList
) -> None:
    """Say which values have made texts of a column of numbers, as far as statistics hold them."""
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    wanted = anomalies_pb2.AnomalyInfo.UNEXPECTED_DATA_TYPE
    features = _by_path(statistics)
    for name, info in anomalies.anomaly_info.items():
        feature = features.get(feature_name(info.path, name))
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


def _tell_what_is_not_measured(
    anomalies: anomalies_pb2.Anomalies,
    split: str,
    schema: schema_pb2.Schema,
    role: str,
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    others: statistics_pb2.DatasetFeatureStatisticsList,
) -> None:
    """Say which comparisons TFDV has passed over, and take out the zeros that it gives for some."""
    what = _COMPARISONS[role]
    here, there = _by_path(statistics), _by_path(others)
    measured = {".".join(info.path.step): info for info in anomalies.drift_skew_info}
    for name, feature in compared_features(schema, f"{what}_comparator").items():
        if name not in here or name not in there:
            continue  # that is an anomaly, or the environment does not expect it
        kinds = {here[name].WhichOneof("stats"), there[name].WhichOneof("stats")}
        comparator = getattr(feature, f"{what}_comparator")
        for measure, kind in _MEASURES.items():
            if not comparator.HasField(measure):
                continue
            info = measured.get(name)
            measurements = getattr(info, f"{what}_measurements") if info is not None else []
            done = [one for one in measurements if one.type == kind]
            if measure in _OF_CATEGORIES and "string_stats" not in kinds:
                for one in done:
                    measurements.remove(one)
                why = f"{measure} is of categories, and {_how_to_measure(feature)}"
            elif not done:
                why = f"there is nothing to compare in {role}_statistics"
            else:
                continue
            print(f"The {what} of {name!r} in split {split!r} was not measured: {why}.")


def _how_to_measure(feature: schema_pb2.Feature) -> str:
    if is_categorical(feature):
        return "the statistics count no values: give StatisticsGen the schema"
    return "the feature is a number: use jensen_shannon_divergence"


def _features_of(directories: Mapping[str, str]) -> set[str]:
    """Return the features that the statistics of any split have."""
    every = map(read_statistics, set(directories.values()))
    return {name for statistics in every for name in _by_path(statistics)}


def _by_path(
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
) -> dict[str, statistics_pb2.FeatureNameStatistics]:
    return {
        feature_name(feature.path, feature.name): feature
        for feature in of_all_examples(statistics).features
    }


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
