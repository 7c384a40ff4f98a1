"""What is started under one token is one run, whoever dies, and wherever it runs."""

from __future__ import annotations

import multiprocessing
import os
import signal

import pytest

from penstock.errors import BusyError, ConfigError, ParameterError, PenstockError, RunError
from penstock.metadata import attempts, turns
from penstock.metadata.attempts import Attempt
from penstock.metadata.runs import list_runs
from penstock.metadata.store import connect, connection_config
from penstock.operations.starting import Request, RunState, starter_of
from penstock.testing import FakeStarter
from penstock.testing.kubeflow import FakePipelines, Fault, FaultKind, Play
from penstock_support import started_project
from penstock_support.processes import wait_until

REQUEST = Request("training", parameters={"span": "7"})


@pytest.fixture
def config(tmp_path):
    return started_project.write(tmp_path)


@pytest.fixture
def starter(config):
    return starter_of(config)


@pytest.fixture
def waiting(tmp_path):
    path = tmp_path / "waiting"
    path.touch()
    yield path
    path.unlink(missing_ok=True)


def store_of(config):
    return connect(connection_config(config.profile().metadata_address()))


def state(starter, token, request=REQUEST):
    there = starter.read(request, token)
    return there.state if there else None


def ended(starter, token, request=REQUEST):
    wait_until(lambda: state(starter, token, request).final)
    return starter.read(request, token)


def process_of(config, token):
    with store_of(config) as metadata:
        return turns.latest(metadata.store, Attempt, token).holder.process_id


def test_a_run_has_its_token_as_its_name_and_ends(starter, config):
    assert starter.read(REQUEST, "span-7") is None
    started = starter.start(REQUEST, "span-7")
    assert (started.run_id, started.where) == ("span-7", "local")
    assert ended(starter, "span-7").state is RunState.SUCCEEDED
    with store_of(config) as metadata:
        [run] = list_runs(metadata.store)
    assert (run.run_id, run.parameters["span"]) == ("span-7", 7)


def test_one_token_is_one_run(starter, tmp_path):
    starter.start(REQUEST, "span-7")
    ended(starter, "span-7")
    assert starter.start(REQUEST, "span-7").state is RunState.SUCCEEDED
    assert started_project.counts(tmp_path) == ["7"]


def _start(config, results):
    results.put(starter_of(config).start(REQUEST, "span-7").run_id)


def test_of_those_who_start_it_at_once_one_does(config, starter, tmp_path):
    forking = multiprocessing.get_context("fork")
    results = forking.SimpleQueue()
    children = [forking.Process(target=_start, args=(config, results)) for _ in range(3)]
    for child in children:
        child.start()
    assert [results.get() for _ in children] == ["span-7"] * 3
    for child in children:
        child.join()
    ended(starter, "span-7")
    assert started_project.counts(tmp_path) == ["7"]


def test_a_run_goes_on_where_its_process_has_died(starter, config, tmp_path, waiting):
    starter.start(REQUEST, "span-7")
    wait_until(lambda: started_project.counts(tmp_path))
    os.kill(process_of(config, "span-7"), signal.SIGKILL)
    wait_until(lambda: state(starter, "span-7") is RunState.LOST)
    waiting.unlink()
    assert starter.start(REQUEST, "span-7").tries == 2
    assert ended(starter, "span-7").state is RunState.SUCCEEDED
    with store_of(config) as metadata:
        assert [run.run_id for run in list_runs(metadata.store)] == ["span-7"]


def test_a_process_that_died_before_the_run_was_recorded_is_made_up_for(starter, config):
    with store_of(config) as metadata:
        attempt = attempts.begin(metadata.store, "span-7")
        turns.end(metadata.store, attempt, turns.ABANDONED)
    assert state(starter, "span-7") is RunState.LOST
    starter.start(REQUEST, "span-7")
    assert ended(starter, "span-7").state is RunState.SUCCEEDED


def limited(tmp_path, when_reached):
    return started_project.write(
        tmp_path,
        f'[profiles.here.limits.training]\nruns_at_once = 1\nwhen_reached = "{when_reached}"\n',
    )


def test_a_run_that_has_to_wait_for_another_one_is_started_when_it_is_asked_for_again(
    tmp_path, waiting
):
    starter = starter_of(limited(tmp_path, "wait"))
    starter.start(REQUEST, "span-7")
    with pytest.raises(BusyError, match="run span-7 is under way, and 1 of training") as told:
        starter.start(REQUEST, "span-8")
    assert told.value.transient
    assert starter.read(REQUEST, "span-8") is None
    waiting.unlink()
    ended(starter, "span-7")
    starter.start(REQUEST, "span-8")
    assert ended(starter, "span-8").state is RunState.SUCCEEDED


def test_a_run_that_is_not_to_wait_for_another_one_is_refused(tmp_path, waiting):
    starter = starter_of(limited(tmp_path, "refuse"))
    starter.start(REQUEST, "span-7")
    with pytest.raises(RunError, match="run span-7 is under way, and 1 of training"):
        starter.start(REQUEST, "span-8")


def test_a_run_that_fails_says_where_and_why(starter, tmp_path):
    (tmp_path / "broken").touch()
    starter.start(REQUEST, "span-7")
    failed = ended(starter, "span-7")
    assert failed.state is RunState.FAILED
    assert failed.error.startswith("Trains: ")
    assert "it is broken" in failed.error


def test_a_failed_run_is_not_started_again(starter, tmp_path):
    (tmp_path / "broken").touch()
    starter.start(REQUEST, "span-7")
    ended(starter, "span-7")
    assert starter.start(REQUEST, "span-7").state is RunState.FAILED
    assert started_project.counts(tmp_path) == ["7"]


def test_a_run_is_canceled(starter, tmp_path, waiting):
    starter.start(REQUEST, "span-7")
    wait_until(lambda: started_project.counts(tmp_path))
    starter.cancel(REQUEST, "span-7")
    assert ended(starter, "span-7").state is RunState.CANCELED


def test_what_is_over_is_not_canceled(starter):
    starter.start(REQUEST, "span-7")
    ended(starter, "span-7")
    starter.cancel(REQUEST, "span-7")
    assert state(starter, "span-7") is RunState.SUCCEEDED


@pytest.mark.parametrize(
    ("request_", "error", "text"),
    [
        (Request("gone"), PenstockError, "nowhere.py"),
        (
            Request("training", parameters={"spam": 1}),
            ParameterError,
            "no parameter 'spam'.*'span'",
        ),
        (Request("training", parameters={"span": "x"}), ParameterError, "expected int, got 'x'"),
        (
            Request("training", profile="hear"),
            ConfigError,
            "no profile 'hear'.*Did you mean 'here'",
        ),
    ],
)
def test_what_cannot_be_started_says_why(starter, request_, error, text):
    with pytest.raises(error, match=text):
        starter.start(request_, "span-7")


@pytest.mark.parametrize("token", ["", "abc", "Span-7", "a/b/c/d", "x" * 81])
def test_a_token_is_a_name_in_small_letters(starter, token):
    with pytest.raises(ParameterError, match="expected a run's token of 4 to 80 small letters"):
        starter.start(REQUEST, token)


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (Request("other", parameters={"span": 7}), "as one of training, not of other"),
        (Request("training", parameters={"span": 8}), "as one with span=7, not 8"),
    ],
)
def test_a_token_stands_for_one_request(starter, other, text):
    starter.start(REQUEST, "span-7")
    ended(starter, "span-7")
    with pytest.raises(ParameterError, match=f"run span-7 has been started already, {text}"):
        starter.start(other, "span-7")


def test_a_run_under_way_elsewhere_cannot_be_canceled_from_here(starter, config, monkeypatch):
    with store_of(config) as metadata:
        attempts.begin(metadata.store, "span-7")
    monkeypatch.setattr("penstock.metadata.holders._this_machine", lambda: "another")
    with pytest.raises(RunError, match=r"can only be ended there\. Ask that process: kill -INT"):
        starter.cancel(REQUEST, "span-7")


@pytest.fixture
def server():
    with FakePipelines(play=Play(hold=True)) as running:
        yield running


@pytest.fixture
def on_kubeflow(tmp_path, server):
    cluster = (
        f'[profiles.cluster]\npipeline_root = "s3://bucket/root"\nmetadata = "grpc://store:8080"\n'
        f'[profiles.cluster.kubeflow]\nhost = "{server.host}"\nimage = "registry.example/x:1"\n'
        'experiment = "tests"\n'
    )
    return starter_of(started_project.write(tmp_path, cluster))


CLUSTER = Request("training", "cluster", {"span": "7", "folder": "x"}, name="training of span 7")


def test_a_profile_with_kubeflow_runs_there(on_kubeflow, server):
    assert on_kubeflow.read(CLUSTER, "span-7") is None
    started = on_kubeflow.start(CLUSTER, "span-7")
    [run] = server.runs
    assert (started.run_id, started.where) == (run["run_id"], "kubeflow")
    assert run["runtime_config"]["parameters"] == {"span": 7, "folder": "x"}
    assert run["display_name"] == "training of span 7"
    assert on_kubeflow.read(CLUSTER, "span-7").state is RunState.RUNNING


def test_one_token_is_one_run_there_also_when_the_code_has_changed(on_kubeflow, server, tmp_path):
    on_kubeflow.start(CLUSTER, "span-7")
    code = (tmp_path / "training.py").read_text()
    (tmp_path / "training.py").write_text(code.replace("return span", "return span + 1"))
    on_kubeflow.start(CLUSTER, "span-7")
    assert len(server.runs) == 1


def test_a_request_without_an_answer_is_found_there(on_kubeflow, server):
    server.faults.append(Fault(FaultKind.DROP_AFTER, "POST", "/runs"))
    on_kubeflow.start(CLUSTER, "span-7")
    assert len(server.active_runs) == 1


def test_a_server_that_refuses_is_quoted(on_kubeflow, server):
    server.faults.append(Fault(FaultKind.STATUS_BEFORE, "POST", "/experiments", status=403))
    with pytest.raises(PenstockError, match="create the experiment tests"):
        on_kubeflow.start(CLUSTER, "span-7")


def test_a_run_there_is_canceled(on_kubeflow, server):
    on_kubeflow.start(CLUSTER, "span-7")
    on_kubeflow.cancel(CLUSTER, "span-7")
    assert ended(on_kubeflow, "span-7", CLUSTER).state is RunState.CANCELED


def test_the_double_starts_a_token_once(tmp_path):
    fake = FakeStarter(tmp_path)
    fake.start(REQUEST, "span-7")
    fake.start(REQUEST, "span-7")
    assert (fake.asked, fake.started) == (["span-7", "span-7"], ["span-7"])


def test_the_double_refuses_a_token_for_something_else(tmp_path):
    fake = FakeStarter(tmp_path)
    fake.start(REQUEST, "span-7")
    with pytest.raises(ParameterError, match="run span-7 has been started already"):
        fake.start(Request("other"), "span-7")


def test_the_double_goes_on_with_what_was_lost(tmp_path):
    fake = FakeStarter(tmp_path)
    fake.start(REQUEST, "span-7")
    fake.end("span-7", RunState.LOST)
    assert fake.start(REQUEST, "span-7").tries == 2
