"""Pods: the entrypoint as the launcher starts it, with a real S3 service for the artifacts."""

from __future__ import annotations

import os
import time

import pytest

from penstock import LocalRunner
from penstock.data.files import remote
from penstock.metadata import attempts, turns
from penstock.metadata.runs import find_run
from penstock.metadata.store import connect, connection_config
from penstock.testing import Silent
from penstock_support import pod_components
from penstock_support.kubeflow_backend import BUCKET, Backend, compile_with_store
from penstock_support.store_shapes import shape_of_run


def store_of(path):
    return connect(connection_config(str(path)))


@pytest.fixture(scope="module")
def played(backend, tmp_path_factory):
    """Two runs of one pipeline in pods: the second continues the first one's model."""
    store = tmp_path_factory.mktemp("store") / "metadata.sqlite"
    compiled = compile_with_store(pod_components.small, store)
    first = backend.run(compiled, "run-1", threshold=0.5)
    second = backend.run(compiled, "run-2", threshold=0.5, bonus=1)
    return store, compiled, first, second


def test_a_run_in_pods_leaves_what_a_local_run_leaves(played, tmp_path):
    store, *_ = played
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


def test_artifacts_have_the_addresses_that_the_launcher_uploads_them_to(played):
    store, _, first, _ = played
    with store_of(store) as metadata:
        uri = first["trains"].outputs["model"]["uri"]
        [model] = metadata.store.get_artifacts_by_uri(uri)
        assert uri.startswith(f"minio://{BUCKET}/v2/artifacts/small/run-1/trains/")
        assert model.type == "Model"
        assert remote.read_bytes(f"{uri}/model") == b"3"


def test_a_node_that_would_do_the_same_takes_an_earlier_runs_outputs(played):
    _, _, first, second = played
    assert "Makes  cached" in second["makes"].printed
    own, earlier = second["makes"].outputs["examples"], first["makes"].outputs["examples"]
    assert own["uri"] != earlier["uri"]
    assert own["metadata"]["penstock_artifacts"] == earlier["metadata"]["penstock_artifacts"]
    assert not remote.list_files(own["uri"])


def test_a_pod_that_may_not_look_at_earlier_outputs_says_so(played, backend, tmp_path):
    _, compiled, *_ = played
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    alone = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
    blind = Backend(tmp_path, {**backend.environment, **nobody, **alone})
    ended = blind.run_pod(compiled, "makes", "run-3")
    assert "Makes  done  not from the cache, as cannot list minio://" in ended.printed
    assert "NoCredentialsError" in ended.printed


def test_what_the_launcher_does_not_bring_is_fetched(played):
    store, _, _, second = played
    # The examples of the first run, and the model that the resolver found there.
    model = second["trains"].outputs["model"]["uri"]
    assert remote.read_bytes(f"{model}/model") == b"7"
    with store_of(store) as metadata:
        shape = shape_of_run(metadata.store, "run-2")
        [trains] = shape["Trains"]
        assert [a["type"] for a in trains["inputs"]["base_model"]] == ["Model"]


def test_the_ui_gets_metrics_and_a_page(played):
    _, _, first, _ = played
    metrics = first["makes"].outputs["penstock_metrics"]
    assert metrics["metadata"] == {
        "examples.rate": 0.25,
        "examples.rows": 3.0,
        "examples.span": 7.0,
    }
    page = remote.read_bytes(first["makes"].outputs["penstock_report"]["uri"]).decode()
    assert page.startswith("<!doctype html>")
    assert first["makes"].outputs["examples"]["uri"] in page


def test_a_condition_is_decided_by_the_value_of_an_artifact(played):
    store, _, first, second = played
    assert first["decide-tells"].values == {"holds": "true"}
    assert second["decide-tells"].values == {"holds": "false"}
    with store_of(store) as metadata:
        assert "Tells" in shape_of_run(metadata.store, "run-1")
        assert "Tells" not in shape_of_run(metadata.store, "run-2")


def test_what_a_container_of_its_own_makes_is_recorded_and_used(backend, tmp_path):
    store = tmp_path / "metadata.sqlite"
    compiled = compile_with_store(pod_components.contained, store)
    ended = backend.run(compiled, "run-1")
    assert list(ended) == ["writes", "writes-record", "sizes"]
    uri = ended["writes"].outputs["model"]["uri"]
    with store_of(store) as metadata:
        [model] = metadata.store.get_artifacts_by_uri(uri)
        assert model.custom_properties["content_bytes"].int_value == 2
        shape = shape_of_run(metadata.store, "run-1")
        assert [made["state"] for made in shape["Writes"]] == ["COMPLETE"]
        assert [a["type"] for a in shape["Sizes"][0]["inputs"]["model"]] == ["Model"]
    assert remote.read_bytes(f"{ended['sizes'].outputs['output']['uri']}/value") == b"42"


def test_what_the_launcher_brings_along_is_none_of_an_input(backend, tmp_path):
    compiled = compile_with_store(pod_components.named_alike, tmp_path / "metadata.sqlite")
    ended = backend.run(compiled, "run-1")
    assert remote.read_bytes(f"{ended['lists'].outputs['output']['uri']}/value") == b"model"


@pytest.fixture
def misbehaving(tmp_path, monkeypatch, backend):
    """Starts pods of a node that does as the file `manner` says, in a folder with its store."""
    monkeypatch.setenv("CANARY", "hush-hush-canary")
    store = tmp_path / "metadata.sqlite"
    compiled = compile_with_store(pod_components.misbehaving, store)

    def start():
        (tmp_path / "begun").unlink(missing_ok=True)
        return backend.start_pod(compiled, "misbehaves", "run-1", folder=str(tmp_path))

    return start, tmp_path


def begun(folder):
    deadline = time.monotonic() + 60
    while not (folder / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def states(folder, run_id="run-1"):
    with store_of(folder / "metadata.sqlite") as metadata:
        run = find_run(metadata.store, run_id)
        return [(node.state, node.error) for node in run.nodes]


def test_a_failure_is_told_with_the_users_lines_and_without_secrets(misbehaving):
    start, folder = misbehaving
    (folder / "manner").write_text("fail")
    ended = start().end()
    assert ended.code == 1
    message = "ValueError: no luck with ${env:CANARY}"
    assert ended.printed.startswith("it begins with ${env:CANARY}\n")
    assert ended.printed.index(f"error: {message}") < ended.printed.index("The whole traceback:")
    assert f"Misbehaves  failed  {message}" in ended.printed
    assert "raise ValueError" in ended.printed.rpartition("Misbehaves  failed")[2]
    assert "hush-hush-canary" not in ended.printed
    [(state, error)] = states(folder)
    assert state == "failed"
    assert error.startswith(message)


def test_a_pod_that_is_asked_to_end_cancels_its_node_and_leaves_nothing(misbehaving):
    start, folder = misbehaving
    (folder / "manner").write_text("wait")
    pod = start()
    begun(folder)
    pod.terminate()
    assert pod.end().code == 143
    [artifact] = pod.given["outputs"]["artifacts"]["model"]["artifacts"]
    assert not os.path.exists(artifact["customPath"])
    assert [state for state, _ in states(folder)] == ["canceled"]


def test_a_pod_that_is_taken_away_is_marked_abandoned_when_its_task_is_tried_again(misbehaving):
    start, folder = misbehaving
    (folder / "manner").write_text("wait")
    pod = start()
    begun(folder)
    pod.kill()
    pod.end()
    assert [state for state, _ in states(folder)] == ["running"]
    (folder / "manner").write_text("work")
    again = start().end()
    assert again.code == 0, again.printed
    (before, error), (after, _) = states(folder)
    assert (before, after) == ("failed", "done")
    assert "ended without saying so" in error
    with store_of(folder / "metadata.sqlite") as metadata:
        made = attempts.attempts(metadata.store, "run-1", "Misbehaves")
        assert [attempt.state for attempt in made] == [turns.ABANDONED, "done"]
