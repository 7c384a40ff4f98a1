"""What events say of runs, nodes and their data, in the words of the specification."""

import json
import uuid
from datetime import datetime

import pytest
from openlineage.client.serde import Serde

from penstock.artifacts import Examples, Model, PushedModel
from penstock.openlineage import RunEvents, parse_destination
from penstock.openlineage.datasets import dataset_name, dataset_of, input_datasets, output_datasets
from penstock.openlineage.events import JobRun, execution_uuid, now, run_event, run_uuid


def made_by(kind, uri, **properties):
    """An artifact as a node of a pipeline publishes it."""
    artifact = kind()
    artifact.uri = uri
    artifact.set_int_custom_property("is_external", 0)
    for name, value in properties.items():
        if isinstance(value, int):
            artifact.set_int_custom_property(name, value)
        else:
            artifact.set_string_custom_property(name, value)
    return artifact


@pytest.fixture
def told(tmp_path):
    """The events of a run in which one node was done, one cached, one failed and one skipped."""
    path = tmp_path / "events.jsonl"
    events = RunEvents(parse_destination(f"file:{path}", namespace="team-a"))
    examples = made_by(Examples, "/root/ExampleGen/examples/7", content_digest="d1g3st")
    model = made_by(Model, "/root/Trainer/model/9")
    events.run_started("run-1", "taxi", {"steps": 3, "name": "a"})
    events.node_started(
        "ExampleGen",
        execution_id=7,
        parameters={"input_base": "/data/taxi", "__hidden__": 1},
        code={"taxi/example_gen.py": "abc"},
    )
    events.node_resolved(
        "ExampleGen", {"input_base": "/data/taxi", "input_fingerprint": "total_bytes:12"}
    )
    events.node_ended("ExampleGen", "done", outputs={"examples": [examples]})
    events.node_started("Trainer", execution_id=9, inputs={"examples": [examples]})
    events.node_ended("Trainer", "cached", outputs={"model": [model]})
    events.node_ended("Evaluator", "failed", error="no such label")
    events.node_ended("Pusher", "skipped")
    events.node_started("Left", execution_id=11)
    assert events.run_ended("failed", "node Evaluator failed").lost == 0
    return [json.loads(line) for line in path.read_text().splitlines()]


def one(told, job, event_type):
    [found] = [e for e in told if e["job"]["name"] == job and e["eventType"] == event_type]
    return found


def names(datasets):
    return [(dataset["namespace"], dataset["name"]) for dataset in datasets]


def test_every_start_is_followed_by_one_end(told):
    assert [(e["job"]["name"], e["eventType"]) for e in told] == [
        ("taxi", "START"),
        ("taxi.ExampleGen", "START"),
        ("taxi.ExampleGen", "COMPLETE"),
        ("taxi.Trainer", "START"),
        ("taxi.Trainer", "COMPLETE"),
        ("taxi.Evaluator", "START"),
        ("taxi.Evaluator", "FAIL"),
        ("taxi.Left", "START"),
        ("taxi.Left", "ABORT"),
        ("taxi", "FAIL"),
    ]


def test_every_event_has_what_the_specification_asks_of_it(told):
    for event in told:
        assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
        assert event["producer"].startswith("urn:penstock:")
        assert event["schemaURL"].startswith("https://openlineage.io/spec/2-")
        assert event["schemaURL"].endswith("#/$defs/RunEvent")
        assert uuid.UUID(event["run"]["runId"])
        assert event["job"]["namespace"] == "team-a"


def test_every_facet_says_who_made_it_and_by_which_schema(told):
    for event in told:
        datasets = [*event["inputs"], *event["outputs"]]
        facets = [part["facets"] for part in (event["run"], event["job"], *datasets)]
        for facet in [facet for group in facets for facet in group.values()]:
            assert facet["_producer"] == event["producer"]
            assert facet["_schemaURL"].startswith("https://openlineage.io/spec/")


def test_a_node_names_the_run_that_it_is_part_of(told):
    parent = one(told, "taxi.Trainer", "START")["run"]["facets"]["parent"]
    run = one(told, "taxi", "START")["run"]
    assert parent["run"]["runId"] == parent["root"]["run"]["runId"] == run["runId"]
    assert parent["job"]["namespace"] == "team-a"
    assert parent["job"]["name"] == "taxi"
    assert "parent" not in run["facets"]


def test_uuids_follow_from_the_names_in_the_store(told):
    assert one(told, "taxi", "START")["run"]["runId"] == run_uuid("run-1")
    trainer = [e["run"]["runId"] for e in told if e["job"]["name"] == "taxi.Trainer"]
    assert trainer == [execution_uuid("run-1", "Trainer", 9)] * 2
    assert execution_uuid("run-1", "Trainer", 9) != execution_uuid("run-1", "Trainer", 10)


def test_another_attempt_at_a_run_tells_of_what_is_new_alone(tmp_path):
    path = tmp_path / "events.jsonl"
    events = RunEvents(parse_destination(f"file:{path}"))
    events.node_ended("ExampleGen", "done", execution_id=7)
    events.run_started("run-1", "taxi", {}, attempt=2)
    events.node_ended("Trainer", "done", execution_id=9)
    assert events.run_ended("done").events == 4
    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert told[0]["run"]["runId"] == run_uuid("run-1", 2) != run_uuid("run-1")
    assert told[1]["run"]["facets"]["parent"]["run"]["runId"] == run_uuid("run-1", 2)


def test_a_run_that_never_began_has_no_events(tmp_path):
    path = tmp_path / "events.jsonl"
    assert RunEvents(parse_destination(f"file:{path}")).run_ended("failed").events == 0
    assert not path.exists()


def test_parameters_are_told_without_those_that_are_not_the_users(told):
    of = "executionParameters"
    run = one(told, "taxi", "START")["run"]["facets"][of]["parameters"]
    assert run == [{"key": "steps", "value": "3"}, {"key": "name", "value": "a"}]
    node = one(told, "taxi.ExampleGen", "START")["run"]["facets"][of]["parameters"]
    assert [parameter["key"] for parameter in node] == ["input_base"]


def test_a_node_that_was_cached_says_so(told):
    facets = one(told, "taxi.Trainer", "COMPLETE")["run"]["facets"]["penstock_execution"]
    assert (facets["cached"], facets["executionId"], facets["runId"]) == (True, 9, "run-1")
    done = one(told, "taxi.ExampleGen", "COMPLETE")["run"]["facets"]["penstock_execution"]
    assert done["cached"] is False


def test_a_failure_has_its_message(told):
    error = one(told, "taxi.Evaluator", "FAIL")["run"]["facets"]["errorMessage"]
    assert (error["message"], error["programmingLanguage"]) == ("no such label", "PYTHON")


def test_the_code_of_a_node_is_told_by_digests(told):
    code = one(told, "taxi.ExampleGen", "START")["job"]["facets"]["penstock_code"]
    assert code["digests"] == {"taxi/example_gen.py": "abc"}


def test_the_output_of_one_node_is_the_input_of_the_next(told):
    made = one(told, "taxi.ExampleGen", "COMPLETE")["outputs"]
    assert names(made) == [("file", "/root/ExampleGen/examples")]
    assert names(one(told, "taxi.Trainer", "START")["inputs"]) == names(made)
    assert names(one(told, "taxi.Trainer", "COMPLETE")["inputs"]) == names(made)


def test_the_folder_that_an_example_gen_reads_is_an_input(told):
    [start] = one(told, "taxi.ExampleGen", "START")["inputs"]
    [end] = one(told, "taxi.ExampleGen", "COMPLETE")["inputs"]
    assert (end["namespace"], end["name"]) == (start["namespace"], start["name"])
    assert (end["namespace"], end["name"]) == ("file", "/data/taxi")
    assert "version" not in start["facets"]
    assert end["facets"]["version"]["datasetVersion"] == "total_bytes:12"


def test_a_dataset_has_its_digest_for_a_version_and_says_where_it_is(told):
    [dataset] = one(told, "taxi.ExampleGen", "COMPLETE")["outputs"]
    facets = dataset["facets"]
    assert facets["version"]["datasetVersion"] == "d1g3st"
    assert facets["penstock_artifact"]["uri"] == "/root/ExampleGen/examples/7"
    assert facets["datasetType"]["datasetType"] == "FILE"
    assert facets["datasetType"]["subType"] == "Examples"
    assert facets["storage"]["storageLayer"] == "file"


def test_without_a_digest_the_execution_is_the_version(told):
    [dataset] = one(told, "taxi.Trainer", "COMPLETE")["outputs"]
    assert dataset["facets"]["version"]["datasetVersion"] == "9"
    assert dataset["facets"]["datasetType"]["datasetType"] == "MODEL"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/data/taxi", ("file", "/data/taxi")),
        ("file:///data/taxi%20x", ("file", "/data/taxi x")),
        ("file://host/data", ("file://host", "/data")),
        ("s3://bucket/a/b", ("s3://bucket", "a/b")),
        ("gs://bucket/a/", ("gs://bucket", "a")),
        ("gs://bucket", ("gs://bucket", "/")),
        ("hdfs://node:8020/a/b", ("hdfs://node:8020", "/a/b")),
        ("sftp://user:canary@host/a", ("sftp://host", "/a")),
    ],
)
def test_datasets_are_named_as_the_specification_says(uri, expected):
    assert dataset_name(uri) == expected


def test_an_artifact_that_no_node_made_keeps_its_whole_name():
    imported = Model()
    imported.uri = "/models/taxi/exported/7"
    assert dataset_of(imported).name == "/models/taxi/exported/7"


def test_an_artifact_that_is_a_value_is_named_by_its_key():
    value = made_by(Examples, "/root/Trainer/accuracy/9/value")
    assert (dataset_of(value).name, dataset_of(value).version) == ("/root/Trainer/accuracy", "9")


def test_what_is_pushed_is_a_version_of_the_served_folder():
    pushed = made_by(
        PushedModel, "/root/Pusher/pushed_model/4", pushed=1, pushed_destination="/serving/taxi/12"
    )
    artifact, served = output_datasets({"pushed_model": [pushed]})
    assert artifact.name == "/root/Pusher/pushed_model"
    assert (served.namespace, served.name, served.version) == ("file", "/serving/taxi", "12")


def test_a_model_that_was_not_pushed_is_no_version_of_anything_served():
    pushed = made_by(PushedModel, "/root/Pusher/pushed_model/4", pushed=0)
    assert len(output_datasets({"pushed_model": [pushed]})) == 1


@pytest.mark.parametrize("folder", ["/root/Tables/tables/2", "/root/Tables/tables/2/taxi/"])
def test_a_folder_of_an_artifact_is_no_dataset_of_its_own(folder):
    tables = made_by(Examples, "/root/Tables/tables/2")
    [dataset] = input_datasets({"tables": [tables]}, {"input_base": folder})
    assert dataset.name == "/root/Tables/tables"


def test_a_folder_beside_an_artifact_is_a_dataset(tmp_path):
    tables = made_by(Examples, "/root/Tables/tables/2")
    assert len(input_datasets({"t": [tables]}, {"input_base": "/root/Tables/tables/23"})) == 2


def test_a_dataset_that_is_read_twice_is_told_once():
    examples = made_by(Examples, "/root/ExampleGen/examples/7")
    assert len(input_datasets({"a": [examples], "b": [examples]}, {})) == 1


def test_values_that_json_does_not_know_are_written_as_text():
    run = JobRun(run_uuid("r"), "n", "taxi", "r", parameters={"where": uuid.UUID(int=1)})
    event = json.loads(Serde.to_json(run_event(run, "running", now())))
    [parameter] = event["run"]["facets"]["executionParameters"]["parameters"]
    assert parameter["value"] == '"00000000-0000-0000-0000-000000000001"'
