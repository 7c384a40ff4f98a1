"""Runs on the server: their states, waiting, canceling, and what their nodes print."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.runners.kubeflow.contract import documents
from penstock.runners.kubeflow.server import connecting, operations, submission, versions
from penstock.testing.kubeflow import FakePipelines, Fault, FaultKind, Play
from penstock_support.kubeflow_service import HASTY
from penstock_support.kubeflow_specs import GREETING

GOLDEN = Path(__file__).parents[3] / "golden"


@pytest.fixture(params=[False, True], ids=["details", "tasks"])
def server(request):
    """A server of each of the two kinds: up to 2.17, and without ML Metadata."""
    with FakePipelines(has_tasks=request.param) as running:
        yield running


@pytest.fixture
def service(server):
    return connecting.connect(server.host, patience=HASTY)


def start(service, **parameters):
    version = versions.upload(service, documents.read(GREETING))
    request = submission.Request(
        {"pipeline_version_reference": version.reference()},
        {"n": 1, **parameters},
        versions.experiment_id(service, "Default"),
        "greeting",
    )
    return submission.submit(service, request, submission.new_token()).run_id


def states(status):
    return {node.name: node.state for node in status.nodes}


def test_waiting_tells_of_each_change_until_the_end(service):
    told = []
    run_id = start(service)
    status = operations.wait(service, run_id, lambda s: told.append(states(s)))
    assert status.succeeded
    assert told == [
        {"First": "RUNNING", "Second": "PENDING"},
        {"First": "SUCCEEDED", "Second": "RUNNING"},
        {"First": "SUCCEEDED", "Second": "SUCCEEDED"},
    ]


def test_nodes_after_one_that_failed_were_skipped(server, service):
    server.set_play(Play(fails="first"))
    status = operations.wait(service, start(service))
    assert (status.state, states(status)) == ("FAILED", {"First": "FAILED", "Second": "SKIPPED"})
    assert status.final
    assert not status.succeeded


def test_waiting_ends_for_a_run_that_somebody_else_cancels(server, service):
    server.set_play(Play(hold=True))
    run_id = start(service)

    def cancel_elsewhere(status):
        if states(status)["Second"] == "RUNNING":
            server.state.terminate_run(run_id)

    assert operations.wait(service, run_id, cancel_elsewhere).state == "CANCELED"


def test_waiting_outlives_a_server_that_is_away_for_a_while(server, service):
    run_id = start(service)
    server.faults.append(Fault(FaultKind.DROP_BEFORE, "GET", run_id, times=2))
    assert operations.wait(service, run_id).succeeded


def test_a_paused_run_is_not_over(server, service):
    run_id = start(service)
    operations.read_status(service, run_id)
    server.set_state(run_id, "PAUSED")
    assert operations.read_status(service, run_id).final is False


def test_a_canceled_run_is_waited_for(server, service):
    server.set_play(Play(hold=True))
    run_id = start(service)
    status, by_this = operations.cancel(service, run_id)
    assert (status.state, by_this) == ("CANCELED", True)


def test_nodes_of_a_canceled_run_were_canceled_and_those_after_them_skipped(server, service):
    run_id = start(service)
    status, _ = operations.cancel(service, run_id)
    assert states(status) == {"First": "CANCELED", "Second": "SKIPPED"}
    assert operations.read_status(service, run_id).state == "CANCELED"


def test_a_node_that_works_has_worked_since_it_began(server, service):
    server.set_play(Play(hold=True))
    first = operations.read_status(service, start(service)).nodes[0]
    assert first.state == "RUNNING"
    assert 0 <= first.seconds < 60


def test_a_node_that_waits_has_not_worked(service):
    second = operations.read_status(service, start(service)).nodes[1]
    assert (second.state, second.seconds) == ("PENDING", None)


def test_canceling_what_is_over_changes_nothing(service):
    run_id = start(service)
    operations.wait(service, run_id)
    status, by_this = operations.cancel(service, run_id)
    assert (status.state, by_this) == ("SUCCEEDED", False)


def test_a_run_that_ends_by_itself_meanwhile_is_not_an_error(server, service):
    run_id = start(service)
    server.set_state(run_id, "SUCCEEDED")
    operations.terminate(service, run_id)
    assert operations.read_status(service, run_id).state == "SUCCEEDED"


@pytest.mark.parametrize("kind", [FaultKind.DROP_AFTER, FaultKind.STATUS_AFTER, FaultKind.REPEAT])
def test_canceling_is_asked_for_again_where_there_was_no_answer(server, service, kind):
    server.set_play(Play(hold=True))
    run_id = start(service)
    server.faults.append(Fault(kind, "POST", ":terminate"))
    assert operations.cancel(service, run_id)[0].state == "CANCELED"


def test_latest_is_the_newest_run(service):
    start(service)
    newest = start(service)
    assert operations.read_status(service, "latest").run_id == newest


def test_the_page_of_a_run_is_where_people_look(server):
    service = connecting.connect(server.host, pages="https://kubeflow.example/pipeline/")
    assert service.page_of("runs", "r1") == "https://kubeflow.example/pipeline/#/runs/details/r1"


def test_a_node_from_kubeflow_s_cache_is_shown_as_cached_and_without_seconds(server, service):
    server.set_play(Play(cached=frozenset({"first"})))
    status = operations.wait(service, start(service))
    assert states(status) == {"First": "CACHED", "Second": "SUCCEEDED"}
    assert status.nodes[0].seconds is None
    assert not status.all_cached


def test_a_run_that_is_cached_to_its_end_is_known_as_such(server, service):
    server.set_play(Play(cached=frozenset({"first", "second"})))
    assert operations.wait(service, start(service)).all_cached


@pytest.mark.parametrize("name", ["penguins", "flights", "taxi"])
def test_what_we_compile_is_what_the_server_takes_and_runs(service, name):
    compiled = documents.read((GOLDEN / f"{name}.yaml").read_text())
    version = versions.upload(service, compiled)
    assert version.name == compiled.fingerprint
    request = submission.Request(
        {"pipeline_version_reference": version.reference()},
        {},
        versions.experiment_id(service, "Default"),
        name,
    )
    run_id = submission.submit(service, request, submission.new_token()).run_id
    status = operations.wait(service, run_id)
    assert status.succeeded
    assert {"Trainer", "Evaluator", "Pusher"} <= {node.name for node in status.nodes}
