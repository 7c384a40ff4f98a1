"""Deployments to Kubeflow: version, run, schedule and alias go on together, and back together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penstock import registry
from penstock.metadata.store import connect
from penstock.operations.delivery.deploying import deploy, roll_back
from penstock.operations.delivery.deployment import DeployStep, RefusedError
from penstock.project.config import read_config
from penstock.testing.kubeflow import FakePipelines, Fault, FaultKind, Play
from penstock_support import delivered_project as project
from penstock_support.delivered_project import GOOD, deploying, wanted
from penstock_support.metadata_servers import serving
from penstock_support.pods_of_runs import Pods, cluster_tables


@pytest.fixture
def server():
    with FakePipelines(play=Play(hold=True)) as running:
        yield running


@pytest.fixture
def store(tmp_path):
    """The address of a metadata server, as pods reach one."""
    with serving(str(tmp_path / "metadata.sqlite")) as running:
        yield f"grpc://localhost:{running.port}"


@pytest.fixture
def cluster(tmp_path, server, store):
    """The project, with an environment on Kubeflow."""
    project.write(tmp_path)
    with open(tmp_path / "penstock.toml", "a") as file:
        file.write(cluster_tables(server.host, store).replace("infra =", "checks = false\ninfra ="))
    return read_config(tmp_path / "penstock.toml")


@pytest.fixture
def to_cluster(cluster, server):
    pods = Pods(cluster, server)
    return lambda **more: deploying(cluster, "cluster", **{"pause": pods, **more})


def champion(to_cluster):
    with connect(to_cluster().connection) as metadata:
        return registry.read_model(metadata.store, "flights").aliases.get("champion")


def scheduled(server):
    """Return the versions that are scheduled."""
    return [
        one["pipeline_version_reference"]["pipeline_version_id"]
        for one in server.recurring_runs
        if one["status"] == "ENABLED"
    ]


def change(tmp_path, slices):
    """Change the model, and the compiled pipeline along with it."""
    project.set_quality(tmp_path, slices)
    code = (tmp_path / "pipeline.py").read_text()
    (tmp_path / "pipeline.py").write_text(code.replace("rows: int = 100):", "rows: int = 101):"))


def test_a_deployment_has_a_version_a_schedule_and_a_champion(to_cluster, server):
    done = deploy(to_cluster(), wanted("f1"))
    assert (done.state, done.model_version) == ("done", 1)
    assert scheduled(server) == [done.pipeline_version["version_id"]]
    assert champion(to_cluster) == 1


def test_the_run_leaves_out_what_deploys(to_cluster, server):
    deploy(to_cluster(), wanted("f1"))
    [run] = server.runs
    spec = run["pipeline_spec"].get("pipeline_spec", run["pipeline_spec"])
    assert sorted(spec["root"]["dag"]["tasks"]) == ["judge", "train"]


def test_what_is_refused_leaves_schedule_and_champion(to_cluster, server, tmp_path):
    first = deploy(to_cluster(), wanted("f1"))
    change(tmp_path, {**GOOD, "LGA": 0.6})
    with pytest.raises(RefusedError, match="airport:LGA 0.88 -> 0.6"):
        deploy(to_cluster(), wanted("f2"))
    assert scheduled(server) == [first.pipeline_version["version_id"]]
    assert champion(to_cluster) == 1


def test_another_schedule_alone_comes_without_another_run(to_cluster, cluster, server, tmp_path):
    deploy(to_cluster(), wanted("f1"))
    toml = tmp_path / "penstock.toml"
    toml.write_text(toml.read_text().replace("0 6 * * 1", "0 7 * * 1"))
    again = deploying(read_config(toml), "cluster")
    done = deploy(again, wanted("f1"))
    assert (done.number, done.schedule["cron"], done.model_version) == (2, "0 7 * * 1", 1)
    enabled = [one for one in server.recurring_runs if one["status"] == "ENABLED"]
    assert [one["trigger"]["cron_schedule"]["cron"] for one in enabled] == ["0 0 7 * * 1"]
    assert len(server.runs) == 1
    assert deploy(again, wanted("f1")).number == 2


def test_a_rollback_brings_back_version_schedule_and_champion(to_cluster, server, tmp_path):
    first = deploy(to_cluster(), wanted("f1"))
    change(tmp_path, {**GOOD, "Overall": 0.95})
    second = deploy(to_cluster(), wanted("f2"))
    assert scheduled(server) == [second.pipeline_version["version_id"]]
    assert second.pipeline_version["version_id"] != first.pipeline_version["version_id"]
    roll_back(to_cluster(), "flights", who="bob", why="wrong")
    assert scheduled(server) == [first.pipeline_version["version_id"]]
    assert champion(to_cluster) == 1


def test_what_had_no_schedule_has_none_again_after_a_rollback(to_cluster, server, tmp_path):
    bare = replace(to_cluster().environment, schedules={})
    deploy(replace(to_cluster(), environment=bare), wanted("f1"))
    change(tmp_path, {**GOOD, "Overall": 0.95})
    deploy(to_cluster(), wanted("f2"))
    assert len(scheduled(server)) == 1
    roll_back(to_cluster(), "flights", who="bob", why="wrong")
    assert scheduled(server) == []


def test_a_deployment_without_the_schedule_ends_it(to_cluster, server, tmp_path):
    deploy(to_cluster(), wanted("f1"))
    change(tmp_path, {**GOOD, "Overall": 0.95})
    bare = replace(to_cluster().environment, schedules={})
    deploy(replace(to_cluster(), environment=bare), wanted("f2"))
    assert scheduled(server) == []


def test_two_environments_on_one_server_have_a_schedule_each(to_cluster, server):
    deploy(to_cluster(), wanted("f1"))
    other = replace(to_cluster().environment, name="other", alias="other")
    deploy(replace(to_cluster(), environment=other), wanted("f1"))
    assert len(scheduled(server)) == 2


class Died(BaseException):
    """As a SIGKILL would."""


@pytest.mark.parametrize("step", list(DeployStep))
def test_whoever_comes_after_a_death_starts_no_second_run(to_cluster, server, step):
    def die(taken):
        if taken is step:
            raise Died

    with pytest.raises(Died):
        deploy(to_cluster(on_step=die), wanted("f1"))
    done = deploy(to_cluster(), wanted("f1"))
    assert done.state == "done"
    assert len(server.runs) == 1
    assert scheduled(server) == [done.pipeline_version["version_id"]]
    assert champion(to_cluster) == 1


@pytest.mark.parametrize("path", ["/runs", "/recurringruns", "/pipelines/upload_version"])
def test_a_request_without_an_answer_does_not_make_two(to_cluster, server, path):
    server.faults.append(Fault(FaultKind.DROP_AFTER, "POST", path))
    assert deploy(to_cluster(), wanted("f1")).state == "done"
    assert len(server.runs) == 1
    assert len(scheduled(server)) == 1
