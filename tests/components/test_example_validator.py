"""Anomalies, drift and skew; and what a node that must not pass them says."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pyarrow as pa
import pytest
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from penstock.artifacts import ExampleAnomalies, Examples, ExampleStatistics, Schema
from penstock.components.csv_example_gen.component import CsvExampleGen
from penstock.components.example_validator.comparators import with_thresholds
from penstock.components.example_validator.component import ExampleValidator
from penstock.components.example_validator.in_process import validate_splits
from penstock.components.schema_gen.schema_file import write_schema
from penstock.components.statistics_gen.component import StatisticsGen
from penstock.data.results.anomalies import (
    AnomaliesError,
    Anomaly,
    describe_anomalies,
    describe_measurements,
    read_anomalies,
    table_of,
    write_anomalies,
)
from penstock.data.results.statistics import write_statistics
from penstock.errors import DataError, ParameterError

COMPANIES = ["Blue", "Checker", "Yellow"]


def statistics_of(companies: list[str], fares: list[float]):
    """Return TFDV's statistics of two columns."""
    from penstock.components.statistics_gen.in_process import statistics_of_batches
    from penstock.components.statistics_gen.options import statistics_options

    columns = {
        "company": pa.array([[company] for company in companies]),
        "fare": pa.array([[fare] for fare in fares], pa.list_(pa.float32())),
    }
    return statistics_of_batches([pa.RecordBatch.from_pydict(columns)], statistics_options())


@pytest.fixture(scope="module")
def statistics_directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Directories of statistics: as the schema wants them, drifted, with a new value, empty."""
    root = tmp_path_factory.mktemp("statistics")
    fares = [float(row % 50) for row in range(300)]
    made = {
        "good": statistics_of([COMPANIES[row % 3] for row in range(300)], fares),
        "drifted": statistics_of([COMPANIES[0]] * 290 + COMPANIES[1:] * 5, [f * 9 for f in fares]),
        "new_value": statistics_of(["Zebra"] + [COMPANIES[row % 3] for row in range(299)], fares),
        "empty": statistics_pb2.DatasetFeatureStatisticsList(
            datasets=[statistics_pb2.DatasetFeatureStatistics()]
        ),
    }
    for name, statistics in made.items():
        write_statistics(statistics, str(root / name))
    return {name: str(root / name) for name in made}


@pytest.fixture
def schema() -> schema_pb2.Schema:
    """A schema of the good statistics, with an environment that knows no fares."""
    schema = schema_pb2.Schema(default_environment=["TRAINING", "SERVING"])
    company = schema.feature.add(name="company", type=schema_pb2.BYTES, domain="company")
    company.presence.min_fraction = 1.0
    fare = schema.feature.add(name="fare", type=schema_pb2.FLOAT)
    fare.presence.min_fraction = 1.0
    schema.string_domain.add(name="company", value=COMPANIES)
    return schema


@pytest.fixture
def validate(statistics_directories, tmp_path):
    """Validate statistics that are given by name, a split each."""
    from penstock.components.example_validator import in_process

    def run(schema, train, *, previous=None, serving=None, **parameters):
        return in_process.validate_splits(
            {"train": statistics_directories[train]},
            schema,
            str(tmp_path),
            previous=previous and {k: statistics_directories[v] for k, v in previous.items()},
            serving=serving and {k: statistics_directories[v] for k, v in serving.items()},
            **parameters,
        )["train"]

    return run


@pytest.fixture
def artifacts(statistics_directories, schema, tmp_path):
    """The artifacts of a node whose eval split has an anomaly."""
    statistics, schema_artifact, anomalies = ExampleStatistics(), Schema(), ExampleAnomalies()
    for split, name in (("train", "good"), ("eval", "new_value")):
        target = tmp_path / "statistics" / f"Split-{split}"
        target.mkdir(parents=True)
        source = Path(statistics_directories[name], "FeatureStats.pb")
        (target / "FeatureStats.pb").write_bytes(source.read_bytes())
    statistics.uri, statistics.split_names = str(tmp_path / "statistics"), '["train", "eval"]'
    statistics.span = 3
    schema_artifact.uri, anomalies.uri = str(tmp_path / "schema"), str(tmp_path / "anomalies")
    write_schema(schema, schema_artifact.uri)
    return {"statistics": statistics, "schema": schema_artifact, "anomalies": anomalies}


def kinds(anomalies: anomalies_pb2.Anomalies) -> dict[str, str]:
    return {anomaly.feature: anomaly.kind for anomaly in describe_anomalies(anomalies)}


def test_data_that_conforms_has_no_anomalies(validate, schema) -> None:
    assert describe_anomalies(validate(schema, "good")) == []


def test_anomalies_are_those_of_tfdv(validate, schema, statistics_directories) -> None:
    import tensorflow_data_validation as tfdv

    path = f"{statistics_directories['new_value']}/FeatureStats.pb"
    expected = tfdv.validate_statistics(tfdv.load_stats_binary(path), schema)
    assert validate(schema, "new_value") == expected


def test_a_value_outside_its_domain_is_described(validate, schema) -> None:
    (anomaly,) = describe_anomalies(validate(schema, "new_value"))
    assert anomaly == Anomaly(
        feature="company",
        kind="ENUM_TYPE_UNEXPECTED_STRING_VALUES",
        severity="ERROR",
        short="Unexpected string values",
        long="Examples contain values missing from the schema: Zebra (<1%).",
    )


def test_a_split_without_examples_is_described(validate, schema) -> None:
    assert kinds(validate(schema, "empty")) == {"": "DATA_MISSING"}


def test_the_file_is_a_binary_anomalies_message(validate, schema, tmp_path) -> None:
    found = validate(schema, "new_value")
    assert read_anomalies(str(tmp_path / "Split-train")) == found
    parsed = anomalies_pb2.Anomalies.FromString(
        (tmp_path / "Split-train/SchemaDiff.pb").read_bytes()
    )
    assert parsed == found


def test_an_environment_leaves_out_what_it_does_not_expect(validate, schema) -> None:
    schema.feature.add(name="tips", type=schema_pb2.FLOAT).presence.min_fraction = 1.0
    schema.feature[-1].not_in_environment.append("SERVING")
    assert kinds(validate(schema, "good")) == {"tips": "SCHEMA_MISSING_COLUMN"}
    assert kinds(validate(schema, "good", environment="SERVING")) == {}


def test_an_environment_that_the_schema_lacks_is_refused(validate, schema) -> None:
    with pytest.raises(ParameterError, match=r"'SERVNG' is none.*Did you mean 'SERVING'"):
        validate(schema, "good", environment="SERVNG")


def test_drift_is_found_by_thresholds_where_the_schema_has_none(validate, schema) -> None:
    found = validate(
        schema,
        "drifted",
        previous={"train": "good"},
        drift_thresholds={"company": 0.1, "fare": 0.1},
    )
    assert kinds(found) == {"company": "COMPARATOR_L_INFTY_HIGH", "fare": kinds(found)["fare"]}
    assert "JENSEN_SHANNON" in kinds(found)["fare"]


def test_drift_within_its_threshold_is_measured_and_no_anomaly(validate, schema) -> None:
    found = validate(schema, "good", previous={"train": "good"}, drift_thresholds={"*": 0.1})
    assert describe_anomalies(found) == []
    assert [(m.feature, m.comparison, m.value) for m in describe_measurements(found)] == [
        ("company", "drift", 0.0),
        ("fare", "drift", 0.0),
    ]


def test_the_schemas_own_comparator_comes_first(validate, schema) -> None:
    schema.feature[0].drift_comparator.infinity_norm.threshold = 0.99
    found = validate(
        schema, "drifted", previous={"train": "good"}, drift_thresholds={"company": 0.01}
    )
    assert describe_anomalies(found) == []


def test_skew_is_found_against_serving_statistics(validate, schema) -> None:
    found = validate(schema, "good", serving={"train": "drifted"}, skew_thresholds={"company": 0.1})
    assert kinds(found) == {"company": "COMPARATOR_L_INFTY_HIGH"}


def test_serving_statistics_of_one_split_are_for_all_splits(validate, schema) -> None:
    found = validate(
        schema, "good", serving={"serving": "drifted"}, skew_thresholds={"company": 0.1}
    )
    assert kinds(found) == {"company": "COMPARATOR_L_INFTY_HIGH"}


def test_previous_statistics_without_a_common_split_are_refused(validate, schema) -> None:
    with pytest.raises(DataError, match=r"\['train'\], but they are of \['validation'\]"):
        validate(schema, "good", previous={"validation": "good"})


def test_previous_statistics_that_nothing_compares_are_spoken_of(validate, schema, capsys) -> None:
    validate(schema, "drifted", previous={"train": "good"})
    assert "no feature of the schema has a drift_comparator" in capsys.readouterr().out


def test_a_threshold_for_an_unknown_feature_names_the_nearest(schema) -> None:
    with pytest.raises(ParameterError, match=r"drift_thresholds names 'fares'.*mean 'fare'"):
        with_thresholds(schema, drift_thresholds={"fares": 0.1})


def test_a_threshold_outside_its_range_is_refused(schema) -> None:
    with pytest.raises(ParameterError, match=r"skew_thresholds\['fare'\] between 0 and 1"):
        with_thresholds(schema, skew_thresholds={"fare": 2.0})


def test_a_nested_feature_has_a_threshold_by_its_path(schema) -> None:
    trip = schema.feature.add(name="trip", type=schema_pb2.STRUCT)
    trip.struct_domain.feature.add(name="miles", type=schema_pb2.FLOAT)
    compared = with_thresholds(schema, drift_thresholds={"trip.miles": 0.2})
    miles = compared.feature[-1].struct_domain.feature[0]
    assert miles.drift_comparator.jensen_shannon_divergence.threshold == 0.2


def test_numbers_that_are_categories_are_compared_as_categories(schema) -> None:
    zone = schema.feature.add(name="zone", type=schema_pb2.INT)
    zone.int_domain.is_categorical = True
    compared = with_thresholds(schema, skew_thresholds={"zone": 0.2})
    assert compared.feature[-1].skew_comparator.infinity_norm.threshold == 0.2


def test_the_given_schema_is_left_alone(schema) -> None:
    before = schema.SerializeToString()
    with_thresholds(schema, {"*": 0.1}, {"*": 0.1})
    assert schema.SerializeToString() == before


def test_the_artifact_has_tfxs_properties(artifacts) -> None:
    ExampleValidator.function(**artifacts)
    anomalies = artifacts["anomalies"]
    assert anomalies.get_json_value_custom_property("blessed") == {"train": 1, "eval": 0}
    assert json.loads(anomalies.split_names) == ["train", "eval"]
    assert anomalies.span == 3


def test_what_makes_texts_of_numbers_is_named(tmp_path) -> None:
    write_statistics(statistics_of(["1", "2", "large", "2"], [1.0] * 4), str(tmp_path / "s"))
    schema = schema_pb2.Schema()
    schema.feature.add(name="company", type=schema_pb2.INT)
    schema.feature.add(name="fare", type=schema_pb2.FLOAT)
    found = validate_splits({"train": str(tmp_path / "s")}, schema, str(tmp_path / "anomalies"))
    [anomaly] = describe_anomalies(found["train"])
    assert anomaly.long == "Expected data of type: INT but got STRING; no number is 'large'"


def test_a_feature_that_was_renamed_is_answered_with_the_new_one(tmp_path) -> None:
    write_statistics(statistics_of(["1"], [1.0]), str(tmp_path / "s"))
    schema = schema_pb2.Schema()
    schema.feature.add(name="companies", type=schema_pb2.BYTES).presence.min_count = 1
    schema.feature.add(name="fare", type=schema_pb2.FLOAT)
    found = validate_splits({"train": str(tmp_path / "s")}, schema, str(tmp_path / "anomalies"))
    described = {anomaly.feature: anomaly.long for anomaly in describe_anomalies(found["train"])}
    assert described["companies"].endswith("; did you mean the new column 'company'?")


def test_a_label_that_serving_lacks_is_not_compared_by_a_threshold_for_all(
    validate, schema, tmp_path, statistics_directories
) -> None:
    serving = statistics_pb2.DatasetFeatureStatisticsList()
    serving.ParseFromString(Path(statistics_directories["good"], "FeatureStats.pb").read_bytes())
    kept = [f for f in serving.datasets[0].features if f.path.step[0] != "fare"]
    del serving.datasets[0].features[:]
    serving.datasets[0].features.extend(kept)
    write_statistics(serving, str(tmp_path / "serving"))
    statistics_directories["serving"] = str(tmp_path / "serving")
    arguments = {"serving": {"serving": "serving"}, "skew_thresholds": {"*": 0.1}}
    assert kinds(validate(schema, "good", **arguments)) == {
        "fare": "COMPARATOR_CONTROL_DATA_MISSING"
    }
    schema.feature[1].not_in_environment.append("SERVING")
    found = validate(schema, "good", **arguments)
    assert describe_anomalies(found) == []
    assert {measured.feature for measured in describe_measurements(found)} == {"company"}
    asked = {"serving": {"serving": "serving"}, "skew_thresholds": {"fare": 0.1}}
    assert kinds(validate(schema, "good", **asked)) == {"fare": "COMPARATOR_CONTROL_DATA_MISSING"}


@pytest.mark.parametrize("measure", ["infinity_norm", "normalized_abs_difference"])
def test_a_measure_of_categories_that_a_number_has_is_told(
    validate, schema, capsys, measure
) -> None:
    comparator = schema.feature[1].drift_comparator
    getattr(comparator, measure).threshold = 0.1
    found = validate(schema, "good", previous={"train": "drifted"})
    assert describe_measurements(found) == []
    assert capsys.readouterr().out == (
        f"The drift of 'fare' in split 'train' was not measured: {measure} is of categories, and "
        "the feature is a number: use jensen_shannon_divergence.\n"
    )


def test_a_category_that_statistics_have_as_a_number_is_told(validate, schema, capsys) -> None:
    schema.feature[1].type = schema_pb2.INT
    schema.feature[1].int_domain.is_categorical = True
    validate(schema, "good", previous={"train": "drifted"}, drift_thresholds={"fare": 0.1})
    assert "count no values: give StatisticsGen the schema" in capsys.readouterr().out


def test_an_excluded_split_is_not_validated(artifacts) -> None:
    ExampleValidator.function(**artifacts, exclude_splits=["eval"], fail_on_anomalies=True)
    assert json.loads(artifacts["anomalies"].split_names) == ["train"]
    assert not Path(artifacts["anomalies"].uri, "Split-eval").exists()


def test_anomalies_are_printed_to_the_nodes_log(artifacts, capsys) -> None:
    ExampleValidator.function(**artifacts)
    assert "eval   company  ERROR     Unexpected string values" in capsys.readouterr().out


def test_a_text_among_numbers_is_named_with_file_and_line(tmp_path, capsys, make_artifact) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "rides.csv").write_text('fare,n\n1,1\n2.5,2\n"2,5",3\n')
    examples = make_artifact(Examples, tmp_path / "examples")
    CsvExampleGen.function(examples=examples, input_base=str(data))
    statistics = make_artifact(ExampleStatistics, tmp_path / "statistics")
    StatisticsGen.function(examples=examples, statistics=statistics)
    schema = make_artifact(Schema, tmp_path / "schema")
    (tmp_path / "schema/schema.pbtxt").write_text(
        'feature { name: "n" type: INT }\nfeature { name: "fare" type: FLOAT }\n'
    )
    anomalies = make_artifact(ExampleAnomalies, tmp_path / "anomalies")
    ExampleValidator.function(statistics=statistics, schema=schema, anomalies=anomalies)
    assert (
        f"; the first text is '2,5' in {data}/rides.csv:4 (schema.pbtxt, line 2)"
    ) in capsys.readouterr().out


def test_an_anomaly_names_the_line_of_the_schema(artifacts, capsys) -> None:
    ExampleValidator.function(**artifacts)
    text = Path(artifacts["schema"].uri, "schema.pbtxt").read_text().splitlines()
    line = text.index('  name: "company"') + 1
    assert f"(schema.pbtxt, line {line})" in capsys.readouterr().out


def test_anomalies_that_stop_a_run_are_told_once(artifacts, capsys) -> None:
    with pytest.raises(AnomaliesError):
        ExampleValidator.function(**artifacts, fail_on_anomalies=True)
    assert capsys.readouterr().out == ""


def test_anomalies_can_stop_a_run(artifacts) -> None:
    with pytest.raises(AnomaliesError) as caught:
        ExampleValidator.function(**artifacts, fail_on_anomalies=True)
    text = str(caught.value)
    assert "found 1 anomaly in eval" in text
    assert "eval   company  ERROR     Unexpected string values" in text
    assert "\n\nIf the data is wrong" in text
    assert "edit the file that ImportSchemaGen reads" in text
    assert f"keep a copy of the schema ({artifacts['schema'].uri}/schema.pbtxt)" in text
    assert [anomaly.feature for anomaly in caught.value.anomalies["eval"]] == ["company"]


def test_anomalies_are_on_disk_when_they_stop_a_run(artifacts) -> None:
    with pytest.raises(DataError):
        ExampleValidator.function(**artifacts, fail_on_anomalies=True)
    uri = artifacts["anomalies"].uri
    assert "company" in read_anomalies(f"{uri}/Split-eval").anomaly_info


def test_the_error_crosses_process_borders(artifacts) -> None:
    with pytest.raises(AnomaliesError) as caught:
        ExampleValidator.function(**artifacts, fail_on_anomalies=True)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert copy.anomalies == caught.value.anomalies
    assert str(copy) == str(caught.value)


def test_a_table_has_a_line_for_every_anomaly() -> None:
    anomaly = Anomaly("", "DATA_MISSING", "ERROR", "No examples", "The split has no examples.")
    header, line = table_of({"train": [anomaly], "eval": []}).splitlines()
    assert header.split() == ["split", "feature", "severity", "anomaly", "description"]
    assert line.startswith("train  (data set)  ERROR")


def test_measured_drift_is_in_the_nodes_log(artifacts, capsys) -> None:
    ExampleValidator.function(
        **artifacts,
        previous_statistics=artifacts["statistics"],
        drift_thresholds={"fare": 0.25},
    )
    assert "train  fare     drift       JENSEN_SHANNON_DIVERGENCE  0      0.25" in (
        capsys.readouterr().out
    )


def test_a_feature_with_two_reasons_is_there_twice() -> None:
    anomalies = anomalies_pb2.Anomalies()
    info = anomalies.anomaly_info["fare"]
    info.path.step.extend(["trip", "fare"])
    info.reason.add(type="FLOAT_TYPE_HAS_NAN", short_description="NaN", description="It has NaN.")
    info.reason.add(type="FLOAT_TYPE_BIG_FLOAT", short_description="Big", description="It is big.")
    assert [(a.feature, a.kind) for a in describe_anomalies(anomalies)] == [
        ("trip.fare", "FLOAT_TYPE_HAS_NAN"),
        ("trip.fare", "FLOAT_TYPE_BIG_FLOAT"),
    ]


def test_written_anomalies_read_back(tmp_path) -> None:
    anomalies = anomalies_pb2.Anomalies(data_missing=True)
    write_anomalies(anomalies, str(tmp_path))
    assert read_anomalies(str(tmp_path)) == anomalies


def test_anomalies_that_are_not_there_are_named(tmp_path) -> None:
    with pytest.raises(DataError, match=r"SchemaDiff\.pb.*did not exclude"):
        read_anomalies(str(tmp_path))
