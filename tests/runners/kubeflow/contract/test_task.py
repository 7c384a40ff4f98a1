from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import RunError
from penstock.runners.kubeflow.contract import locations
from penstock.runners.kubeflow.contract.task import PodInput, PodOutput, PodTask
from penstock.runners.kubeflow.contract.texts import Texts

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


def compiled_task(node: str = "Learn", producer: str = "Prepare", rate: float = 0.5) -> PodTask:
    """Return a task as the compiler makes one of a node that takes what another makes."""

    def contexts(node: str) -> list[dict[str, Any]]:
        run = {"runtime_parameter": {"name": "pipeline-run-id", "type": "STRING"}}
        names = {
            "pipeline": {"field_value": {"string_value": "toy"}},
            "pipeline_run": run,
            "node": {"field_value": {"string_value": f"toy.{node}"}},
        }
        return [{"name": name, "type": {"name": kind}} for kind, name in names.items()]

    channel = {
        "artifact_query": {"type": {"name": "Examples"}},
        "context_queries": contexts(producer),
        "output_key": "examples",
        "producer_node_query": {"id": producer},
    }
    described = {
        "contexts": {"contexts": contexts(node)},
        "inputs": {"inputs": {"examples": {"channels": [channel], "min_count": 1}}},
        "node_info": {"id": node, "type": {"name": "toy.Learn"}},
        "parameters": {"parameters": {"rate": {"field_value": {"double_value": rate}}}},
    }
    pipeline = {
        "pipeline_info": {"id": "toy"},
        "nodes": [{"pipeline_node": described}],
        "deployment_config": {"executor_specs": {node: {"class_path": "toy.LearnExecutor"}}},
    }
    taken = PodInput("examples", "examples", "Examples", producer, "examples")
    return replace(TASK, node=node, pipeline=pipeline, inputs=(taken,))


@pytest.mark.parametrize("task", [TASK, compiled_task()], ids=["no-node", "a-node"])
def test_a_task_survives_its_texts(task):
    assert PodTask.from_texts(task.to_texts()) == task


def test_nodes_of_one_component_share_all_but_their_names_and_parameters():
    one, other = compiled_task().to_texts(), compiled_task("Again", "Other", 1.0).to_texts()
    assert one.shared == other.shared
    assert one.own == "{'names':['Learn','Prepare'],'values':{'rate':0.5}}"
    assert other.own == "{'names':['Again','Other'],'values':{'rate':1.0}}"


@pytest.mark.parametrize("name", ["@{0}", "@@{1}", "examples", "toy.Learn", "parameters"])
def test_a_node_may_be_called_like_anything_else_in_its_task(name):
    task = compiled_task(name, f"@{name}")
    assert PodTask.from_texts(task.to_texts()) == task


def test_what_is_long_is_told_the_container():
    task = compiled_task("x" * 500)
    assert not task.to_texts().own
    assert PodTask.from_texts(task.to_texts()) == task


VALUES = st.one_of(
    st.builds(lambda v: {"string_value": v}, st.text(alphabet="{}$(\"'\\\\a")),
    st.builds(lambda v: {"int_value": str(v)}, st.integers(-(2**63), 2**63 - 1)),
    st.builds(lambda v: {"double_value": v}, st.floats(allow_nan=False, allow_infinity=False)),
    st.just({"double_value": "NaN"}),
    st.just({"bool_value": True}),
)


@given(st.dictionaries(st.text(), VALUES))
def test_parameters_of_every_kind_survive(values):
    task = compiled_task()
    [entry] = task.pipeline["nodes"]
    parameters = {name: {"field_value": value} for name, value in values.items()}
    entry["pipeline_node"]["parameters"] = {"parameters": parameters} if parameters else {}
    assert PodTask.from_texts(task.to_texts()) == task


@given(st.text(alphabet="{}$(\"'\\\\a"))
def test_a_text_of_the_pipeline_survives_and_is_nothing_that_others_would_substitute(text):
    task = PodTask("a", {"nested": {"value": text}, "also": text}, "", "/app")
    written = task.to_texts().shared
    assert "{{" not in written
    assert "$(" not in written
    assert PodTask.from_texts(Texts(written)) == task


def test_a_task_of_another_version_names_both_and_what_to_do():
    text = TASK.to_texts().shared.replace("'version':2", "'version':7")
    with pytest.raises(RunError, match="version 7 of tasks, and this image has 2.*penstock build"):
        PodTask.from_texts(Texts(text))


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
