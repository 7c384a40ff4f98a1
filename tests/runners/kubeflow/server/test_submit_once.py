"""A submission starts one run, whatever happens between client and server."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.errors import ParameterError, ServiceError, UnansweredError
from penstock.runners.kubeflow.contract import documents
from penstock.runners.kubeflow.server import connecting, operations, submission, versions
from penstock.testing.kubeflow import FakePipelines, Fault, FaultKind
from penstock.testing.kubeflow.specs import read_yaml
from penstock_support.kubeflow_service import HASTY
from penstock_support.kubeflow_specs import GREETING

SILENT = [FaultKind.DROP_AFTER, FaultKind.TIMEOUT_AFTER, FaultKind.STATUS_AFTER]
WITHOUT_EFFECT = [FaultKind.DROP_BEFORE, FaultKind.TIMEOUT_BEFORE, FaultKind.STATUS_BEFORE]


@pytest.fixture(scope="module", autouse=True)
def loaded():
    """Let the server's first answer take no longer than others."""
    read_yaml(GREETING.encode())


@pytest.fixture
def server():
    with FakePipelines() as running:
        yield running


def prepare(server: FakePipelines, namespace: str = ""):
    service = connecting.connect(server.host, namespace=namespace, patience=HASTY)
    compiled = documents.read(GREETING)
    version = versions.upload(service, compiled)
    request = submission.Request(
        source={"pipeline_version_reference": version.reference()},
        parameters={"n": 3},
        experiment_id=versions.experiment_id(service, "Default"),
        name="a run",
    )
    return service, request


def test_a_submission_starts_a_run_with_its_parameters(server):
    service, request = prepare(server)
    done = submission.submit(service, request, "token-1")
    [run] = server.runs
    assert run["run_id"] == done.run_id
    assert run["runtime_config"] == {"parameters": {"n": 3}}


def test_the_root_that_a_request_names_is_the_run_s(server):
    service, request = prepare(server)
    submission.submit(service, replace(request, pipeline_root="s3://bucket/path"), "token-1")
    [run] = server.runs
    assert run["runtime_config"]["pipeline_root"] == "s3://bucket/path"


def test_the_same_submission_again_finds_its_run(server):
    service, request = prepare(server)
    first = submission.submit(service, request, "token-1")
    second = submission.submit(service, request, "token-1")
    assert (second.run_id, second.found) == (first.run_id, True)
    assert len(server.runs) == 1


def test_a_user_among_several_submits_in_a_namespace_of_theirs():
    with FakePipelines(namespaces={"mine"}) as server:
        service, request = prepare(server, "mine")
        done = submission.submit(service, request, "token-1")
        assert submission.submit(service, request, "token-1").run_id == done.run_id
        assert operations.find_run(service, "latest")["run_id"] == done.run_id


def test_two_submissions_start_two_runs(server):
    service, request = prepare(server)
    submission.submit(service, request, submission.new_token())
    submission.submit(service, request, submission.new_token())
    assert len(server.runs) == 2


@pytest.mark.parametrize("kind", SILENT)
def test_a_run_whose_request_got_no_answer_is_found(server, kind):
    service, request = prepare(server)
    service = dataclasses.replace(service, patience=dataclasses.replace(HASTY, reading=1))
    server.faults.append(Fault(kind, "POST", "/runs"))
    done = submission.submit(service, request, "token-1")
    assert [run["run_id"] for run in server.runs] == [done.run_id]


@pytest.mark.parametrize("kind", WITHOUT_EFFECT)
def test_a_request_that_got_no_answer_is_not_sent_again(server, kind):
    service, request = prepare(server)
    service = dataclasses.replace(service, patience=dataclasses.replace(HASTY, reading=1))
    server.faults.append(Fault(kind, "POST", "/runs"))
    with pytest.raises(UnansweredError, match="--submission token-1") as raised:
        submission.submit(service, request, "token-1")
    assert "a run of this submission is not listed" in str(raised.value)
    assert server.runs == []
    assert submission.submit(service, request, "token-1").found is False
    assert len(server.runs) == 1


def test_of_a_request_that_was_delivered_twice_one_run_stays(server):
    service, request = prepare(server)
    server.faults.append(Fault(FaultKind.REPEAT, "POST", "/runs"))
    done = submission.submit(service, request, "token-1")
    assert [run["run_id"] for run in server.active_runs] == [done.run_id]
    assert len(done.canceled) == 1


def test_a_request_that_arrives_after_all_is_found_by_the_next_attempt(server):
    service, request = prepare(server)
    server.faults.append(Fault(FaultKind.LATE, "POST", "/runs", seconds=0, after=100))
    with pytest.raises(UnansweredError):
        submission.submit(service, request, "token-1")
    server.settle()
    assert submission.submit(service, request, "token-1").found
    assert len(server.runs) == 1


def test_a_token_of_a_run_with_other_parameters_is_refused(server):
    service, request = prepare(server)
    done = submission.submit(service, request, "token-1")
    other = dataclasses.replace(request, parameters={"n": 4})
    with pytest.raises(ParameterError, match=f"run {done.run_id} already, with other parameters"):
        submission.submit(service, other, "token-1")


def test_a_refused_run_is_an_error_with_the_server_s_words(server):
    service, request = prepare(server)
    wrong = dataclasses.replace(request, parameters={"n": "three"})
    with pytest.raises(ServiceError, match="input parameter n requires type double or integer"):
        submission.submit(service, wrong, "token-1")


@st.composite
def faults(draw, kinds):
    kind = draw(st.sampled_from(kinds))
    method, path = draw(st.sampled_from([("POST", "/runs"), ("POST", "/runs"), ("GET", "/runs")]))
    if method == "GET" and kind in (FaultKind.REPEAT, FaultKind.LATE):
        method = "POST"
    status = draw(st.sampled_from([500, 502, 503, 504]))
    after = draw(st.integers(1, 12))
    times = draw(st.integers(1, 3))
    return Fault(kind, method, path, times, status, seconds=0, after=after)


WEATHER = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def shared():
    """A server with a pipeline, for submissions that each have a token of their own."""
    with FakePipelines() as running:
        yield running, *prepare(running)


def submit_under(weather, shared, token):
    """Submit while things go wrong; return the run's id, or the error."""
    server, service, request = shared
    server.faults[:] = weather
    try:
        return submission.submit(service, request, token).run_id
    except ServiceError as error:
        return error
    finally:
        server.faults.clear()


def runs_of(token, runs):
    return [r["run_id"] for r in runs if r["description"] == submission.description(token)]


@WEATHER
@given(st.lists(st.lists(faults([*SILENT, *WITHOUT_EFFECT]), max_size=3), min_size=1, max_size=4))
def test_attempts_under_faults_never_start_two_runs_and_succeed_only_with_one(shared, attempts):
    token = submission.new_token()
    server = shared[0]
    for weather in attempts:
        done = submit_under(weather, shared, token)
        started = runs_of(token, server.runs)
        assert started == [done] or (len(started) <= 1 and isinstance(done, ServiceError))
    assert [submit_under([], shared, token)] == runs_of(token, server.runs)


@WEATHER
@given(st.lists(st.lists(faults(list(FaultKind)[:8]), max_size=3), min_size=1, max_size=4))
def test_after_late_and_repeated_deliveries_one_run_stays(shared, attempts):
    token = submission.new_token()
    server = shared[0]
    for weather in attempts:
        submit_under(weather, shared, token)
    server.settle()
    assert [submit_under([], shared, token)] == runs_of(token, server.active_runs)
