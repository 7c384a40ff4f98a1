"""SchemaGen's work: TFDV infers a schema from one split and widens it by the others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from penstock.data.results.statistics import example_count, of_all_examples, read_statistics
from penstock.errors import DataError

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

# By the numbers of TFDV's FeatureNameStatistics.Type; what is left has no values of its own.
_VALUES = {0: "integers", 1: "fractions", 2: "bytes", 3: "bytes"}


def infer_schema(
    directory_by_split: Mapping[str, str], infer_feature_shape: bool = True
) -> schema_pb2.Schema:
    """Infer one schema that all splits' statistics conform to.

    A split without examples says nothing about features and is left out; TFDV would otherwise
    lose every feature's shape when it comes first. TFDV deprecates a feature that has no values in
    a further split, or values of another type, and what is deprecated is lost for Transform: the
    first is an optional feature here, the second is an error.

    Raises:
      DataError: all are empty, or a feature has different types in two splits.
    """
    statistics_of_splits = {}
    for split, directory in directory_by_split.items():
        statistics = read_statistics(directory)
        if example_count(statistics):
            statistics_of_splits[split] = statistics
        else:
            print(f"Split {split!r} has no examples and says nothing about the schema.")
    if not statistics_of_splits:
        raise DataError(
            f"expected statistics of at least one example to infer a schema from, but the splits "
            f"{list(directory_by_split)} have none",
            hint="Check the input of the example generator.",
        )
    filled = _filled_features(statistics_of_splits)
    schema = None
    for statistics in statistics_of_splits.values():
        schema = _widened(schema, _without_empty(statistics, filled), infer_feature_shape)
    assert schema is not None, "there are statistics, each of which gives or widens a schema"
    for split in statistics_of_splits:
        _make_optional(schema, split, filled)
    return schema


def _filled_features(
    statistics_of_splits: Mapping[str, statistics_pb2.DatasetFeatureStatisticsList],
) -> dict[tuple[str, ...], dict[str, str]]:
    """Return what each feature holds in the splits where it has values, by its path."""
    filled: dict[tuple[str, ...], dict[str, str]] = {}
    for split, statistics in statistics_of_splits.items():
        for feature in _features(statistics):
            path, values = _path(feature), _VALUES.get(feature.type)
            if values is None or not _has_values(feature):
                continue
            of_splits = filled.setdefault(path, {})
            other = next((s for s, held in of_splits.items() if held != values), None)
            if other is not None:
                raise DataError(
                    f"feature {'.'.join(path)!r} has {values} in split {split!r} and "
                    f"{of_splits[other]} in split {other!r}, and a schema has one type for it",
                    hint="Write the data of all splits with one type; or leave a split out with "
                    "exclude_splits.",
                )
            of_splits[split] = values
    return filled


def _widened(
    schema: schema_pb2.Schema | None,
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    infer_feature_shape: bool,
) -> schema_pb2.Schema:
    """Return the schema widened by statistics; features that they do not have stay as they are."""
    import tensorflow_data_validation as tfdv

    if schema is None:
        return tfdv.infer_schema(statistics, infer_feature_shape=infer_feature_shape)
    seen = {_path(feature)[0] for feature in _features(statistics)}
    compared, place = type(schema)(), {}
    compared.CopyFrom(schema)
    del compared.feature[:]
    for index, feature in enumerate(schema.feature):
        place[feature.name] = index
        if feature.name in seen:
            compared.feature.append(feature)
    widened = tfdv.update_schema(compared, statistics)
    features = [*widened.feature, *(f for f in schema.feature if f.name not in seen)]
    del widened.feature[:]
    widened.feature.extend(sorted(features, key=lambda f: place.get(f.name, len(place))))
    return widened


def _without_empty(
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    filled: Mapping[tuple[str, ...], object],
) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Leave out the features that have no values here, and have some in another split."""
    kept = type(statistics)()
    kept.CopyFrom(statistics)
    for dataset in kept.datasets:
        features = [f for f in dataset.features if _has_values(f) or _path(f) not in filled]
        del dataset.features[:]
        dataset.features.extend(features)
    return kept


def _make_optional(
    schema: schema_pb2.Schema,
    split: str,
    filled: Mapping[tuple[str, ...], Mapping[str, str]],
) -> None:
    """Make the features optional that have no values in a split."""
    for feature in schema.feature:
        if split in filled.get((feature.name,), (split,)):
            continue
        print(f"Feature {feature.name!r} has no values in split {split!r}: it is optional.")
        feature.presence.Clear()
        feature.presence.min_count = 0
        if feature.HasField("shape"):
            count = math.prod(dim.size for dim in feature.shape.dim)
            feature.ClearField("shape")
            feature.value_count.min = feature.value_count.max = count


def _features(
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
) -> Iterator[statistics_pb2.FeatureNameStatistics]:
    yield from of_all_examples(statistics).features


def _path(feature: statistics_pb2.FeatureNameStatistics) -> tuple[str, ...]:
    return tuple(feature.path.step) or (feature.name,)


def _has_values(feature: statistics_pb2.FeatureNameStatistics) -> bool:
    held = feature.WhichOneof("stats")
    return held is not None and getattr(feature, held).common_stats.num_non_missing > 0
