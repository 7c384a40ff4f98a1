"""The curated schemas: they parse, and say of each feature what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from penstock.pipelines.flights import features as flight_features
from penstock.pipelines.flights import merged_table
from penstock.pipelines.penguins import features as penguin_features
from penstock.pipelines.penguins.data import write_data
from penstock.schemas import schema_file


def read(name: str) -> schema_pb2.Schema:
    return text_format.Parse(Path(schema_file(name)).read_text(), schema_pb2.Schema())


def names(schema: schema_pb2.Schema) -> set[str]:
    return {feature.name for feature in schema.feature}


def test_a_schema_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(FileNotFoundError, match="no schema 'taxi'; there are: flights, penguins"):
        schema_file("taxi")


def test_flights_are_described_column_by_column():
    assert [feature.name for feature in read("flights").feature] == list(merged_table.COLUMNS)


def test_penguins_are_described_column_by_column(tmp_path: Path):
    assert write_data(str(tmp_path)) == 344
    header = (tmp_path / "penguins.csv").read_text().splitlines()[0]
    assert [feature.name for feature in read("penguins").feature] == header.split(",")


def test_every_feature_of_a_flight_is_used_or_left_out_with_a_reason():
    used = {
        *flight_features.VOCABULARY_FEATURES,
        *flight_features.CATEGORIES,
        *flight_features.BUCKETS,
        *flight_features.SCALED_FEATURES,
        *flight_features.AGE_FEATURES,
        *flight_features.SCHEDULE_FEATURES,
        flight_features.LABEL,
    }
    dropped = flight_features.DROPPED_FEATURES
    assert not used & set(dropped)
    assert used | set(dropped) == names(read("flights"))


def test_every_feature_of_a_penguin_is_used_or_left_out_with_a_reason():
    used = {*penguin_features.NUMBERS, penguin_features.LABEL}
    dropped = penguin_features.DROPPED_FEATURES
    assert not used & set(dropped)
    assert used | set(dropped) == names(read("penguins"))


@pytest.mark.parametrize(
    ("name", "label"),
    [("flights", flight_features.LABEL), ("penguins", penguin_features.LABEL)],
)
def test_only_the_label_is_not_expected_in_serving(name: str, label: str):
    schema = read(name)
    assert list(schema.default_environment) == ["TRAINING", "SERVING"]
    left_out = {f.name for f in schema.feature if "SERVING" in f.not_in_environment}
    assert left_out == {label}


def test_every_domain_that_is_named_is_there():
    for name in ("flights", "penguins"):
        schema = read(name)
        defined = {domain.name for domain in schema.string_domain}
        assert {f.domain for f in schema.feature if f.domain} == defined
