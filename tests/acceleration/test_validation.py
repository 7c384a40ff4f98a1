"""SchemaGen and ExampleValidator of TFX by our engines: the same messages and metadata."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorflow_metadata.proto.v0 import anomalies_pb2

from penstock.components.schema_gen.schema_file import read_schema

SCHEMAS = tuple(
    f"{data}{kind}"
    for data in ("Taxi", "Odd")
    for kind in ("Schema", "SchemaWithoutShape", "SchemaOfTrain")
)
VALIDATORS = ("Anomalies", "OddValidator0", "OddValidator1", "TaxiValidator0", "TaxiValidator1")
pytestmark = pytest.mark.needs("tensorflow_data_validation")


@pytest.fixture(scope="module")
def validation(run_both):
    return run_both("validation")


def anomalies_by_split(node):
    [uri] = node.uris["anomalies"]
    return {
        folder.name: anomalies_pb2.Anomalies.FromString((folder / "SchemaDiff.pb").read_bytes())
        for folder in Path(uri).iterdir()
    }


@pytest.mark.parametrize("node", [*SCHEMAS, "ImportSchemaGen"])
def test_an_accelerated_schema_is_tfx_s(validation, node):
    [ours], [theirs] = validation.ours[node].uris["schema"], validation.tfx[node].uris["schema"]
    assert read_schema(ours) == read_schema(theirs)
    assert read_schema(ours).feature


@pytest.mark.parametrize("node", VALIDATORS)
def test_accelerated_anomalies_are_tfx_s(validation, node):
    ours, theirs = (anomalies_by_split(who[node]) for who in (validation.ours, validation.tfx))
    assert ours == theirs


def test_there_are_anomalies_to_be_found(validation):
    found = anomalies_by_split(validation.ours["Anomalies"])
    assert all(anomalies.anomaly_info for anomalies in found.values())


@pytest.mark.parametrize("node", [*SCHEMAS, *VALIDATORS, "ImportSchemaGen"])
def test_they_leave_the_metadata_of_tfx_s(validation, node):
    ours, theirs = validation.ours[node], validation.tfx[node]
    assert ours.done_by == "accelerated"
    assert (ours.execution, ours.artifacts, ours.events) == (
        theirs.execution,
        theirs.artifacts,
        theirs.events,
    )
