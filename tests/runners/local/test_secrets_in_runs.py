"""A planted secret is looked for wherever a run leaves something."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock import LocalRunner, pipeline
from penstock.errors import ParameterError
from penstock.runners.local import State
from penstock.runners.local.display import Silent
from penstock_support import IMPORT_PATH
from penstock_support import secret_components as components

CANARY = 'canary-7f"3e\\91-of-the-mine'
SPELLINGS = (CANARY, CANARY.replace("\\", "\\\\"), '7f"3e', '7f\\"3e', "of-the-mine")


@pytest.fixture
def canary(monkeypatch):
    monkeypatch.setenv("CANARY", CANARY)


def places_with_the_canary(folder: Path) -> list[str]:
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file()
        if any(spelling.encode() in path.read_bytes() for spelling in SPELLINGS)
    ]


PROFILE = """
[pipelines]
telling = "penstock_support.secret_components:telling"

[profiles.default]
beam_args = ["--password=${env:CANARY}", "--runner=DirectRunner"]

[profiles.default.parameters.telling]
token = "${env:CANARY}"

[profiles.away]
metadata = "mysql://me:${env:CANARY}@127.0.0.1:1/mlmd"
"""


@pytest.fixture(scope="module")
def command_lines(tmp_path_factory):
    """What every command says of a project whose secrets are references, and its folder."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "penstock.toml").write_text(PROFILE)
    environment = {**os.environ, "CANARY": CANARY, "PYTHONPATH": IMPORT_PATH}

    def call(*arguments: str) -> str:
        command = [sys.executable, "-W", "ignore", "-m", "penstock", *arguments]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    said = {
        "run": call("run", "telling", "-p", "user=${env:CANARY}"),
        "again": call("run", "telling", "-p", "user=${env:CANARY}"),
        "show": call("show", "latest"),
        "show --json": call("show", "latest", "--json"),
        "runs --json": call("runs", "--json"),
        "plan": call("plan", "telling", "-p", "user=${env:CANARY}"),
        "plan --json": call("plan", "telling", "-p", "token=x${env:CANARY}", "--json"),
        "resume": call("resume"),
        "compare": call("compare", "latest", "latest"),
        "lineage": call("lineage", "1"),
        "gc": call("gc"),
        "compile": call("compile", "telling"),
        "away": call("runs", "--profile", "away"),
        "wrong": call("run", "telling", "-p", "tokem=${env:CANARY}"),
    }
    return folder, said


def test_no_file_below_the_root_has_the_secret(command_lines):
    folder, _ = command_lines
    assert (folder / ".penstock" / "metadata.sqlite").stat().st_size > 0
    assert places_with_the_canary(folder) == []


def test_no_command_shows_the_secret(command_lines):
    _, said = command_lines
    for command, output in said.items():
        assert not [s for s in SPELLINGS if s in output], command


def test_the_reference_is_shown_in_its_place(command_lines):
    _, said = command_lines
    assert "Raises failed: ValueError: the server refuses ${env:CANARY}" in said["run"]
    assert "-p token=${env:CANARY}" in said["show"]
    assert '"token": "${env:CANARY}"' in said["show --json"]
    assert "--password=${env:CANARY}" in said["compile"]
    assert "Tells   cached" in said["again"]


def test_the_body_has_the_secret_and_its_log_the_reference(command_lines):
    folder, _ = command_lines
    [written] = (folder / ".penstock" / "telling" / ".runs").glob("*/Tells.log")
    log = written.read_text()
    assert log.startswith("first line\nit is '${env:CANARY}'\n")
    access = "Access(user='${env:CANARY}', keys=('${env:CANARY}', '${env:CANARY}'))"
    assert f"on the other stream: {access}\n${{env:CANARY}}\nBeam has" in log
    assert "('--password=${env:CANARY}', '--runner=DirectRunner')" in log
    assert log.endswith("last line, no end")


def test_a_property_has_the_reference_in_place_of_the_secret(canary, run_pipeline):
    @pipeline
    def recording():
        told = components.Tells(token="${env:CANARY}")
        return components.After(model=told.outputs["model"])

    artifact = run_pipeline(recording).output("After", "output")
    assert artifact.read() == "https://${env:CANARY}@host"


def test_a_result_with_the_secret_fails_its_node_and_is_removed(canary, run_pipeline, tmp_path):
    @pipeline
    def returning():
        return components.Returns(token="${env:CANARY}")

    result = run_pipeline(returning)
    assert result.nodes["Returns"].error == (
        "node Returns: its result 'output' holds the value of ${env:CANARY}, and would be "
        "recorded. Keep the secret inside the body; return what can be told."
    )
    assert places_with_the_canary(tmp_path) == []


def test_the_log_of_a_killed_worker_is_whole_and_has_no_secret(canary, run_pipeline):
    @pipeline
    def dying():
        return components.DiesTelling(token="${env:CANARY}")

    node = run_pipeline(dying).nodes["DiesTelling"]
    assert "killed by SIGKILL" in node.error
    assert Path(node.log_path).read_text() == "begin ${env:CANARY} " * 100 + "${env:CANARY}"


def test_a_child_that_is_left_behind_keeps_nobody_waiting(canary, run_pipeline):
    @pipeline
    def leaving():
        return components.LeavesAChild(token="${env:CANARY}")

    node = run_pipeline(leaving).nodes["LeavesAChild"]
    assert node.state is State.DONE
    assert Path(node.log_path).read_text() == "before ${env:CANARY}\n"


def test_a_reference_in_an_artifact_is_text_like_any_other(canary, run_pipeline):
    @pipeline
    def passing():
        return components.Echoes(text=components.Names().outputs["output"])

    result = run_pipeline(passing)
    folder = result.output("Echoes", "model").uri
    assert Path(folder, "text").read_text() == "${env:CANARY}"


def test_an_escaped_reference_reaches_the_body_without_its_second_dollar(run_pipeline):
    @pipeline
    def escaping():
        return components.Echoes(text="$${env:NOT_THERE}")

    folder = run_pipeline(escaping).output("Echoes", "model").uri
    assert Path(folder, "text").read_text() == "${env:NOT_THERE}"


def test_a_variable_that_is_not_set_is_named_before_anything_runs(run_pipeline, tmp_path):
    @pipeline
    def asking():
        structured = components.Access(keys=("${env:NOT_THERE}",))
        return components.Tells(token="x", access=structured)

    message = (
        "node Tells, parameter 'access': the environment variable NOT_THERE is not set. The "
        r"parameter refers to it as \$\{env:NOT_THERE\}: set it before the command."
    )
    with pytest.raises(ParameterError, match=message):
        run_pipeline(asking)
    assert list(tmp_path.iterdir()) == []


def test_a_variable_of_the_beam_arguments_that_is_not_set_is_named(tmp_path):
    @pipeline
    def beamy():
        return components.Tells(token="x")

    runner = LocalRunner(
        pipeline_root=str(tmp_path),
        metadata=str(tmp_path / "db"),
        beam_args=("--password=${env:NOT_THERE}",),
        display=Silent(),
    )
    with pytest.raises(ParameterError, match="node Tells, Beam arguments: the environment var"):
        runner.run(beamy)


def test_an_address_that_is_recorded_cannot_be_a_reference(canary, run_pipeline):
    from penstock._tfx import Importer
    from penstock.artifacts import Model

    @pipeline
    def importing():
        model = Importer(source_uri="/data/${env:CANARY}", artifact_type=Model)
        return components.After(model=model.outputs["result"])

    with pytest.raises(ParameterError, match=r"node Importer.*\$\{env:CANARY\} cannot stand here"):
        run_pipeline(importing)


def test_the_store_s_address_may_be_a_reference(tmp_path, monkeypatch):
    monkeypatch.setenv("STORE", str(tmp_path / "referred.sqlite"))
    runner = LocalRunner(
        pipeline_root=str(tmp_path / "root"), metadata="${env:STORE}", display=Silent()
    )

    @pipeline
    def short():
        return components.Names()

    assert runner.run(short).succeeded
    assert (tmp_path / "referred.sqlite").exists()
