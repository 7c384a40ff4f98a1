"""The server of Kubeflow Pipelines that tests can talk to, with the stock client."""

from __future__ import annotations

import json
import warnings

import pytest
import urllib3
import yaml

from penstock.testing.kubeflow import FakePipelines, Fault, FaultKind, Play
from penstock_support.kubeflow_specs import GREETING, PLATFORM


@pytest.fixture(scope="module")
def kfp():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import kfp
    return kfp


@pytest.fixture
def server():
    with FakePipelines() as running:
        yield running


@pytest.fixture
def client(kfp, server, tmp_path, monkeypatch):
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kfp.Client(host=server.host)


@pytest.fixture
def package(tmp_path):
    path = tmp_path / "greeting.yaml"
    path.write_text(GREETING + PLATFORM)
    return str(path)


def test_the_stock_client_uploads_runs_and_waits(client, package):
    pipeline = client.upload_pipeline(package, pipeline_name="greeting")
    version = client.upload_pipeline_version(package, "v2", pipeline_id=pipeline.pipeline_id)
    experiment = client.create_experiment("tests")
    run = client.run_pipeline(
        experiment.experiment_id,
        "a run",
        pipeline_id=pipeline.pipeline_id,
        version_id=version.pipeline_version_id,
        params={"n": 3},
    )
    ended = client.wait_for_run_completion(run.run_id, timeout=60, sleep_duration=0)
    assert ended.state == "SUCCEEDED"
    names = {task.display_name for task in ended.run_details.task_details}
    assert {"root", "root-driver", "first", "first-driver", "executor"} <= names


def test_the_stock_client_runs_a_package_as_it_is(client, package, server):
    result = client.create_run_from_pipeline_package(package, {"n": 3}, enable_caching=False)
    assert client.get_run(result.run_id).state == "RUNNING"
    assert client.list_runs().runs[0].run_id == result.run_id
    client.terminate_run(result.run_id)
    assert [client.get_run(result.run_id).state] == ["FAILED"]


def test_the_stock_client_schedules(client, package, server):
    experiment = client.create_experiment("tests")
    made = client.create_recurring_run(
        experiment.experiment_id,
        "nightly",
        cron_expression="0 0 6 * * *",
        pipeline_package_path=package,
        params={"n": 1},
    )
    client.disable_recurring_run(made.recurring_run_id)
    [found] = client.list_recurring_runs(experiment_id=experiment.experiment_id).recurring_runs
    assert (found.status, server.trigger(made.recurring_run_id)) == ("DISABLED", None)
    client.enable_recurring_run(made.recurring_run_id)
    assert server.trigger(made.recurring_run_id)["recurring_run_id"] == made.recurring_run_id
    client.delete_recurring_run(made.recurring_run_id)
    assert server.recurring_runs == []


def test_the_stock_client_is_told_of_what_is_there_already(client, package):
    from kfp_server_api import ApiException

    client.upload_pipeline(package, pipeline_name="greeting")
    with pytest.raises(ApiException) as raised:
        client.upload_pipeline(package, pipeline_name="greeting")
    assert raised.value.status == 409


def ask(server, method, path, body=None, **query):
    answer = urllib3.request(
        method, f"{server.host}{path}", json=body, fields=query or None, retries=False
    )
    return answer.status, json.loads(answer.data)


def upload(server, text):
    file = {"uploadfile": ("pipeline.yaml", text)}
    answer = urllib3.request(
        "POST", f"{server.host}/apis/v2beta1/pipelines/upload?name=p", fields=file, retries=False
    )
    return answer.status, json.loads(answer.data)


RUNS = "/apis/v2beta1/runs"


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ("schemaVersion: 2.1.0", "schemaVersion: 2.0.0", "only supports schema version 2.1.0"),
        ("{name: greeting}", "{name: ''}", "name is empty"),
        ("{name: greeting}", "{name: Greeting}", "should consist of lower case"),
        ("sdkVersion:", "sdkVersio:", "sdkVersio"),
        ("root:\n", "roots:\n", "roots"),
        ("exec-first:\n          nodeSel", "exec-none:\n          nodeSel", "which is no executor"),
        ("nodeSelector:", "nodeSelectors:", "nodeSelectors"),
        ("platforms:", "platform:", "neither a pipeline nor a platform"),
        ("schemaVersion: 2.1.0", "schemaVersion: [2.1.0", "unable to decode"),
    ],
)
def test_documents_that_would_not_run_are_refused_with_the_reason(server, before, after, text):
    changed = (GREETING + PLATFORM).replace(before, after, 1)
    assert changed != GREETING + PLATFORM
    status, answer = upload(server, changed)
    assert status == 400
    assert text in answer["error_message"]


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({}, "parameter n is not optional"),
        ({"n": "3"}, "input parameter n requires type double or integer"),
        ({"n": 3, "loud": 1}, "input parameter loud requires type bool"),
        ({"n": 3, "m": 3}, "parameter(s) provided are not required by pipeline: m"),
    ],
)
def test_parameters_of_a_run_are_checked(server, parameters, text):
    body = {
        "display_name": "r",
        "pipeline_spec": yaml.safe_load(GREETING),
        "runtime_config": {"parameters": parameters},
    }
    status, answer = ask(server, "POST", RUNS, body)
    assert (status, text in answer["message"]) == (400, True)


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ("executorLabel: exec-first", "executorLabel: exec-none", "executor with label exec-none"),
        ("componentRef: {name: comp-first}", "componentRef: {name: none}", "component spec for"),
        ("container: {image: busybox", "resolver: {outputArtifactQueries: {}}\n#", "resolver"),
    ],
)
def test_what_cannot_become_a_workflow_fails_when_it_is_to_run(server, before, after, text):
    spec = yaml.safe_load(GREETING.replace(before, after, 1))
    body = {
        "display_name": "r",
        "pipeline_spec": spec,
        "runtime_config": {"parameters": {"n": 1}},
    }
    status, answer = ask(server, "POST", RUNS, body)
    assert (status, text in answer["message"]) == (500, True)


@pytest.mark.parametrize(
    ("method", "path", "body", "query", "status", "text"),
    [
        ("GET", "/apis/v2beta1/run", None, {}, 404, "Not Found: GET"),
        ("POST", RUNS, {"display_nam": "r"}, {}, 400, 'unknown field "display_nam"'),
        ("POST", RUNS, {"display_name": 3}, {}, 400, "invalid value for field display_name"),
        ("POST", RUNS, {"display_name": ""}, {}, 400, "The run name is empty"),
        ("GET", RUNS, None, {"page_token": "x"}, 400, "Invalid page token"),
        ("GET", RUNS, None, {"page_size": "-1"}, 400, "page size"),
        ("GET", RUNS, None, {"sort_by": "colour"}, 400, "Invalid sorting field"),
        ("GET", RUNS, None, {"filter": "{"}, 400, "failed to parse valid filter"),
        ("GET", RUNS, None, {"limit": "1"}, 400, "unknown query parameters"),
        ("GET", RUNS, None, {"experiment_id": "x"}, 404, "Experiment x not found"),
    ],
)
def test_requests_that_are_wrong_are_refused(server, method, path, body, query, status, text):
    upload(server, GREETING)
    ask(server, "POST", "/apis/v2beta1/experiments", {"display_name": "Default"})
    got, answer = ask(server, method, path, body, **query)
    assert (got, text in answer["message"]) == (status, True)


def test_pages_follow_one_another_by_their_tokens(server):
    path = "/apis/v2beta1/experiments"
    for number in range(5):
        ask(server, "POST", path, {"display_name": f"e{number}"})
    _, first = ask(server, "GET", path, page_size=3)
    _, second = ask(server, "GET", path, page_size=3, page_token=first["next_page_token"])
    names = [e["display_name"] for page in (first, second) for e in page["experiments"]]
    assert names == ["e0", "e1", "e2", "e3", "e4"]
    assert "next_page_token" not in second
    got, _ = ask(
        server, "GET", path, page_token=first["next_page_token"], sort_by="display_name desc"
    )
    assert got == 400


@pytest.mark.parametrize(
    ("operation", "value", "found"),
    [
        ("EQUALS", {"string_value": "e1"}, ["e1"]),
        (9, {"stringValue": "e"}, ["e0", "e1", "e2"]),
        ("NOT_EQUALS", {"string_value": "e1"}, ["e0", "e2"]),
        ("IN", {"string_values": {"values": ["e0", "e2"]}}, ["e0", "e2"]),
    ],
)
def test_filters_choose(server, operation, value, found):
    path = "/apis/v2beta1/experiments"
    for number in range(3):
        ask(server, "POST", path, {"display_name": f"e{number}"})
    predicate = {"operation": operation, "key": "display_name", **value}
    _, answer = ask(server, "GET", path, filter=json.dumps({"predicates": [predicate]}))
    assert [e["display_name"] for e in answer["experiments"]] == found


def test_a_run_fails_at_the_task_that_the_play_names(server):
    server.set_play(Play(fails="first"))
    body = {
        "display_name": "r",
        "pipeline_spec": yaml.safe_load(GREETING),
        "runtime_config": {"parameters": {"n": 1}},
    }
    _, run = ask(server, "POST", RUNS, body)
    states = [ask(server, "GET", f"{RUNS}/{run['run_id']}")[1]["state"] for _ in range(3)]
    assert (run["state"], states) == ("PENDING", ["RUNNING", "FAILED", "FAILED"])


def test_a_fault_happens_as_often_as_it_says(server):
    server.faults.append(Fault(FaultKind.DROP_AFTER, "POST", "/experiments"))
    path, body = "/apis/v2beta1/experiments", {"display_name": "e"}
    with pytest.raises(urllib3.exceptions.ProtocolError):
        ask(server, "POST", path, body)
    assert ask(server, "POST", path, body)[0] == 409


def test_a_token_that_expires_is_not_accepted_any_more():
    with FakePipelines(tokens={"t"}) as server:
        path = f"{server.host}/apis/v2beta1/healthz"
        headers = {"Authorization": "Bearer t"}
        assert urllib3.request("GET", path, headers=headers).status == 200
        server.tokens.discard("t")
        server.tokens.add("another")
        assert urllib3.request("GET", path, headers=headers).status == 401
