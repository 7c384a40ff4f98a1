"""Thresholds of drift and skew, for the features whose schema says nothing about them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from tensorflow_metadata.proto.v0 import schema_pb2

from penstock.errors import ParameterError, suggestion

# A threshold of this name is for every feature that has none of its own.
EVERY_FEATURE = "*"


def with_thresholds(
    schema: schema_pb2.Schema,
    drift_thresholds: Mapping[str, float] | None = None,
    skew_thresholds: Mapping[str, float] | None = None,
    serving_features: Collection[str] = (),
) -> schema_pb2.Schema:
    """Return a copy of the schema with comparators for the named features.

    Categories are compared by the infinity norm, numbers by the approximate Jensen-Shannon
    divergence; both lie between 0 (alike) and 1. A comparator that the schema has stays. The name
    of a nested feature is its path with dots; "*" stands for all other features, but not for the
    skew of one that some environment does not expect and `serving_features` lack, as a label.

    Raises:
      ParameterError: a name is no feature of the schema, or a threshold is outside 0..1.
    """
    compared = schema_pb2.Schema()
    compared.CopyFrom(schema)
    features = dict(_leaves(compared.feature))
    for parameter, thresholds in (
        ("drift_thresholds", drift_thresholds or {}),
        ("skew_thresholds", skew_thresholds or {}),
    ):
        _check(parameter, thresholds, features)
        comparator = f"{parameter.removesuffix('_thresholds')}_comparator"
        for name, feature in features.items():
            threshold = thresholds.get(name)
            is_absent = (
                parameter == "skew_thresholds"
                and name not in serving_features
                and _is_of_some_environments(feature)
            )
            if threshold is None and not is_absent:
                threshold = thresholds.get(EVERY_FEATURE)
            if threshold is not None and not feature.HasField(comparator):
                _set_threshold(getattr(feature, comparator), feature, threshold)
    return compared


def compared_features(schema: schema_pb2.Schema, comparator: str) -> dict[str, schema_pb2.Feature]:
    """Return the features that have a `drift_comparator` or a `skew_comparator`, by name."""
    return {name: f for name, f in _leaves(schema.feature) if f.HasField(comparator)}


def is_categorical(feature: schema_pb2.Feature) -> bool:
    """Return whether the feature's values are categories: strings, or numbers declared so."""
    if feature.type == schema_pb2.INT:
        return feature.HasField("bool_domain") or feature.int_domain.is_categorical
    return feature.type != schema_pb2.FLOAT


def _is_of_some_environments(feature: schema_pb2.Feature) -> bool:
    return bool(feature.in_environment or feature.not_in_environment)


def _set_threshold(
    comparator: schema_pb2.FeatureComparator, feature: schema_pb2.Feature, threshold: float
) -> None:
    if is_categorical(feature):
        comparator.infinity_norm.threshold = threshold
    else:
        comparator.jensen_shannon_divergence.threshold = threshold


def _check(
    parameter: str, thresholds: Mapping[str, float], features: Mapping[str, schema_pb2.Feature]
) -> None:
    for name, threshold in thresholds.items():
        if name != EVERY_FEATURE and name not in features:
            raise ParameterError(
                f"{parameter} names {name!r}, which is no feature of the schema",
                hint=suggestion(name, features, noun="feature"),
            )
        if not 0.0 <= threshold <= 1.0:
            raise ParameterError(
                f"expected {parameter}[{name!r}] between 0 and 1, but it is {threshold}",
                hint="0 reports any difference, 1 none.",
            )


def _leaves(
    features: Iterator[schema_pb2.Feature], prefix: str = ""
) -> Iterator[tuple[str, schema_pb2.Feature]]:
    for feature in features:
        if feature.deprecated or feature.lifecycle_stage == schema_pb2.DEPRECATED:
            continue
        name = f"{prefix}{feature.name}"
        if feature.type == schema_pb2.STRUCT:
            yield from _leaves(feature.struct_domain.feature, f"{name}.")
        else:
            yield name, feature
