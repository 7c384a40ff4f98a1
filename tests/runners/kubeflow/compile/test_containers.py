"""Components that are containers of their own: their commands, and the tasks that record them."""

from __future__ import annotations

from typing import Any

import pytest

from penstock import Retries, pipeline, with_options
from penstock.errors import ParameterError, PipelineError
from penstock.runners.kubeflow.contract import documents
from penstock_support.kubeflow_pipelines import Filter, Learn, Prepare

pytestmark = pytest.mark.core


def filtering(retries: Retries = Retries(), **options: Any) -> Any:  # it is frozen
    @pipeline(name="toy")
    def toy(share: str = "0.5"):
        made = Prepare()
        filtered = Filter(examples=made.outputs["examples"], share=share, **options)
        with_options(filtered, retries=retries)
        return Learn(examples=filtered.outputs["filtered"])

    return toy


def test_a_container_runs_as_it_is_with_the_launcher_s_paths(compiled):
    made = compiled(filtering())
    container = made.containers["filter"]
    assert container["image"] == "registry.example/filter:3"
    assert container["command"] == [
        "filter",
        "--from",
        "{{$.inputs.artifacts['examples'].path}}",
        "--to={{$.outputs.artifacts['filtered'].path}}/data",
        "--share",
        "{{$.inputs.parameters['share']}}",
    ]
    assert made.tasks["filter"]["inputs"]["parameters"] == {
        "share": {"componentInputParameter": "share"}
    }


def test_a_task_after_it_records_what_it_did_and_others_wait_for_that(compiled, pod_task):
    made = compiled(filtering())
    task = pod_task(made, "filter-record")
    assert (task.action, task.node) == ("record", "Filter")
    assert made.tasks["filter-record"]["dependentTasks"] == ["filter"]
    assert made.tasks["filter-record"]["inputs"]["artifacts"] == {
        "examples": {
            "taskOutputArtifact": {"outputArtifactKey": "examples", "producerTask": "prepare"}
        },
        "made_filtered": {
            "taskOutputArtifact": {"outputArtifactKey": "filtered", "producerTask": "filter"}
        },
    }
    assert made.tasks["learn"]["dependentTasks"] == ["filter-record"]
    [taken] = made.tasks["learn"]["inputs"]["artifacts"].values()
    assert taken["taskOutputArtifact"]["producerTask"] == "filter"


def test_a_container_is_told_by_its_node_and_what_records_it_by_its_task(compiled):
    titles = {task.key: task.title for task in documents.tasks(compiled(filtering()).spec)}
    assert titles == {
        "prepare": "Prepare",
        "filter": "Filter",
        "filter-record": "filter-record",
        "learn": "Learn",
    }


def test_a_container_is_tried_again_by_argo_whatever_it_failed_of(compiled):
    made = compiled(filtering(Retries(2, pause_seconds=5)))
    policy = made.tasks["filter"]["retryPolicy"]
    assert policy["maxRetryCount"] == 2
    assert policy["backoffDuration"] == "5s"
    # A try that runs as it ends is ended too.
    assert policy["backoffMaxDuration"] == "2592000s"
    assert "retryPolicy" not in made.tasks["filter-record"]
    with pytest.raises(PipelineError, match="node Filter is to be tried again after memory, and"):
        compiled(filtering(Retries(2, after=("memory",))))


def test_a_command_with_two_braces_is_refused(compiled):
    @pipeline(name="toy")
    def toy():
        made = Prepare()
        return Filter(examples=made.outputs["examples"], share="{{workflow.name}}")

    with pytest.raises(ParameterError, match="node Filter, the command of its container: Argo tak"):
        compiled(toy)


def test_a_command_with_the_content_of_an_artifact_is_refused(compiled):
    with pytest.raises(PipelineError, match="node Filter: the command of its container has a"):
        compiled(filtering(by_content=True))


def test_an_exit_handler_that_is_a_container_is_refused(compiled):
    from tfx.dsl.component.experimental.container_component import create_container_component

    from penstock import with_options

    @pipeline(name="toy")
    def toy():
        made = Prepare()
        last = create_container_component(name="Last", image="image", command=["notify"])()
        last.add_upstream_node(made)
        return made, with_options(last, start="completed")

    with pytest.raises(PipelineError, match="node Last starts after failures too, and is a cont"):
        compiled(toy)
