"""Runs that Kubeflow's cache has done, in part or as a whole, as our store has them afterwards."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from penstock.metadata import leases
from penstock.metadata.graph import read_makers
from penstock.metadata.runs import RunRecord, find_run, list_runs, node_artifacts
from penstock.metadata.store import connect, connection_config
from penstock.project.environment import IMAGE_VARIABLE
from penstock.runners.kubeflow.contract import documents
from penstock.runners.kubeflow.server import connecting, submission, versions
from penstock.runners.kubeflow.server.lent import kept_recorded, record_lent
from penstock.runners.kubeflow.server.service import Service
from penstock.surfaces.cli.main import penstock
from penstock.testing.kubeflow import FakePipelines, Play
from penstock_support import IMPORT_PATH, pod_components
from penstock_support.kubeflow_backend import Backend, Compiled, compile_with_store, s3_service
from penstock_support.kubeflow_pipelines import IMAGE
from penstock_support.kubeflow_service import HASTY, await_end


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    with s3_service() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        own = {"PYTHONPATH": IMPORT_PATH, IMAGE_VARIABLE: IMAGE}
        yield Backend(tmp_path_factory.mktemp("pods"), {**environment, **own})


@dataclass
class Played:
    """A store in which two runs have worked, and a server on which the next ones are played."""

    path: Path
    compiled: Compiled
    server: FakePipelines
    service: Service

    def start(self, play: Play, **parameters: int) -> str:
        """Start a run that goes as it is told."""
        self.server.set_play(play)
        version = versions.upload(self.service, documents.read(yaml.safe_dump(self.compiled.spec)))
        request = submission.Request(
            source={"pipeline_version_reference": version.reference()},
            parameters=parameters,
            experiment_id=versions.experiment_id(self.service, "tests"),
            name="lendable",
        )
        return submission.submit(self.service, request, submission.new_token()).run_id

    def submit(self, cached: set[str], **parameters: int) -> str:
        """Play a run to its end."""
        run_id = self.start(Play(cached=frozenset(cached)), **parameters)
        await_end(self.service, run_id)
        return run_id

    def record(self, run_id: str = "") -> list[str]:
        connection = connection_config(str(self.path))
        with connect(connection) as metadata:
            return record_lent(metadata, connection, self.service, run_id)

    def runs(self) -> list[RunRecord]:
        with connect(connection_config(str(self.path))) as metadata:
            return list_runs(metadata.store)

    def makers(self, run_id: str) -> dict[str, set[str]]:
        """Return the runs that made what each node of a run gives, by its name."""
        with connect(connection_config(str(self.path))) as metadata:
            made = {}
            for node in find_run(metadata.store, run_id).nodes:
                _, outputs = node_artifacts(metadata.store, node)
                ids = {a.id for of_key in outputs.values() for a in of_key}
                made[node.node_id] = {m.run_id for m in read_makers(metadata.store, ids).values()}
            return made


@pytest.fixture(scope="module")
def worked(backend, tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "metadata.sqlite"
    compiled = compile_with_store(pod_components.lendable, path)
    backend.run(compiled, "run-1", bonus=1)
    backend.run(compiled, "run-2", bonus=2)
    return path.read_bytes(), compiled, path


@pytest.fixture
def played(worked, monkeypatch):
    content, compiled, path = worked
    path.write_bytes(content)
    monkeypatch.setattr(connecting, "Patience", lambda: HASTY)
    with FakePipelines() as server:
        yield Played(path, compiled, server, connecting.connect(server.host))


def test_a_run_whose_nodes_are_all_cached_is_listed_like_any_other(played):
    run_id = played.submit({"makes", "trains"}, bonus=1)
    assert played.record() == [run_id]
    run = played.runs()[0]
    assert (run.run_id, run.state, run.pipeline_name) == (run_id, "done", "lendable")
    assert [(n.node_id, n.state) for n in run.nodes] == [("Makes", "cached"), ("Trains", "cached")]
    assert run.parameters == {"rows": 3, "bonus": 1}


def test_each_cached_node_has_the_run_that_made_what_it_gives(played):
    run_id = played.submit({"makes", "trains"}, bonus=1)
    played.record()
    assert played.makers(run_id) == {"Makes": {"run-1"}, "Trains": {"run-1"}}


def test_of_several_earlier_runs_the_one_with_the_same_parameters_has_lent(played):
    run_id = played.submit({"makes", "trains"}, bonus=2)
    played.record()
    assert played.makers(run_id) == {"Makes": {"run-1"}, "Trains": {"run-2"}}


def test_a_node_whose_lender_is_not_in_the_store_is_cached_all_the_same(played):
    run_id = played.submit({"makes", "trains"}, bonus=7)
    played.record()
    assert played.makers(run_id) == {"Makes": {"run-1"}, "Trains": set()}
    assert {node.state for node in played.runs()[0].nodes} == {"cached"}


def test_its_times_are_those_that_the_server_says(played):
    run_id = played.submit({"makes", "trains"}, bonus=1)
    played.record()
    [run] = [run for run in played.server.runs if run["run_id"] == run_id]
    began = datetime.fromisoformat(run["created_at"]).timestamp()
    found = played.runs()[0]
    assert abs(found.began.timestamp() - began) < 0.01
    assert found.seconds < timedelta(minutes=1).total_seconds()


def test_nodes_before_the_first_pod_of_a_run_are_recorded_too(played, backend):
    run_id = played.submit({"makes"}, bonus=5)
    first = backend.run_pod(played.compiled, "makes", "elsewhere")
    backend.run_pod(played.compiled, "trains", run_id, {"makes": first}, bonus=5)
    assert [node.node_id for node in played.runs()[0].nodes] == ["Trains"]
    assert played.record() == [run_id]
    with connect(connection_config(str(played.path))) as metadata:
        nodes = {n.node_id: n.state for n in find_run(metadata.store, run_id).nodes}
    assert nodes == {"Trains": "done", "Makes": "cached"}


def test_a_run_is_recorded_once(played):
    run_id = played.submit({"makes", "trains"}, bonus=1)
    assert played.record() == [run_id]
    assert played.record() == []
    assert played.record(run_id) == []


def test_a_run_that_somebody_is_recording_is_left_to_them(played):
    played.submit({"makes", "trains"}, bonus=1)
    connection = connection_config(str(played.path))
    with (
        connect(connection) as metadata,
        leases.held(metadata.store, connection, "kubeflow_cache"),
    ):
        assert played.record() == []


def test_a_run_that_ends_while_somebody_looks_on_is_recorded_then(played):
    connection = connection_config(str(played.path))
    with kept_recorded(connection, lambda: played.service, seconds=0.05):
        run_id = played.submit({"makes", "trains"}, bonus=1)
        deadline = time.monotonic() + 60
        while played.runs()[0].run_id != run_id:
            assert time.monotonic() < deadline


def test_a_run_that_is_not_over_is_not_recorded(played):
    played.start(Play(cached=frozenset({"makes"}), hold=True))
    assert played.record() == []


@pytest.fixture
def call(played, tmp_path):
    config = tmp_path / "penstock.toml"

    def call(*arguments: str, host: str = played.server.host) -> str:
        config.write_text(
            f'[profiles.cluster]\nmetadata = "{played.path}"\n'
            f'[profiles.cluster.kubeflow]\nhost = "{host}"\n'
        )
        options = ["--config", str(config), *arguments, "--profile", "cluster"]
        told = CliRunner().invoke(penstock, options)
        assert told.exit_code == 0, told.output
        return told.output

    return call


def test_the_commands_list_it_and_say_of_its_nodes_which_run_has_lent(played, call):
    run_id = played.submit({"makes", "trains"}, bonus=2)
    assert f"done      {run_id}  lendable" in call("runs")
    shown = call("show", run_id)
    assert "2 nodes, 2 cached" in shown
    assert "made by run run-1\n" in shown
    assert "made by run run-2\n" in shown


def test_a_run_that_is_not_among_the_newest_is_recorded_when_it_is_asked_for(
    played, call, monkeypatch
):
    run_id = played.submit({"makes", "trains"}, bonus=2)
    played.submit({"makes"}, bonus=2)
    monkeypatch.setattr("penstock.runners.kubeflow.server.lent._NEWEST", 1)
    assert "2 nodes, 2 cached" in call("show", run_id)


def test_without_the_server_what_the_store_has_is_listed(call):
    shown = call("runs", host="http://127.0.0.1:9")
    assert "not asked for what Kubeflow's cache has done: " in shown
    assert "run-2  lendable" in shown
