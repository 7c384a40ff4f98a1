"""The flights pipeline on its first month, from beginning to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock import LocalRunner, load_model
from penstock.metadata.store import connect, connection_config
from penstock.pipelines.flights.features import LABEL
from penstock.pipelines.flights.pipeline import flights
from penstock.runners.local import State
from penstock.runners.local.display import Silent
from penstock_support.served_as_trained import assert_served_as_trained

# The flights of the year, those that were canceled or have no known arrival, and January's others.
READ, DROPPED, WRITTEN = 336_776, 9_430, 26_398


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("flights")


@pytest.fixture(scope="module")
def result(folder):
    runner = LocalRunner(
        pipeline_root=str(folder / "root"), metadata=str(folder / "db"), display=Silent()
    )
    return runner.run(
        flights,
        parameters={
            "through_month": 1,
            "months": 1,
            "train_steps": 200,
            "minimum_auc": 0.8,
            "push_directory": str(folder / "serving"),
        },
        raise_on_failure=False,
    )


def test_every_node_is_done(result):
    assert {name: node.error for name, node in result.nodes.items() if node.error} == {}
    assert {node.state for node in result.nodes.values()} == {State.DONE}


def test_every_row_is_accounted_for_in_the_store(result, folder):
    with connect(connection_config(str(folder / "db"))) as metadata:
        [tables] = [
            a for a in metadata.store.get_artifacts_by_type("Tables") if "MergeTables" in a.uri
        ]
    counts = json.loads(Path(tables.uri, "_counts.json").read_text())
    flights = counts["tables"]["flights"]
    assert tables.custom_properties["rows_read"].int_value == flights["read"] == READ
    assert flights["duplicates"] == 0
    assert sum(flights["dropped"].values()) == DROPPED
    assert counts["beyond_last_span"] == READ - DROPPED - WRITTEN
    assert tables.custom_properties["rows_written"].int_value == WRITTEN


def test_the_examples_have_the_rows_and_the_span_of_the_month(result):
    from penstock.data.records import read_serialized, record_files
    from penstock.data.splits import split_directory

    examples = result.output("ParquetExampleGen", "examples")
    rows = sum(
        sum(1 for _ in read_serialized(record_files(split_directory(examples.uri, split))))
        for split in ("train", "eval")
    )
    assert (rows, examples.span) == (WRITTEN, 1)


def test_the_evaluation_has_the_airports_and_the_carriers(result):
    from penstock.data.results.evaluation import summarize

    slices = {metric.slice for metric in summarize(result.output("Evaluator", "evaluation").uri)}
    assert {"Overall", "origin:JFK", "origin:LGA", "origin:EWR", "carrier:UA"} <= slices


def test_the_area_under_the_curve_has_a_confidence_interval(result):
    metrics = json.loads(
        result.output("Evaluator", "evaluation").get_string_custom_property("metrics")
    )
    [auc] = [metric for metric in metrics if metric["metric"] == "auc"]
    assert auc["lower"] < auc["value"] < auc["upper"]


def test_the_model_is_pushed_because_it_is_blessed(result, folder):
    assert result.output("Evaluator", "blessing").get_int_custom_property("blessed") == 1
    pushed = result.output("Pusher", "pushed_model")
    destination = Path(pushed.get_string_custom_property("pushed_destination"))
    assert destination.parent == folder / "serving"
    assert (destination / "saved_model.pb").exists()


@pytest.mark.needs("uvloop")
def test_the_pushed_model_is_asked_about_a_flight_over_http(result, folder, capsys):
    from penstock.pipelines.flights import ask

    ask.main(str(folder / "serving"))
    said = capsys.readouterr().out
    flight = json.loads(ask.FLIGHT.read_text())
    [late] = load_model(result.output("Pusher", "pushed_model").uri).predict([flight])["outputs"]
    assert f"with a probability of {late.as_py():.2f}" in said
    assert "curl localhost:8501/predict/flights -d @" in said


def test_a_server_that_does_not_start_says_why(tmp_path):
    from penstock.pipelines.flights import ask

    with pytest.raises(RuntimeError, match="expected a model: a folder, a run"):
        ask.main(str(tmp_path / "none"))


def test_raw_rows_in_files_are_predicted_as_training_saw_them(result, tmp_path):
    assert_served_as_trained(result, "ParquetExampleGen", LABEL, tmp_path)
