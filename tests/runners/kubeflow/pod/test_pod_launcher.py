"""What the launcher says to a pod, and what a pod says to it."""

from __future__ import annotations

import json
import math

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from penstock.errors import ParameterError, RunError
from penstock.runners.kubeflow.pod import launcher
from penstock_support.kubeflow_backend import through_the_backend

GIVEN = {
    "inputs": {
        "parameterValues": {"steps": 3.0, "name": "taxi"},
        "artifacts": {"model_0": {"artifacts": [{"name": "7", "uri": "minio://b/run/model"}]}},
    },
    "outputs": {
        "artifacts": {"examples": {"artifacts": [{"uri": "s3://b/taxi/run-7/gen/3/examples"}]}},
        "parameters": {"holds": {"outputFile": "/tmp/kfp/outputs/holds"}},
        "outputFile": "/tmp/kfp_outputs/output_metadata.json",
    },
}


def given(**changes):
    return launcher.read_executor_input(json.dumps({**GIVEN, **changes}))


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("gs://bucket/a/b", "/gcs/bucket/a/b"),
        ("minio://bucket/a", "/minio/bucket/a"),
        ("s3://bucket/a", "/s3/bucket/a"),
        ("/root/run/task/examples", "/root/run/task/examples"),
    ],
)
def test_artifacts_are_where_the_launcher_mounts_them(uri, path):
    assert launcher.local_path(uri) == path


def test_the_executor_input_is_read_by_name():
    read = given()
    assert read.inputs["model_0"][0].path == "/minio/b/run/model"
    assert read.outputs["examples"].path == "/s3/b/taxi/run-7/gen/3/examples"
    assert read.files == {"holds": "/tmp/kfp/outputs/holds"}
    assert read.output_file == "/tmp/kfp_outputs/output_metadata.json"


def test_a_task_without_inputs_has_none():
    read = launcher.read_executor_input('{"inputs": {}, "outputs": {"outputFile": "/tmp/out"}}')
    assert (read.parameters, read.inputs, read.outputs) == ({}, {}, {})


@pytest.mark.parametrize("text", ["{{$}}", "[]", "{}", '{"outputs": {}}'])
def test_what_is_no_executor_input_says_who_gives_one(text):
    with pytest.raises(RunError, match="expected Kubeflow's ExecutorInput.*compiled pipeline"):
        launcher.read_executor_input(text)


def test_parameters_get_their_types_back():
    types = {"steps": "int", "rate": "float", "name": "str", "on": "bool", "off": "bool"}
    came = {"steps": 3.0, "rate": 1.0, "name": "taxi", "on": True, "off": 0.0}
    bound = launcher.bind_parameters(came, types)
    assert bound == {"steps": 3, "rate": 1.0, "name": "taxi", "on": True, "off": False}
    assert [type(value).__name__ for value in bound.values()] == list(types.values())


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (3.5, "int", "expected int, got 3.5"),
        ("3", "int", "expected int, got '3'"),
        (True, "int", "expected int, got True"),
        (2.0, "bool", "expected bool, got 2.0"),
    ],
)
def test_a_parameter_of_another_type_is_refused(value, kind, message):
    with pytest.raises(ParameterError, match=message):
        launcher.bind_parameters({"steps": value}, {"steps": kind})


def test_a_parameter_that_did_not_come_is_named():
    with pytest.raises(ParameterError, match="'steps' did not come with the task"):
        launcher.bind_parameters({}, {"steps": "int"})


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("s3://b/root/taxi/run-7/gen/3/examples", "run-7"),
        ("minio://b/v2/artifacts/taxi/run-7/gen/examples", "run-7"),
        ("/local/root/taxi-2026-01-02-03-04-05/gen/examples", "taxi-2026-01-02-03-04-05"),
    ],
)
def test_the_runs_name_stands_in_the_outputs_addresses(uri, name):
    outputs = {"artifacts": {"examples": {"artifacts": [{"uri": uri}]}}, "outputFile": "/tmp/out"}
    assert launcher.run_name("taxi", given(outputs=outputs)) == name


def test_a_run_without_a_name_is_refused():
    with pytest.raises(RunError, match="the name of the run is not known.*platform document"):
        launcher.run_name("other", given())


def test_the_backend_changes_metadata_that_is_neither_text_nor_a_number():
    changed = through_the_backend({"on": True, "count": 3, "list": [1, 2], "dict": {"a": True}})
    assert changed == {
        "on": 1.0,
        "count": 3.0,
        "list": {"list": [1.0, 2.0]},
        "dict": {"struct": {"a": True}},
    }
    assert type(changed["count"]) is float


def test_nothing_of_a_property_is_lost_on_its_way_through_the_backend():
    properties = {
        "split_names": '["train", "eval"]',
        "span": 3,
        "on": True,
        "rate": 0.25,
        "listed": [1, {"a": None}],
        "infinite": math.inf,
    }
    came = through_the_backend(launcher.as_metadata(properties))
    back = {
        name: json.loads(came[name]) if name in ("on", "listed", "infinite") else came[name]
        for name in properties
    }
    assert back == properties


def test_the_backend_can_read_what_is_reported(tmp_path):
    path = tmp_path / "outputs" / "executor_output.json"
    launcher.write_output(str(path), {"model": ("s3://b/model", launcher.as_metadata({"n": 1}))})
    read = json_format.Parse(path.read_text(), pipeline_spec_pb2.ExecutorOutput())
    [artifact] = read.artifacts["model"].artifacts
    assert (artifact.uri, artifact.metadata["n"]) == ("s3://b/model", 1.0)
