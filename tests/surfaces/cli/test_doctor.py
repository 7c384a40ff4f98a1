from __future__ import annotations

import json
import os
import resource
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner

from penstock.config import Config, Profile
from penstock.metadata import journal
from penstock.metadata.store import connect, connection_config
from penstock.project import extras
from penstock.project.kubeflow import KubeflowOptions
from penstock.surfaces.cli import examination
from penstock.surfaces.cli.main import penstock


class Pipelines(BaseHTTPRequestHandler):
    """Answers as Kubeflow Pipelines do when they are asked for their health."""

    def do_GET(self):
        known = self.headers.get("Authorization") == "Bearer let me in"
        found = self.path == "/apis/v2beta1/healthz"
        self.send_response((200 if known else 401) if found else 404)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def host():
    with HTTPServer(("127.0.0.1", 0), Pipelines) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "penstock.toml").write_text(
        '[pipelines]\nmine = "mine.py:mine"\n'
        '[profiles.away]\nmetadata = "mysql://me@127.0.0.1:9/mlmd"\n'
        '[profiles.secret]\nmetadata = "mysql://me:${env:NO_SUCH_PASSWORD}@127.0.0.1:9/mlmd"\n'
    )
    return tmp_path


def examined(*arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    done = CliRunner().invoke(penstock, ["doctor", "--json", *arguments], standalone_mode=False)
    assert done.exception is None, done.exception
    return done.return_value or 0, {finding["name"]: finding for finding in json.loads(done.stdout)}


def test_every_thing_is_said_to_be_fine_or_not(project):
    code, found = examined()
    assert {"Python", "system", "packages", "memory", "pipeline root", "store"} <= set(found)
    states = {finding["state"] for finding in found.values()}
    assert states <= {"fine", "unused", "doubtful", "wrong"}
    assert code == (1 if "wrong" in states else 0)


def test_the_packages_are_of_versions_that_each_other_asks_for():
    assert examination.packages().state == "fine"


def test_an_extra_that_a_pipeline_lacks_is_told_with_the_command(project, monkeypatch):
    (project / "mine.py").write_text(
        "from penstock import pipeline\n"
        "from penstock_support.core_components import Boosted, Next\n\n\n"
        "@pipeline\ndef mine():\n    return [Next(value=1), Boosted(value=1)]\n"
    )
    monkeypatch.setattr(extras, "is_installed", lambda package: package != "xgboost")
    _, found = examined()
    assert found["extras"]["state"] == "doubtful"
    assert found["extras"]["found"].endswith("mine needs more for Boosted")
    assert found["extras"]["advice"] == "To run them here: pip install 'penstock[xgboost]'"


def test_a_store_that_is_not_there_yet_is_fine(project):
    _, found = examined()
    assert found["store"]["state"] == "fine"
    assert found["store"]["found"].endswith("metadata.sqlite, which the first run makes")


def test_a_store_that_does_not_answer_is_wrong_and_there_is_advice(project):
    code, found = examined("--profile", "away")
    assert code == 1
    assert "does not answer" in found["store"]["found"]
    assert found["store"]["advice"] == "Start its server, or correct metadata in penstock.toml."


def test_a_secret_that_is_not_set_is_named(project):
    code, found = examined("--profile", "secret")
    assert code == 1
    assert "NO_SUCH_PASSWORD" in found["store"]["found"]


def test_a_file_that_is_no_store_is_wrong(project):
    (project / ".penstock").mkdir()
    (project / ".penstock" / "metadata.sqlite").write_text("Not SQLite. " * 1000)
    _, found = examined()
    assert found["store"]["state"] == "wrong"


def test_a_pipeline_root_that_is_a_file_is_wrong(tmp_path):
    (tmp_path / "file").write_text("")
    finding = examination.disk(Profile(pipeline_root=str(tmp_path / "file" / "root")))
    assert finding.state == "wrong"
    assert "change its rights, or pipeline_root in penstock.toml" in finding.advice


@pytest.mark.parametrize(
    ("token", "state", "text"),
    [("let me in", "fine", "http://127.0.0.1"), ("guess", "wrong", "lets nobody in")],
)
def test_the_cluster_of_a_profile_is_asked_for_its_health(host, token, state, text):
    profile = Profile(name="cluster", kubeflow=KubeflowOptions(host=host, token=token))
    finding = examination.cluster(profile)
    assert finding.state == state
    assert text in finding.found
    assert token not in finding.found or state == "fine"


def test_a_cluster_that_does_not_answer_is_wrong():
    options = KubeflowOptions(host="http://127.0.0.1:9")
    finding = examination.cluster(Profile(name="cluster", kubeflow=options))
    assert finding.state == "wrong"
    assert "Correct profiles.cluster.kubeflow in penstock.toml" in finding.advice


def test_few_open_files_are_doubtful():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        finding = examination.files()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert finding.state == "doubtful"
    assert "ulimit -n" in finding.advice


def test_without_a_project_a_new_one_is_offered():
    finding = examination.project(Config(None, {}, {}), Profile())
    assert finding.advice == "Begin one: penstock init FOLDER"


def test_an_unknown_profile_is_a_wrong_request(project):
    done = CliRunner().invoke(penstock, ["doctor", "--profile", "awy"], standalone_mode=False)
    assert str(done.exception).endswith("Did you mean 'away'?")


def test_what_a_package_says_of_itself_is_read_once(monkeypatch):
    read = []
    distribution = metadata.distribution
    monkeypatch.setattr(
        metadata, "distribution", lambda name: read.append(name) or distribution(name)
    )
    assert list(examination._conflicts("penstock")) == []
    assert len(read) == len(set(read))


@pytest.mark.parametrize(("parallelism", "at_once"), [(None, 2), (1, 1), (7, 7)])
def test_the_processors_say_how_many_nodes_work_at_a_time(parallelism, at_once, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    finding = examination.processors(Profile(parallelism=parallelism))
    assert finding.found.startswith("2 CPUs")
    assert f"{at_once} nodes work at a time" in finding.found


@pytest.mark.parametrize(
    ("limit", "used", "state"),
    [(8 << 30, 1 << 30, "fine"), (4 << 30, 1 << 30, "doubtful"), (2 << 30, 1 << 30, "wrong")],
)
def test_memory_is_what_the_container_leaves(limit, used, state, tmp_path, monkeypatch):
    files = {"memory.max": f"{limit}\n", "memory.current": f"{used}\n"}
    read = Path.read_text

    def read_text(path, *arguments, **more):
        known = path.parent == Path("/sys/fs/cgroup") and path.name in files
        return files[path.name] if known else read(path, *arguments, **more)

    monkeypatch.setattr(Path, "read_text", read_text)
    finding = examination.memory()
    assert (finding.state, finding.found) == (state, f"{(limit - used) / 1e9:.1f} GB free")


def docker(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "docker"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


@pytest.mark.parametrize(
    ("script", "state", "text"),
    [
        ("echo 28.2.2", "fine", "28.2.2"),
        ("echo no daemon here >&2; exit 1", "doubtful", "its daemon does not answer"),
    ],
)
def test_a_docker_whose_daemon_does_not_answer_is_doubtful(
    script, state, text, tmp_path, monkeypatch
):
    docker(tmp_path, monkeypatch, script)
    finding = examination.docker()
    assert finding.state == state
    assert text in finding.found
    assert state == "fine" or "no daemon here" in finding.advice


def test_without_docker_container_components_alone_cannot_run(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert examination.docker().state == "unused"


def test_rows_that_cannot_be_read_are_listed(tmp_path):
    address = str(tmp_path / "metadata.sqlite")
    with connect(connection_config(address)) as store:
        entry = journal.intend(store.store, "alert/a", "k", {}, who="ann")
        [context] = store.store.get_contexts_by_id([entry.entry_id])
        context.custom_properties["intent"].string_value = "{half"
        store.store.put_contexts([context])
    found = examination.store(Profile(name="here", metadata=address))
    assert found.state == "doubtful"
    assert found.found == (
        f"{address}; rows of it cannot be read, and are left out: journal_entry 1 of the store, "
        "'alert/a/k': expected JSON as 'intent', got '{half'"
    )
    assert "correct them with ML Metadata's client" in found.advice


def test_what_a_profile_s_pods_lack_is_told_as_compiling_does(project):
    with (project / "penstock.toml").open("a") as file:
        file.write(
            "[profiles.pods]\n"
            'metadata = "mysql://me:${env:STORE_PASSWORD}@mysql:3306/mlmd"\n'
            "[profiles.pods.kubeflow]\n"
            'image = "registry.example/me:latest"\n'
        )
    (project / "mine.py").write_text(
        "from penstock import component, pipeline\n\n\n"
        "@component\ndef Tell(value: int) -> int:\n    return value\n\n\n"
        "@pipeline\ndef mine():\n    return Tell(value=1)\n"
    )
    _, found = examined("--profile", "pods")
    assert found["pods"]["state"] == "doubtful"
    assert "registry.example/me:latest is named by a tag" in found["pods"]["found"]
    assert "needs the environment variable STORE_PASSWORD" in found["pods"]["found"]


def test_a_pipeline_that_does_not_import_is_not_said_to_have_its_pods(project):
    with (project / "penstock.toml").open("a") as file:
        file.write('[profiles.pods.kubeflow]\nimage = "registry.example/me@sha256:0"\n')
    _, found = examined("--profile", "pods")
    assert found["pods"]["found"] == "mine does not import, and was not examined"


def test_a_profile_without_a_cluster_has_no_pods(project):
    assert examined()[1]["pods"]["state"] == "unused"


@pytest.mark.parametrize(
    ("args", "state", "found"),
    [
        ((), "unused", "profile default names none"),
        (("--spark_master=spark://127.0.0.1:9",), "wrong", "nobody answers for Spark"),
        (("--runner=DirectRuner",), "wrong", "no Beam runner 'DirectRuner'"),
        (("--direct_num_workers=2",), "doubtful", "say nothing: --direct_num_workers"),
        (("--runner=DirectRunner",), "fine", "DirectRunner"),
    ],
)
def test_the_engine_of_a_profile_is_looked_for(args, state, found):
    finding = examination.engine(Profile(beam_args=args))
    assert (finding.state, found in finding.found) == (state, True), finding
