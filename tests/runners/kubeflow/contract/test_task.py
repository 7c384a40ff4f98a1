from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import RunError
from penstock.runners.kubeflow.contract import locations
from penstock.runners.kubeflow.contract.task import PodInput, PodOutput, PodTask

pytestmark = pytest.mark.core

TASK = PodTask(
    node="Trainer",
    pipeline={"pipeline_info": {"id": "taxi"}},
    store="mysql://me:${env:STORE_PASSWORD}@db.example/mlmd",
    project_folder="/app",
    parameters={"steps": "int"},
    inputs=(PodInput("examples", "examples", "Examples", "CsvExampleGen", "examples"),),
    outputs=(PodOutput("model", "model", "Model"),),
    shown=("penstock_report",),
    code="1234",
)


def test_a_task_survives_its_text():
    assert PodTask.from_text(TASK.to_text()) == TASK


@given(st.text(alphabet='{}$("\\a'))
def test_a_text_of_the_pipeline_survives_and_is_nothing_that_others_would_substitute(text):
    task = PodTask("a", {"nested": {"value": text}, "also": text}, "", "/app")
    written = task.to_text()
    assert "{{" not in written
    assert "$(" not in written
    assert PodTask.from_text(written) == task


def test_a_task_of_another_version_names_both_and_what_to_do():
    text = json.dumps({**json.loads(TASK.to_text()), "version": 7})
    with pytest.raises(RunError, match="version 7 of tasks, and this image has 1.*penstock build"):
        PodTask.from_text(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("/home/me/project/taxi/model.py", "@{project}/taxi/model.py"),
        ('{"pattern": "/home/me/project/data/*.csv"}', '{"pattern": "@{project}/data/*.csv"}'),
        ("/home/me/project", "@{project}"),
        ("/home/me/project2/model.py", "/home/me/project2/model.py"),
        ("/mnt/home/me/project/model.py", "/mnt/home/me/project/model.py"),
        ("/venv/site-packages/taxi/model.py", "@{package:taxi}/model.py"),
        ("nothing/of/the/kind", "nothing/of/the/kind"),
    ],
)
def test_paths_of_the_compiling_machine_become_places(text, written):
    packages = {"/venv/site-packages/taxi": "taxi"}
    assert locations.relocate(text, Path("/home/me/project"), packages) == written


def test_places_become_paths_of_the_machine_that_reads_them():
    import penstock.schemas

    [folder] = penstock.schemas.__path__
    text = locations.localize("@{package:penstock.schemas}/a.pbtxt @{project}/b.py", "/app")
    assert text == f"{folder}/a.pbtxt /app/b.py"


def test_a_place_in_a_package_that_is_missing_says_so():
    with pytest.raises(RunError, match="the package no_such is not installed in this image"):
        locations.localize("@{package:no_such}/a.py", "/app")


def test_the_folders_of_packages_do_not_depend_on_which_of_their_parts_are_imported():
    import penstock.pipelines.flights

    found = locations.package_folders()
    assert "penstock.pipelines" in found.values()
    assert "penstock.pipelines.flights" not in found.values()
    assert penstock.pipelines.flights.__path__[0] not in found
