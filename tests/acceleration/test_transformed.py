"""Transform of TFX by our engine: the same rows, vocabularies and schemas, and the same metadata.

What tf.Transform learns of numbers depends in its last digits on the order in which rows are added
up, which on Beam is none; so does what is computed with it, in 32 bits.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2

from penstock.data.coding.example_proto import example_class
from penstock.data.data_files import record_files
from penstock.data.records import read_serialized
from penstock.data.results.statistics import read_statistics

NODES = ("Bare", "FromCache", "GraphOnly", "Whole")
WITH_EXAMPLES = {
    "Bare": {"Split-eval"},
    "FromCache": {"Split-train", "Split-eval"},
    "Whole": {"Split-train", "Split-eval"},
}
WITH_STATISTICS = ("FromCache", "GraphOnly", "Whole")
pytestmark = pytest.mark.needs("tensorflow_transform")


@pytest.fixture(scope="module")
def transformed(run_both):
    return run_both("transformed")


def folder_of(node, key: str) -> Path:
    [uri] = node.uris[key]
    return Path(uri)


def rows(folder: Path):
    """Return rows in an order of their own: what is exact in them, and their fractions."""
    found = []
    for record in read_serialized(record_files(str(folder))):
        features = sorted(example_class().FromString(record).features.feature.items())
        kinds = [(name, feature.WhichOneof("kind"), feature) for name, feature in features]
        exact = [
            (name, kind, tuple(getattr(feature, kind).value) if kind else ())
            for name, kind, feature in kinds
            if kind != "float_list"
        ]
        fractions = [
            value
            for _, kind, feature in kinds
            if kind == "float_list"
            for value in feature.float_list.value
        ]
        found.append((exact, fractions))
    return sorted(found)


@pytest.mark.parametrize(("node", "splits"), WITH_EXAMPLES.items())
def test_rows_are_transformed_as_by_tfx(transformed, node, splits):
    ours, theirs = (
        folder_of(who[node], "transformed_examples") for who in (transformed.ours, transformed.tfx)
    )
    assert {f.name for f in ours.iterdir()} == {f.name for f in theirs.iterdir()} == splits
    for split in splits:
        one, other = rows(ours / split), rows(theirs / split)
        assert [exact for exact, _ in one] == [exact for exact, _ in other]
        for (_, fractions), (_, others) in zip(one, other, strict=True):
            assert fractions == pytest.approx(others, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("node", NODES)
def test_the_graph_has_the_files_of_tfx_s_and_the_same_vocabularies(transformed, node):
    ours, theirs = (
        folder_of(who[node], "transform_graph") for who in (transformed.ours, transformed.tfx)
    )
    files = sorted(str(f.relative_to(ours)) for f in ours.rglob("*") if f.is_file())
    assert files == sorted(str(f.relative_to(theirs)) for f in theirs.rglob("*") if f.is_file())
    # A saved graph is not the same bytes twice.
    texts = [name for name in files if "saved_model.pb" not in name and "fingerprint" not in name]
    assert texts
    for name in texts:
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name


@pytest.mark.parametrize("node", WITH_STATISTICS)
@pytest.mark.parametrize("key", ["pre_transform_schema", "post_transform_schema"])
def test_schemas_are_tfx_s(transformed, node, key):
    def schema(who):
        text = (folder_of(who[node], key) / "schema.pbtxt").read_text()
        return text_format.Parse(text, schema_pb2.Schema())

    assert schema(transformed.ours) == schema(transformed.tfx)


@pytest.mark.parametrize("node", WITH_STATISTICS)
def test_anomalies_are_tfx_s(transformed, node):
    def anomalies(who):
        path = folder_of(who[node], "post_transform_anomalies") / "SchemaDiff.pb"
        return anomalies_pb2.Anomalies.FromString(path.read_bytes())

    assert anomalies(transformed.ours) == anomalies(transformed.tfx)


@pytest.mark.parametrize("node", WITH_STATISTICS)
@pytest.mark.parametrize("key", ["pre_transform_stats", "post_transform_stats"])
def test_statistics_are_tfx_s(transformed, node, key):
    ours, theirs = (
        read_statistics(str(folder_of(who[node], key))).datasets[0]
        for who in (transformed.ours, transformed.tfx)
    )
    assert ours.num_examples == theirs.num_examples
    for one, other in zip(ours.features, theirs.features, strict=True):
        assert (one.path, one.type, one.string_stats) == (
            other.path,
            other.type,
            other.string_stats,
        )
        assert one.num_stats.common_stats == other.num_stats.common_stats
        assert one.num_stats.num_zeros == other.num_stats.num_zeros
        for measure in ("mean", "std_dev", "min", "max", "median"):
            assert getattr(one.num_stats, measure) == pytest.approx(
                getattr(other.num_stats, measure), rel=1e-5, abs=1e-6
            )


@pytest.mark.parametrize("node", NODES)
def test_they_leave_the_metadata_of_tfx_s(transformed, node):
    ours, theirs = transformed.ours[node], transformed.tfx[node]
    assert ours.done_by == "accelerated"
    assert (ours.execution, ours.artifacts, ours.events) == (
        theirs.execution,
        theirs.artifacts,
        theirs.events,
    )
