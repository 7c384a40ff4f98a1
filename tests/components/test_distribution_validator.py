"""Distributions beside a baseline's: TFX's anomalies and blessings, and what people read."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest
from tensorflow_metadata.proto.v0 import anomalies_pb2

from penstock.artifacts import ExampleAnomalies, ExampleStatistics
from penstock.components.distribution_validator.component import DistributionValidator
from penstock.data.results.anomalies import (
    AnomaliesError,
    anomalies_directory,
    describe_anomalies,
    read_anomalies,
)
from penstock.data.results.statistics import write_statistics
from penstock.errors import ParameterError

COMPANIES = ["Blue", "Checker", "Yellow"]
CONFIG = """
default_slice_config {
  feature {
    path { step: "company" }
    distribution_comparator { infinity_norm { threshold: 0.1 } }
  }
  feature {
    path { step: "fare" }
    distribution_comparator { jensen_shannon_divergence { threshold: 0.2 } }
  }
  num_examples_comparator { min_fraction_threshold: 0.5 max_fraction_threshold: 2 }
}
"""
THRESHOLDS = {"company": 0.1, "fare": 0.2}


def statistics_of(companies, fares):
    from penstock.components.statistics_gen.in_process import statistics_of_batches
    from penstock.components.statistics_gen.options import statistics_options

    columns = {
        "company": pa.array([[company] for company in companies]),
        "fare": pa.array([[fare] for fare in fares], pa.list_(pa.float32())),
    }
    return statistics_of_batches([pa.RecordBatch.from_pydict(columns)], statistics_options())


@pytest.fixture(scope="module")
def made():
    """Statistics: as usual, of other categories, of other numbers, of few rows."""
    fares = [float(row % 50) for row in range(300)]
    usual = [COMPANIES[row % 3] for row in range(300)]
    return {
        "usual": statistics_of(usual, fares),
        "categories": statistics_of([COMPANIES[0]] * 290 + COMPANIES[1:] * 5, fares),
        "numbers": statistics_of(usual, [fare**2 for fare in fares]),
        "few": statistics_of(usual[:30], fares[:30]),
    }


@pytest.fixture
def artifact(made, tmp_path):
    """Make an artifact of statistics, by split."""

    def make(**splits):
        statistics = ExampleStatistics()
        statistics.uri = str(tmp_path / "-".join(splits.values()))
        statistics.split_names, statistics.span = json.dumps(list(splits)), 3
        for split, name in splits.items():
            write_statistics(made[name], f"{statistics.uri}/Split-{split}")
        return statistics

    return make


@pytest.fixture
def validate(tmp_path):
    """Run the component's body; return the artifact of its anomalies."""

    def run(statistics, baseline, **parameters):
        anomalies = ExampleAnomalies()
        anomalies.uri = str(tmp_path / "anomalies")
        Path(anomalies.uri).mkdir()
        parameters = {"thresholds": THRESHOLDS, **parameters}
        DistributionValidator.function(
            statistics=statistics, anomalies=anomalies, baseline_statistics=baseline, **parameters
        )
        return anomalies

    return run


def of_tfx(statistics, baseline, folder) -> ExampleAnomalies:
    """Return what TFX's executor makes of the same."""
    from google.protobuf import text_format
    from tfx.components.distribution_validator import executor
    from tfx.proto import distribution_validator_pb2
    from tfx.types import standard_artifacts

    def theirs(ours):
        found = standard_artifacts.ExampleStatistics()
        found.uri, found.split_names, found.span = ours.uri, ours.split_names, ours.span
        return [found]

    anomalies = standard_artifacts.ExampleAnomalies()
    anomalies.uri = str(folder)
    config = distribution_validator_pb2.DistributionValidatorConfig()
    executor.Executor().Do(
        {"statistics": theirs(statistics), "baseline_statistics": theirs(baseline)},
        {"anomalies": [anomalies]},
        {"distribution_validator_config": text_format.Parse(CONFIG, config)},
    )
    return anomalies


def blessed(anomalies):
    return anomalies.get_json_value_custom_property("blessed")


@pytest.mark.parametrize("other", ["usual", "categories", "numbers", "few"])
def test_anomalies_and_blessings_are_those_of_tfx(artifact, validate, tmp_path, other):
    statistics, baseline = (
        artifact(train=other, eval="usual"),
        artifact(train="usual", eval="usual"),
    )
    ours = validate(statistics, baseline, num_examples_fractions=[0.5, 2.0])
    theirs = of_tfx(statistics, baseline, tmp_path / "theirs")
    assert blessed(ours) == blessed(theirs)
    assert blessed(ours)["train_train"] == (other == "usual")
    assert (ours.split_names, ours.span) == (theirs.split_names, theirs.span)
    for pair in ("train_train", "eval_eval"):
        paths = [Path(each.uri, f"SplitPair-{pair}", "SchemaDiff.pb") for each in (ours, theirs)]
        messages = [anomalies_pb2.Anomalies.FromString(path.read_bytes()) for path in paths]
        assert messages[0] == messages[1]


def test_a_star_is_for_all_features_of_the_baseline(artifact, validate):
    found = validate(artifact(train="numbers"), artifact(train="usual"), thresholds={"*": 0.1})
    directory = anomalies_directory(found.uri, "train_train")
    assert [a.feature for a in describe_anomalies(read_anomalies(directory))] == ["fare"]


def test_a_feature_that_cannot_be_compared_is_an_anomaly_with_the_name_that_is_near(
    artifact, validate
):
    usual = artifact(train="usual")
    found = validate(usual, usual, thresholds={"fares": 0.1})
    [anomaly] = describe_anomalies(read_anomalies(anomalies_directory(found.uri, "train_train")))
    assert (anomaly.feature, anomaly.kind) == ("fares", "STATS_NOT_AVAILABLE")
    assert anomaly.long == (
        "There is nothing to compare of 'fares': the baseline has no such feature; did you mean "
        "'fare'?"
    )
    assert blessed(found) == {"train_train": 0}


def test_without_a_baseline_every_split_passes(artifact, validate):
    found = validate(artifact(train="usual", eval="few"), None)
    assert blessed(found) == {"train": 2, "eval": 2}
    assert not list(Path(found.uri).iterdir())


def test_pairs_of_splits_are_compared_where_they_are_named(artifact, validate):
    statistics = artifact(train="usual", eval="categories")
    found = validate(statistics, statistics, include_split_pairs=[["eval", "train"]])
    assert blessed(found) == {"eval_train": 0}


def test_a_pair_that_is_none_is_told_with_those_that_there_are(artifact, validate):
    usual = artifact(train="usual")
    with pytest.raises(ParameterError, match=r"got \['train', 'test'\]: the statistics are of"):
        validate(usual, usual, include_split_pairs=[["train", "test"]])


def test_an_anomaly_stops_the_run_where_it_should(artifact, validate, capsys):
    with pytest.raises(AnomaliesError) as raised:
        validate(artifact(train="categories"), artifact(train="usual"), fail_on_anomalies=True)
    said = str(raised.value)
    assert said.startswith(
        "expected data that is distributed as the baseline is, but found 1 anomaly in train_train:"
    )
    assert "take another baseline, or raise the thresholds" in said
    assert "company" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"thresholds": None}, "expected thresholds or num_examples_fractions, got neither"),
        ({"thresholds": {"fare": 2.0}}, r"expected thresholds\['fare'\] between 0 and 1"),
        ({"num_examples_fractions": [2.0, 0.5]}, r"as num_examples_fractions, got \[2.0, 0.5\]"),
    ],
)
def test_bounds_that_cannot_be_any_are_told_also_without_a_baseline(
    artifact, validate, parameters, message
):
    with pytest.raises(ParameterError, match=message):
        validate(artifact(train="usual"), None, **parameters)


def test_a_report_has_the_anomalies_of_pairs(artifact, validate):
    from penstock.metadata.reading import ArtifactRecord
    from penstock.report.features import find

    def record(made):
        properties = {"split_names": made.split_names}
        return ArtifactRecord(1, made.type_name, made.uri, "live", datetime.now(), properties)

    statistics = artifact(train="categories")
    findings = find([record(statistics)], [record(validate(statistics, artifact(train="usual")))])
    assert [(split, each.feature) for split, each in findings.anomalies] == [
        ("train_train", "company")
    ]
    assert findings.problems == ()
