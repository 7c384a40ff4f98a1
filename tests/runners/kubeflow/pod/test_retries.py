"""A pod tries its node again by itself, and each try is an attempt in the store."""

from __future__ import annotations

import time

import pytest

from penstock import Retries
from penstock.metadata import attempts
from penstock.metadata.runs import find_run
from penstock.metadata.store import connect, connection_config
from penstock_support import IMPORT_PATH, pod_components
from penstock_support.kubeflow_backend import Backend, compile_with_store


@pytest.fixture
def pods(tmp_path):
    """Start pods of one node with options, in a folder with their store."""

    def start(make_pipeline, task, **options):
        compiled = compile_with_store(make_pipeline(**options), tmp_path / "metadata.sqlite")
        backend = Backend(tmp_path / "pods", {"PYTHONPATH": IMPORT_PATH, "CANARY": "hush-hush"})
        return backend.start_pod(compiled, task, "run-1", folder=str(tmp_path))

    return start


def made(folder, node):
    """Return the states of attempts, and the states and errors of executions."""
    with connect(connection_config(str(folder / "metadata.sqlite"))) as metadata:
        tried = [a.state for a in attempts.attempts(metadata.store, "run-1", node)]
        run = find_run(metadata.store, "run-1")
        return tried, [(node.state, node.error.partition("\n")[0]) for node in run.nodes]


def test_a_node_that_fails_is_tried_again_in_its_pod(pods, tmp_path):
    retries = Retries(2, pause_seconds=0.1)
    ended = pods(pod_components.failing_at_first, "failsatfirst", retries=retries).end(upload=False)
    assert ended.code == 0, ended.printed
    assert "retry 1 of 2 in 0.1 s" in ended.printed
    assert "retry 2 of 2 in 0.2 s" in ended.printed
    tried, executions = made(tmp_path, "FailsAtFirst")
    assert tried == ["failed", "failed", "done"]
    assert [state for state, _ in executions] == ["failed", "failed", "done"]


def test_a_node_that_fails_once_more_than_that_has_failed(pods, tmp_path):
    ended = pods(pod_components.failing_at_first, "failsatfirst", retries=1).end()
    assert ended.code == 1
    assert made(tmp_path, "FailsAtFirst")[0] == ["failed", "failed"]


def test_a_lack_of_memory_can_be_left_alone_where_errors_are_tried_again(pods, tmp_path):
    (tmp_path / "manner").write_text("die")
    retries = Retries(3, after=("error",))
    ended = pods(pod_components.misbehaving_with, "misbehaves", retries=retries).end()
    assert ended.code == 1
    tried, [(state, error)] = made(tmp_path, "Misbehaves")
    assert tried == [state] == ["failed"]
    assert "its process was killed by SIGKILL" in error


def test_a_try_that_takes_too_long_is_stopped_and_told_of_and_the_next_begins(pods, tmp_path):
    (tmp_path / "manner").write_text("wait")
    options = {"retries": 1, "timeout_seconds": 1}
    ended = pods(pod_components.misbehaving_with, "misbehaves", **options).end()
    assert ended.code == 1
    tried, executions = made(tmp_path, "Misbehaves")
    assert tried == ["failed", "failed"]
    assert executions == [("failed", "it took longer than its timeout of 1 s")] * 2


def test_a_pod_that_is_asked_to_end_while_it_pauses_tries_no_more(pods, tmp_path):
    (tmp_path / "manner").write_text("fail")
    retries = Retries(1, pause_seconds=300)
    pod = pods(pod_components.misbehaving_with, "misbehaves", retries=retries)
    deadline = time.monotonic() + 60
    while "retry 1 of 1" not in "".join(pod.printed):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    pod.terminate()
    assert pod.end().code == 143
    assert made(tmp_path, "Misbehaves")[0] == ["failed"]
