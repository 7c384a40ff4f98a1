"""What a person reads when a server does not do what it is asked."""

from __future__ import annotations

import json
import socket

import pytest

from penstock.errors import ConfigError, DataError, ParameterError, ServiceError
from penstock.runners.kubeflow.contract import documents
from penstock.runners.kubeflow.server import connecting, operations, responses, versions
from penstock.testing.kubeflow import FakePipelines, Fault, FaultKind
from penstock_support.kubeflow_service import HASTY
from penstock_support.kubeflow_specs import GREETING, PLATFORM


@pytest.fixture
def server():
    with FakePipelines() as running:
        yield running


def connected(server, **more):
    return connecting.connect(server.host, patience=HASTY, **more)


def upload(service, text=GREETING):
    return versions.upload(service, documents.read(text))


def test_a_host_that_is_not_reached_is_named_with_the_next_step():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    service = connecting.connect(f"http://127.0.0.1:{port}", patience=HASTY)
    with pytest.raises(ServiceError, match=rf"127.0.0.1:{port} is not reached.*refused") as raised:
        upload(service)
    assert "kubectl port-forward" in str(raised.value)
    assert "is not reached: Failed to establish a new connection" in str(raised.value)


def test_a_port_that_does_not_speak_tls_is_named(server):
    service = connecting.connect(server.host.replace("http://", "https://"), patience=HASTY)
    with pytest.raises(ServiceError, match="no trusted connection to https") as raised:
        upload(service)
    assert "write http:// in `host`" in str(raised.value)


def test_an_expired_token_is_told_from_a_missing_right(server):
    server.tokens.add("good")
    service = connected(server, token="good")
    upload(service)
    server.tokens.clear()
    server.tokens.add("newer")
    with pytest.raises(ServiceError, match="does not accept the token") as raised:
        upload(service)
    assert raised.value.status == 401
    assert "Tokens expire" in str(raised.value)


def test_a_token_from_a_file_is_read_anew_at_each_request(server, tmp_path):
    path = tmp_path / "token"
    path.write_text("first\n")
    server.tokens.add("first")
    service = connected(server, token_file=str(path))
    upload(service)
    server.tokens.clear()
    server.tokens.add("rotated")
    path.write_text("rotated\n")
    assert not upload(service).created


def test_a_token_s_file_that_is_not_there_is_named(server, tmp_path):
    with pytest.raises(ConfigError, match="the token in .*/none cannot be read: No such file"):
        connected(server, token_file=str(tmp_path / "none"))


def test_a_namespace_of_others_is_forbidden():
    with FakePipelines(namespaces={"mine"}) as server:
        upload(connected(server, namespace="mine"))
        with pytest.raises(ServiceError, match="not authorized in namespace theirs") as raised:
            upload(connected(server, namespace="theirs"))
        assert "kubeflow-edit" in str(raised.value)


def test_a_page_to_sign_in_is_no_api(server):
    server.login_page = True
    with pytest.raises(ServiceError, match="answers with a web page") as raised:
        upload(connected(server))
    assert "`cookies` of a session" in str(raised.value)


def test_a_redirection_is_not_followed_but_named():
    error = responses.refusal(
        302, "", "", "list the runs", "http://kf", location="https://sso/login?secret=1"
    )
    assert "sends to https://sso/login:" in str(error)


def test_a_specification_that_is_refused_comes_with_the_server_s_words(server):
    wrong = GREETING.replace("schemaVersion: 2.1.0", "schemaVersion: 2.0.0")
    with pytest.raises(ServiceError, match="only supports schema version 2.1.0") as raised:
        upload(connected(server), wrong)
    assert raised.value.status == 400
    assert "penstock compile" in str(raised.value)


def test_what_argo_refuses_comes_with_its_reason_and_no_advice_to_try_again(server):
    service = connected(server)
    unknown = GREETING.replace("executorLabel: exec-first", "executorLabel: exec-nowhere")
    version = upload(service, unknown)
    body = {
        "display_name": "greeting",
        "pipeline_version_reference": version.reference(),
        "runtime_config": {"parameters": {"n": 1}},
    }
    with pytest.raises(ServiceError, match="executor with label exec-nowhere not found") as raised:
        service.post("/runs", "create a run", body)
    assert (raised.value.status, raised.value.transient) == (500, False)
    assert "Try again" not in str(raised.value)


def test_of_a_long_message_the_reason_at_its_end_is_kept():
    body = json.dumps({"message": f"Failed to create a run: {'x' * 2000}: spec.nodes is wrong"})
    message = responses.message_of(body)
    assert message.startswith("Failed to create a run")
    assert message.endswith("spec.nodes is wrong")


@pytest.mark.parametrize(("status", "transient"), [(500, False), (502, True), (503, True)])
def test_trying_again_is_advised_where_it_helps(status, transient):
    body = '{"code": 13, "message": "no such column", "details": []}'
    error = responses.refusal(status, body, "", "list the runs", "http://kf")
    assert error.transient is transient
    assert ("Try again" in str(error)) is transient
    assert "no such column" in str(error)


def test_a_run_that_is_not_there_is_named(server):
    with pytest.raises(Exception, match="has no run 'nowhere'. A run's id is on its page"):
        operations.find_run(connected(server), "nowhere")


@pytest.mark.parametrize("kind", [FaultKind.DROP_BEFORE, FaultKind.STATUS_BEFORE])
def test_reading_is_tried_again_for_a_while(server, kind):
    server.faults.append(Fault(kind, "GET", times=2))
    assert upload(connected(server)).created


def test_a_server_that_keeps_failing_is_an_error_with_its_status(server):
    server.faults.append(Fault(FaultKind.STATUS_BEFORE, "GET", times=99, status=502))
    with pytest.raises(ServiceError, match="answered with status 502 when asked to list"):
        upload(connected(server))
    assert len(server.requests) == 3


@pytest.mark.parametrize("kind", list(FaultKind)[:7])
@pytest.mark.parametrize("path", ["/pipelines", "/upload_version", "/experiments"])
def test_what_has_a_unique_name_is_made_once_under_any_fault(server, kind, path):
    if kind in (FaultKind.TIMEOUT_BEFORE, FaultKind.TIMEOUT_AFTER, FaultKind.LATE):
        seconds = 0
    else:
        seconds = 5
    service = connected(server)
    server.faults.append(Fault(kind, "POST", path, seconds=seconds))
    upload(service)
    versions.experiment_id(service, "nightly")
    server.settle()
    state = server.state
    assert (len(state.pipelines), len(state.versions), len(state.experiments)) == (1, 1, 1)


def test_the_same_pipeline_again_is_no_new_version_and_a_changed_one_is(server):
    service = connected(server)
    first, again = upload(service), upload(service)
    changed = upload(service, GREETING + PLATFORM)
    assert (first.created, again.created, changed.created) == (True, False, True)
    assert first.version_id == again.version_id != changed.version_id
    assert first.pipeline_id == changed.pipeline_id
    assert changed.name == documents.read(GREETING + PLATFORM).fingerprint


def test_a_secret_never_stands_in_an_error(server):
    server.faults.append(Fault(FaultKind.STATUS_BEFORE, times=99))
    service = connected(server, token="upstream")
    with pytest.raises(ServiceError) as raised:
        upload(service)
    assert "upstream" not in str(raised.value).replace("Kubeflow", "")
    assert "[secret] connect error" in str(raised.value)


def test_a_profile_without_a_host_needs_credentials_of_the_surroundings(monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="names no host for Kubeflow Pipelines"):
        connecting.connect("")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("n=3", {"n": 3}),
        ("rate=2", {"rate": 2.0}),
        ("loud=true", {"loud": True}),
        ("name=a=b", {"name": "a=b"}),
    ],
)
def test_parameters_get_the_types_that_the_pipeline_declares(given, expected):
    values = documents.parse_parameters(documents.read(GREETING), [given])
    assert values == expected
    assert [type(v) for v in values.values()] == [type(v) for v in expected.values()]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("n=three", "parameter 'n': expected int, got 'three'"),
        ("loud=perhaps", "parameter 'loud': expected true or false, got 'perhaps'"),
        ("rat=1", "has no parameter 'rat'. Did you mean 'rate'?"),
        ("n", "expected NAME=VALUE after -p, got 'n'"),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_is_sent(given, text):
    with pytest.raises(ParameterError) as raised:
        documents.parse_parameters(documents.read(GREETING), [given])
    assert text in str(raised.value)


def test_a_parameter_without_a_default_must_be_given():
    with pytest.raises(ParameterError, match=r"needs a value for 'n'. Add -p n=VALUE"):
        documents.check_parameters(documents.read(GREETING), {})


def test_a_file_that_is_no_pipeline_is_named():
    with pytest.raises(DataError, match=r"no compiled pipeline .* \(x.yaml\)"):
        documents.read("a: b", "x.yaml")


def test_without_cache_no_task_takes_anything_from_it():
    spec = documents.read(GREETING + PLATFORM).without_cache()
    tasks = spec["pipeline_spec"]["root"]["dag"]["tasks"]
    assert [task["cachingOptions"] for task in tasks.values()] == [{}, {}]
    assert "kubernetes" in spec["platform_spec"]["platforms"]
