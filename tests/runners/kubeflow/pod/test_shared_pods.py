"""Nodes that share a pod: what they leave is what they would have left in pods of their own."""

from __future__ import annotations

import pytest

from penstock import LocalRunner
from penstock.data.files import remote
from penstock.metadata import attempts
from penstock.metadata.runs import find_run
from penstock.metadata.store import connect, connection_config
from penstock.runners.kubeflow.contract import documents, parts
from penstock.testing import Silent
from penstock_support import pod_components
from penstock_support.kubeflow_backend import Backend, compile_with_store
from penstock_support.store_shapes import shape_of_run

FOUR = ("Makes", "Misbehaves", "Other", "Sizes")


def shared(pipeline, store, *small):
    return compile_with_store(pipeline, store, share_pods=True, small_nodes=small)


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    """What a node's parameter refers to."""
    monkeypatch.setenv("CANARY", "hush-hush")


def store_of(path):
    return connect(connection_config(str(path)))


def states(path, run_id="run-1"):
    with store_of(path) as metadata:
        return {node.node_id: node.state for node in find_run(metadata.store, run_id).nodes}


@pytest.fixture(scope="module")
def played(backend, tmp_path_factory):
    """Two runs of one pipeline, three nodes of which share a pod, one of them a resolver."""
    store = tmp_path_factory.mktemp("store") / "metadata.sqlite"
    compiled = shared(pod_components.small, store, "Makes", "Trains")
    first = backend.run(compiled, "run-1", threshold=0.5)
    second = backend.run(compiled, "run-2", threshold=0.5, bonus=1)
    return store, compiled, first, second


def pod_of(compiled):
    [name] = [name for name in compiled.tasks if "makes" in name and "trains" in name]
    return name


def test_a_run_whose_nodes_share_a_pod_leaves_what_a_local_run_leaves(played, tmp_path):
    store, compiled, *_ = played
    assert len(compiled.tasks) == 3
    runner = LocalRunner(
        pipeline_root=str(tmp_path / "root"),
        metadata=str(tmp_path / "metadata.sqlite"),
        display=Silent(),
    )
    result = runner.run(pod_components.small, parameters={"threshold": 0.5})
    with store_of(store) as metadata, store_of(tmp_path / "metadata.sqlite") as local:
        in_pods = shape_of_run(metadata.store, "run-1")
        assert in_pods == shape_of_run(local.store, result.run_id)
        assert len(in_pods) == 4
        assert find_run(metadata.store, "run-1").parameters == result.parameters


def test_what_leaves_a_shared_pod_is_an_output_of_its_task(played):
    _, compiled, first, _ = played
    made = first[pod_of(compiled)].outputs
    assert remote.read_bytes(f"{made['trains--model']['uri']}/model") == b"3"
    assert {"makes--examples", "makes--penstock_report", "trains--output"} <= set(made)
    assert first["decide-tells"].values == {"holds": "true"}


def test_each_node_of_a_shared_pod_asks_the_cache_for_itself(played):
    store, compiled, first, second = played
    printed = second[pod_of(compiled)].printed
    assert "Makes  cached" in printed
    assert "Trains  done" in printed
    own = second[pod_of(compiled)].outputs
    earlier = first[pod_of(compiled)].outputs["makes--examples"]["metadata"]
    assert own["makes--examples"]["metadata"]["penstock_artifacts"] == earlier["penstock_artifacts"]
    # The examples of the first run, and the model that the resolver beside them has found.
    assert remote.read_bytes(f"{own['trains--model']['uri']}/model") == b"7"
    with store_of(store) as metadata:
        [trains] = shape_of_run(metadata.store, "run-2")["Trains"]
        assert [a["type"] for a in trains["inputs"]["base_model"]] == ["Model"]


def test_the_log_has_a_section_for_each_node(played):
    _, compiled, first, _ = played
    name = pod_of(compiled)
    [task] = [task for task in documents.tasks(compiled.spec) if task.key == name]
    nodes = task.nodes
    assert task.title == " + ".join(nodes)
    assert len(nodes) == 3
    assert parts.section(first[name].printed, nodes, "Makes") == "Makes  done\n"


@pytest.fixture
def broken(backend, tmp_path):
    """A pod of four nodes, of which the second fails: its store, the pipeline, how it ended."""
    (tmp_path / "manner").write_text("fail")
    store = tmp_path / "metadata.sqlite"
    compiled = shared(pod_components.one_after_another(), store, *FOUR[1:])
    [name] = compiled.tasks
    return store, compiled, backend.run_pod(compiled, name, "run-1", folder=str(tmp_path))


def test_a_node_that_fails_stops_those_alone_that_wait_for_it(broken):
    store, _, ended = broken
    assert ended.code == 1
    assert "Sizes  not run: Misbehaves did not succeed" in ended.printed
    assert "the pod failed: Misbehaves, Sizes" in ended.printed
    assert states(store) == {"Makes": "done", "Misbehaves": "failed", "Other": "done"}


def test_what_was_made_beside_a_node_that_failed_is_there_and_is_taken_from_the_cache(
    broken, backend, tmp_path
):
    store, compiled, _ = broken
    with store_of(store) as metadata:
        [examples] = metadata.store.get_artifacts_by_type("Examples")
    assert remote.read_bytes(f"{examples.uri}/Split-train/data") == b"xxx"
    assert [f.name for f in remote.list_files(f"{examples.uri}/Split-eval")] == [".empty_folder"]
    (tmp_path / "manner").write_text("work")
    [name] = compiled.tasks
    ended = backend.run_pod(compiled, name, "run-2", folder=str(tmp_path))
    assert ended.code == 1  # a model that says "made" has no size
    assert states(store, "run-2") == {
        "Makes": "cached",
        "Misbehaves": "done",
        "Other": "cached",
        "Sizes": "failed",
    }


def test_a_node_is_tried_again_without_those_before_it(backend, tmp_path):
    store = tmp_path / "metadata.sqlite"
    compiled = shared(pod_components.trying_in_between, store, "FailsAtFirst", "Counts")
    [name] = compiled.tasks
    ended = backend.run_pod(compiled, name, "run-1", folder=str(tmp_path))
    assert ended.code == 0, ended.printed
    with store_of(store) as metadata:
        tried = {
            node: [a.state for a in attempts.attempts(metadata.store, "run-1", node)]
            for node in ("Makes", "FailsAtFirst", "Counts")
        }
    assert tried == {
        "Makes": ["done"],
        "FailsAtFirst": ["failed", "failed", "done"],
        "Counts": ["done"],
    }


def test_a_node_that_takes_too_long_is_stopped_and_the_next_begins(backend, tmp_path):
    (tmp_path / "manner").write_text("wait")
    store = tmp_path / "metadata.sqlite"
    pipeline = pod_components.one_after_another(timeout_seconds=1)
    compiled = shared(pipeline, store, *FOUR[1:])
    [name] = compiled.tasks
    ended = backend.run_pod(compiled, name, "run-1", folder=str(tmp_path))
    assert ended.code == 1
    assert "it took longer than its timeout of 1 s" in ended.printed
    assert states(store) == {"Makes": "done", "Misbehaves": "failed", "Other": "done"}


@pytest.fixture
def waiting(backend, tmp_path):
    """A pod of four nodes, of which the second is at work."""
    (tmp_path / "manner").write_text("wait")
    store = tmp_path / "metadata.sqlite"
    compiled = shared(pod_components.one_after_another(), store, *FOUR[1:])
    [name] = compiled.tasks
    pod = backend.start_pod(compiled, name, "run-1", folder=str(tmp_path))
    while not any("it begins with" in line for line in list(pod.printed)):
        assert pod.process.poll() is None, pod.printed
        pod.reader.join(0.05)
    return store, compiled, pod


def test_a_pod_that_is_asked_to_end_begins_no_other_node(waiting):
    store, _, pod = waiting
    pod.terminate()
    assert pod.end().code == 143
    assert states(store) == {"Makes": "done", "Misbehaves": "canceled"}


def test_a_pod_in_the_place_of_a_lost_one_takes_what_that_had_made(waiting, backend, tmp_path):
    _, compiled, pod = waiting
    pod.kill()
    pod.end()
    (tmp_path / "manner").write_text("fail")
    [name] = compiled.tasks
    ended = backend.run_pod(compiled, name, "run-1", folder=str(tmp_path))
    assert "Makes  cached" in ended.printed
    assert "Other  done" in ended.printed


def test_a_node_whose_outputs_cannot_be_brought_away_fails_and_says_what_to_do(backend, tmp_path):
    (tmp_path / "manner").write_text("work")
    store = tmp_path / "metadata.sqlite"
    compiled = shared(pod_components.one_after_another(), store, *FOUR[1:])
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": str(tmp_path)}
    alone = {**backend.environment, **nobody, "AWS_EC2_METADATA_DISABLED": "true"}
    [name] = compiled.tasks
    ended = Backend(tmp_path / "pods", alone).run_pod(compiled, name, "run-1", folder=str(tmp_path))
    assert ended.code == 1
    assert "with the right to write, or leave share_pods out" in ended.printed
    assert states(store)["Makes"] == "failed"
