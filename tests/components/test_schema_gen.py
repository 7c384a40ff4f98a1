"""Schemas: inferred from statistics, or curated and imported."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pyarrow as pa
import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from penstock.artifacts import ExampleStatistics, Schema
from penstock.components.example_validator.in_process import validate_splits
from penstock.components.import_schema_gen.component import ImportSchemaGen
from penstock.components.import_schema_gen.in_process import fingerprint, import_schema
from penstock.components.schema_gen.component import SchemaGen
from penstock.components.schema_gen.schema_file import (
    feature_lines,
    read_schema,
    schema_from_bytes,
    write_schema,
)
from penstock.components.statistics_gen.in_process import statistics_of_batches
from penstock.components.statistics_gen.options import statistics_options
from penstock.data.coding import examples
from penstock.data.results.statistics import write_statistics
from penstock.errors import DataError

TESTDATA = (
    Path(importlib.util.find_spec("tfx").submodule_search_locations[0]) / "components/testdata"
)
CURATED = TESTDATA / "schema_gen/schema.pbtxt"


@pytest.fixture
def taxi_statistics() -> dict[str, str]:
    """The directories of the statistics that come with TFX, by split."""
    return {
        split: str(TESTDATA / "statistics_gen" / f"Split-{split}") for split in ("train", "eval")
    }


@pytest.fixture
def empty_split(tmp_path: Path) -> str:
    """The directory of statistics of zero examples."""
    statistics = statistics_pb2.DatasetFeatureStatisticsList()
    statistics.datasets.add()
    write_statistics(statistics, str(tmp_path / "Split-empty"))
    return str(tmp_path / "Split-empty")


def infer(directories: dict[str, str], infer_feature_shape: bool = True) -> schema_pb2.Schema:
    from penstock.components.schema_gen import in_process

    return in_process.infer_schema(directories, infer_feature_shape)


def shapes(schema: schema_pb2.Schema) -> set[bool]:
    return {feature.HasField("shape") for feature in schema.feature}


def test_the_schema_is_the_one_that_tfdv_infers_over_all_splits(taxi_statistics) -> None:
    import tensorflow_data_validation as tfdv

    train, evaluation = (
        tfdv.load_stats_binary(f"{directory}/FeatureStats.pb")
        for directory in taxi_statistics.values()
    )
    expected = tfdv.update_schema(tfdv.infer_schema(train, infer_feature_shape=True), evaluation)
    assert infer(taxi_statistics) == expected


def test_features_have_shapes_only_when_asked_for(taxi_statistics) -> None:
    assert True in shapes(infer(taxi_statistics))
    assert shapes(infer(taxi_statistics, infer_feature_shape=False)) == {False}


def test_an_empty_split_that_comes_first_costs_no_shape(taxi_statistics, empty_split) -> None:
    splits = {"empty": empty_split, **taxi_statistics}
    assert infer(splits) == infer(taxi_statistics)


@pytest.fixture
def statistics_of(tmp_path: Path):
    """Write the statistics of columns and return their directories, by split."""

    def write(**columns_of_splits: dict[str, pa.Array]) -> dict[str, str]:
        for split, columns in columns_of_splits.items():
            batch = examples.to_feature_lists(
                pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
            )
            options = statistics_options(None, None)
            write_statistics(statistics_of_batches([batch], options), str(tmp_path / split))
        return {split: str(tmp_path / split) for split in columns_of_splits}

    return write


@pytest.mark.parametrize(
    ("train", "evaluation", "words"),
    [
        ([1, 2], [0.5], "has fractions in split 'evaluation' and integers in split 'train'"),
        ([0.5], ["a"], "has bytes in split 'evaluation' and fractions in split 'train'"),
    ],
)
def test_a_feature_of_two_types_is_refused(statistics_of, train, evaluation, words) -> None:
    directories = statistics_of(
        train={"x": pa.array(train)}, evaluation={"x": pa.array(evaluation)}
    )
    with pytest.raises(DataError, match=f"feature 'x' {words}.*exclude_splits"):
        infer(directories)


@pytest.mark.parametrize("without", [{}, {"x": pa.nulls(2)}])
@pytest.mark.parametrize("first", [True, False])
def test_a_feature_without_values_in_a_split_is_optional(
    statistics_of, capfd, without, first
) -> None:
    having = {"y": pa.array([1, 2]), "x": pa.array([0.5, 0.25])}
    splits = [("bare", {"y": pa.array([1, 2]), **without}), ("full", having)]
    directories = statistics_of(**dict(splits if first else reversed(splits)))
    features = {feature.name: feature for feature in infer(directories).feature}
    x = features["x"]
    assert (x.type, x.presence.min_fraction, x.lifecycle_stage) == (schema_pb2.FLOAT, 0, 0)
    assert (x.value_count.min, x.value_count.max, x.HasField("shape")) == (1, 1, False)
    assert features["y"].HasField("shape")
    assert "Feature 'x' has no values in split 'bare'" in capfd.readouterr().out
    for directory in directories.values():
        found = validate_splits({"split": directory}, infer(directories), f"{directory}/anomalies")
        assert not found["split"].anomaly_info


def test_a_schema_needs_an_example(empty_split) -> None:
    with pytest.raises(DataError, match=r"at least one example.*\['empty'\] have none"):
        infer({"empty": empty_split})


def test_the_component_writes_what_tfdv_reads(tmp_path) -> None:
    import tensorflow_data_validation as tfdv

    statistics, schema = ExampleStatistics(), Schema()
    statistics.uri, schema.uri = str(TESTDATA / "statistics_gen"), str(tmp_path)
    statistics.split_names = '["train", "eval"]'
    SchemaGen.function(statistics=statistics, schema=schema, exclude_splits=["eval"])
    loaded = tfdv.load_schema_text(str(tmp_path / "schema.pbtxt"))
    assert loaded == infer({"train": f"{statistics.uri}/Split-train"})


def test_the_component_says_when_no_split_is_left(tmp_path) -> None:
    statistics = ExampleStatistics()
    statistics.uri, statistics.split_names = str(tmp_path), '["train"]'
    with pytest.raises(DataError, match="Take a split off exclude_splits"):
        SchemaGen.function(statistics=statistics, schema=Schema(), exclude_splits=["train"])


def test_a_component_is_wired_like_tfxs() -> None:
    schema_gen = ImportSchemaGen(schema_file="schema.pbtxt").with_id("curated")
    assert schema_gen.outputs["schema"].type_name == "Schema"
    assert schema_gen.exec_properties["schema_file"] == "schema.pbtxt"


def test_an_imported_schema_keeps_its_comments(tmp_path) -> None:
    source = tmp_path / "curated.pbtxt"
    source.write_text('# Reviewed.\nfeature { name: "tips" type: FLOAT }\n', encoding="utf-8")
    schema = Schema()
    schema.uri = str(tmp_path / "schema")
    ImportSchemaGen.function(schema=schema, schema_file=str(source))
    assert (tmp_path / "schema/schema.pbtxt").read_bytes() == source.read_bytes()


def test_tfxs_own_schema_is_imported(tmp_path) -> None:
    import_schema(str(CURATED), str(tmp_path))
    assert read_schema(str(tmp_path)) == read_schema(str(CURATED))


def test_a_schema_that_does_not_parse_is_shown_with_line_and_column(tmp_path) -> None:
    source = tmp_path / "schema.pbtxt"
    source.write_text('feature {\n  name: "tips"\n  tipe: FLOAT\n}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r'no field named "tipe"') as caught:
        import_schema(str(source), str(tmp_path / "out"))
    assert (caught.value.path, caught.value.line, caught.value.column) == (str(source), 3, 3)
    assert f"({source}:3, column 3)" in str(caught.value)


def test_a_schema_that_does_not_parse_is_not_copied(tmp_path) -> None:
    source = tmp_path / "schema.pbtxt"
    source.write_text("feature {", encoding="utf-8")
    with pytest.raises(DataError):
        import_schema(str(source), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_binary_schema_is_told_from_text() -> None:
    with pytest.raises(DataError, match=r"not UTF-8.*write_schema_text"):
        schema_from_bytes(b"\x0a\xff\xfe", "schema.pb")


def test_a_feature_that_is_there_twice_is_named() -> None:
    content = b'feature { name: "tips" } feature { name: "tips" }'
    with pytest.raises(DataError, match="has tips more than once"):
        schema_from_bytes(content, "schema.pbtxt")


def test_a_domain_that_is_not_there_is_named_with_the_nearest() -> None:
    content = b'string_domain { name: "company" } feature { name: "c" domain: "compani" }'
    with pytest.raises(DataError, match=r"'c' has the domain 'compani'.*Did you mean 'company'"):
        schema_from_bytes(content, "schema.pbtxt")


def test_a_missing_schema_file_is_named(tmp_path) -> None:
    with pytest.raises(DataError, match=r"no such file \(.*nothing\.pbtxt\)"):
        fingerprint(str(tmp_path / "nothing.pbtxt"))


def test_an_edit_changes_the_fingerprint(tmp_path) -> None:
    source = tmp_path / "schema.pbtxt"
    source.write_text('feature { name: "tips" }', encoding="utf-8")
    before = fingerprint(str(source))
    source.write_text('feature { name: "tipz" }', encoding="utf-8")
    assert fingerprint(str(source)) != before


def test_a_schema_directory_holds_one_file(tmp_path) -> None:
    with pytest.raises(DataError, match="expected one schema file, but the directory has none"):
        read_schema(str(tmp_path))


@given(names=st.lists(st.text(min_size=1), unique=True))
def test_a_written_schema_reads_back(names, tmp_path_factory) -> None:
    schema = schema_pb2.Schema(feature=[schema_pb2.Feature(name=name) for name in names])
    path = write_schema(schema, str(tmp_path_factory.mktemp("schema")))
    assert read_schema(path) == schema
    assert Path(path).read_text(encoding="utf-8") == text_format.MessageToString(schema)


def test_features_have_the_lines_on_which_they_are_named(tmp_path) -> None:
    path = tmp_path / "schema.pbtxt"
    path.write_text(
        """# feature { name: "no"
string_domain { name: "domain" value: "a } b" }
feature {
  name: "first"  # feature { name: "not"
  annotation { comment: "name: \\"neither\\"" }
  int_domain { name: "domain" min: 1 }
}
feature <
  type: STRUCT
  name: 'trip'
  struct_domain { feature { name: "fare" } }
>
""",
        encoding="utf-8",
    )
    assert feature_lines(str(path)) == {"first": 4, "trip": 10, "trip.fare": 11}
