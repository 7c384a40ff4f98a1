"""Pods: the entrypoint as the launcher starts it, with a real S3 service for the artifacts."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pod_components
import pytest
from kubeflow_backend import BUCKET, Backend, run_all, s3_service, tasks_of, with_shown
from store_shapes import shape_of_run

from penstock import LocalRunner, ir
from penstock.data import remote
from penstock.metadata import attempts
from penstock.metadata.runs import find_run
from penstock.metadata.store import connect, connection_config
from penstock.runners.kubeflow.launcher import read_executor_input
from penstock.runners.kubeflow.pod import run_task
from penstock.runners.kubeflow.task import DECIDE, RUN_ID_VARIABLE, PodTask
from penstock.testing import Silent


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    """A backend whose pods find the components of tests/support, and S3 for this process too."""
    with s3_service() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        support = str(Path(pod_components.__file__).parent)
        yield Backend(tmp_path_factory.mktemp("pods"), {**environment, "PYTHONPATH": support})


def compiled(pipeline):
    return ir.compile_pipeline(pipeline, pipeline_root="unused")


def store_of(path):
    return connect(connection_config(str(path)))


@pytest.fixture(scope="module")
def played(backend, tmp_path_factory):
    """Two runs of one pipeline in pods: the second continues the first one's model."""
    store = tmp_path_factory.mktemp("store") / "metadata.sqlite"
    tasks = tasks_of(compiled(pod_components.small), str(store))
    tasks["Makes"] = with_shown(tasks["Makes"])
    given = {"rows": 3, "bonus": 0, "threshold": 0.5}
    first = run_all(backend, tasks, "run-1", given)
    again = {name: task for name, task in tasks.items() if name != "Tells"}
    second = run_all(backend, again, "run-2", {**given, "bonus": 1})
    return store, tasks, first, second


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
        uri = first["Trains"].outputs["model"]["uri"]
        [model] = metadata.store.get_artifacts_by_uri(uri)
        assert uri.startswith(f"minio://{BUCKET}/v2/artifacts/small/run-1/trains/")
        assert model.type == "Model"
        assert remote.read_bytes(f"{uri}/model") == b"3"


def test_a_node_that_would_do_the_same_takes_an_earlier_runs_outputs(played):
    _, _, first, second = played
    assert "Makes  cached" in second["Makes"].printed
    own, earlier = second["Makes"].outputs["examples"], first["Makes"].outputs["examples"]
    assert own["uri"] != earlier["uri"]
    assert own["metadata"]["penstock_artifacts"] == earlier["metadata"]["penstock_artifacts"]
    assert not remote.list_files(own["uri"])


def test_what_the_launcher_does_not_bring_is_fetched(played):
    store, _, _, second = played
    # The examples of the first run, and the model that the resolver found there.
    model = second["Trains"].outputs["model"]["uri"]
    assert remote.read_bytes(f"{model}/model") == b"7"
    with store_of(store) as metadata:
        shape = shape_of_run(metadata.store, "run-2")
        [trains] = shape["Trains"]
        assert [a["type"] for a in trains["inputs"]["base_model"]] == ["Model"]


def test_the_ui_gets_metrics_and_a_page(played):
    _, _, first, _ = played
    metrics = first["Makes"].outputs["penstock_metrics"]
    assert metrics["metadata"] == {
        "examples.rate": 0.25,
        "examples.rows": 3.0,
        "examples.span": 7.0,
    }
    page = remote.read_bytes(first["Makes"].outputs["penstock_report"]["uri"]).decode()
    assert page.startswith("<!doctype html>")
    assert first["Makes"].outputs["examples"]["uri"] in page


@pytest.mark.parametrize(("threshold", "holds"), [("0.2", "true"), ("0.9", "false")])
def test_conditions_are_decided_by_the_values_of_artifacts(
    played, backend, monkeypatch, threshold, holds
):
    _, tasks, first, _ = played
    told = tasks["Tells"]
    task = replace(
        PodTask.from_text(told.to_text().replace(": 0.2}", f": {threshold}}}")),
        action=DECIDE,
        outputs=(),
    )
    assert (task.pipeline == told.pipeline) == (holds == "true")
    inputs = {wanted.name: first[wanted.producer].outputs[wanted.output] for wanted in told.inputs}
    given, _ = backend.prepare(task, "run-1", {"threshold": 0.5}, inputs)
    monkeypatch.setenv(RUN_ID_VARIABLE, "run-1")
    assert run_task(task, read_executor_input(json.dumps(given))) == "done"
    assert Path(given["outputs"]["parameters"]["holds"]["outputFile"]).read_text() == holds


@pytest.fixture
def misbehaving(tmp_path, monkeypatch):
    """The task of a node that does as its file `manner` says, and its store."""
    monkeypatch.setenv("CANARY", "hush-hush-canary")
    tasks = tasks_of(compiled(pod_components.misbehaving), str(tmp_path / "metadata.sqlite"))
    return tasks["Misbehaves"], tmp_path


def behave(folder, manner):
    (folder / "begun").unlink(missing_ok=True)
    (folder / "manner").write_text(manner)


def begun(folder):
    deadline = time.monotonic() + 60
    while not (folder / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def states(folder, run_id="run-1"):
    with store_of(folder / "metadata.sqlite") as metadata:
        run = find_run(metadata.store, run_id)
        return [(node.state, node.error) for node in run.nodes]


def test_a_failure_is_told_with_the_users_lines_and_without_secrets(misbehaving, backend):
    task, folder = misbehaving
    task = PodTask.from_text(task.to_text())
    behave(folder, "fail")
    ended = backend.run_pod(task, "run-1", parameters={"folder": str(folder)})
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


def test_a_pod_that_is_asked_to_end_cancels_and_cleans_and_can_be_tried_again(misbehaving, backend):
    task, folder = misbehaving
    behave(folder, "wait")
    pod = backend.start_pod(task, "run-1", parameters={"folder": str(folder)}, salt="s")
    begun(folder)
    pod.terminate()
    assert pod.end().code == 143
    [artifact] = pod.given["outputs"]["artifacts"]["model"]["artifacts"]
    assert not os.path.exists(artifact["customPath"])
    assert [state for state, _ in states(folder)] == ["canceled"]
    behave(folder, "work")
    again = backend.run_pod(task, "run-1", parameters={"folder": str(folder)}, salt="s")
    assert again.code == 0, again.printed
    assert [state for state, _ in states(folder)] == ["canceled", "done"]


def test_a_pod_that_is_taken_away_is_marked_abandoned_by_the_next(misbehaving, backend):
    task, folder = misbehaving
    behave(folder, "wait")
    pod = backend.start_pod(task, "run-1", parameters={"folder": str(folder)})
    begun(folder)
    pod.kill()
    pod.end()
    assert [state for state, _ in states(folder)] == ["running"]
    behave(folder, "work")
    again = backend.run_pod(task, "run-1", parameters={"folder": str(folder)})
    assert again.code == 0, again.printed
    (before, error), (after, _) = states(folder)
    assert (before, after) == ("failed", "done")
    assert "ended without saying so" in error
    with store_of(folder / "metadata.sqlite") as metadata:
        made = attempts.attempts(metadata.store, "run-1", "Misbehaves")
        assert [attempt.state for attempt in made] == [attempts.ABANDONED, "done"]
