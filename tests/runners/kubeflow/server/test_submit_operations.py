"""Runs on the server: their states, waiting, canceling, and what their nodes print."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import RunError
from penstock.runners.kubeflow.contract import documents
from penstock.runners.kubeflow.server import connecting, logs, operations, submission, versions
from penstock.testing.kubeflow import FakePipelines, Fault, FaultKind, Play
from penstock_support.kubeflow_service import HASTY
from penstock_support.kubeflow_specs import GREETING

GOLDEN = Path(__file__).parents[3] / "golden"


@pytest.fixture
def server():
    with FakePipelines() as running:
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


def test_a_node_s_log_is_read_by_the_name_of_its_pod(server, service):
    server.set_play(Play(messages={"second": "hello, you\n"}))
    run_id = start(service)
    operations.wait(service, run_id)
    run = operations.find_run(service, run_id)
    assert logs.read_log(service, run, "Second") == "hello, you\n"
    assert logs.read_log(service, run, "second") == "hello, you\n"


def test_following_shows_what_is_new_until_the_node_is_over(server, service):
    run_id = start(service)
    shown = []
    for text in logs.follow(service, run_id, "Second"):
        shown.append(text)
        if len(shown) == 1:
            server.state.playing[run_id].logs["second"] += "and more\n"
    assert "".join(shown) == "second says hello\nand more\n"


def test_a_log_that_is_gone_is_told_with_another_way_to_it(server, service):
    run_id = start(service)
    operations.wait(service, run_id)
    server.state.playing[run_id].logs.clear()
    with pytest.raises(RunError, match="its pod is gone") as raised:
        logs.read_log(service, operations.find_run(service, run_id), "First")
    assert "kubectl logs -n kubeflow greeting-" in str(raised.value)


def test_a_node_that_has_not_run_has_no_log(service):
    run_id = start(service)
    run = operations.find_run(service, run_id)
    with pytest.raises(RunError, match="Second of run .* has no log: it has not run"):
        logs.read_log(service, run, "Second")


def test_a_node_of_another_name_is_answered_with_the_nearest(service):
    run = operations.find_run(service, start(service))
    with pytest.raises(RunError, match="has no node 'Secnd'. Did you mean 'Second'?"):
        logs.read_log(service, run, "Secnd")


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
    last = operations.find_run(service, run_id)
    assert logs.read_log(service, last, "Trainer") == "trainer says hello\n"
