"""The workflows for services of CI: valid, and nothing in them but commands that exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from penstock.project.config import Config, read_config
from penstock.surfaces.cli.ci_init import SERVICES, workflow
from penstock.surfaces.cli.main import penstock as group

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "ci"
# Of a project with these environments the files in the folder are.
CONFIG = """
[pipelines]
flights = "pipeline.py:flights"

[profiles.cluster]
metadata = "mysql://penstock:${env:STORE_PASSWORD}@db.example/mlmd"

[profiles.cluster.kubeflow]
host = "https://kubeflow.example"
token = "${env:KUBEFLOW_TOKEN}"

[environments.staging]
profile = "cluster"
alias = "candidate"

[environments.production]
profile = "cluster"
needs = ["staging"]
approval = true
"""
SCHEMAS = {"github": "github-workflows", "gitlab": "gitlab-ci", "cloudbuild": "cloudbuild"}


def written(folder: Path) -> Config:
    (folder / "penstock.toml").write_text(CONFIG)
    (folder / "requirements.txt").touch()
    return read_config(folder / "penstock.toml")


@pytest.fixture(params=list(SERVICES))
def service(request) -> str:
    return request.param


@pytest.fixture
def path(service) -> Path:
    return FOLDER / SERVICES[service].template


def documents(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text()))


def texts(value: Any) -> Iterator[str]:
    """Yield all texts of a document, the command lines among them."""
    if isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield from value.splitlines()


def commands(path: Path) -> list[list[str]]:
    found = []
    for line in texts(documents(path)):
        line = re.sub(r"\$\{\{.*?\}\}", "VALUE", line.strip())
        if line.startswith("penstock ") and "COMMAND" not in line and "inputs" not in line:
            found.append(shlex.split(line.partition(" > ")[0])[1:])
        elif line.startswith(("ci ", "trigger ")):
            found.append(shlex.split(line))
    return found


def test_the_files_of_the_folder_are_what_is_written_into_a_project(service, path, tmp_path):
    assert path.read_text() == workflow(service, written(tmp_path), tmp_path)


@pytest.mark.parametrize("name", list(SCHEMAS))
@pytest.mark.parametrize("folder", [".", "models/flights"])
@pytest.mark.parametrize("environments", [True, False])
def test_workflows_are_what_their_services_publish_as_valid(tmp_path, name, folder, environments):
    project = tmp_path / folder
    project.mkdir(parents=True, exist_ok=True)
    written(project)
    if not environments:
        (project / "penstock.toml").write_text(CONFIG.partition("[environments")[0])
    config = read_config(project / "penstock.toml")
    file = tmp_path / SERVICES[name].template
    file.write_text(workflow(name, config, tmp_path))
    checked = subprocess.run(
        [
            Path(sys.executable).with_name("check-jsonschema"),
            "--builtin-schema",
            f"vendor.{SCHEMAS[name]}",
            file,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_every_command_of_a_workflow_is_understood(path):
    called = commands(path)
    assert called
    for arguments in called:
        command: click.Command = group
        context = click.Context(group)
        while isinstance(command, click.Group):
            name, *arguments = arguments
            found = command.get_command(context, name)
            assert found is not None, name
            command = found
        # Parsing alone: unknown options and lacking arguments are errors.
        command.make_context(name, list(arguments))


def test_every_environment_is_deployed_to_after_those_that_it_needs(path):
    text = path.read_text()
    staging, production = (
        text.index(f"ci deploy --env {name}") for name in ("staging", "production")
    )
    assert text.index("ci check") < staging < production


def test_no_workflow_writes_a_secret_down(path):
    assert not re.search(r"(token|password):? +[A-Za-z0-9]{8,}", path.read_text(), re.IGNORECASE)


def test_our_own_workflow_runs_what_contributors_run():
    [job] = documents(ROOT / ".github/workflows/ci.yml")[0]["jobs"].values()
    assert ".ci/run" in [step.get("run") for step in job["steps"]]
