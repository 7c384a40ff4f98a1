"""Components that are containers of their own: their commands, and what is recorded of them."""

from __future__ import annotations

from typing import Any

import pytest
from kubeflow_pipelines import Learn, Prepare

from penstock import _tfx, pipeline
from penstock.artifacts import Examples
from penstock.errors import PipelineError


def Filter(**arguments: Any) -> Any:
    """Return a node of TFX's that is a container."""
    from tfx.dsl.component.experimental.container_component import create_container_component
    from tfx.dsl.component.experimental.placeholders import (
        ConcatPlaceholder,
        InputUriPlaceholder,
        InputValuePlaceholder,
        OutputUriPlaceholder,
    )

    read = InputValuePlaceholder if arguments.pop("by_content", False) else InputUriPlaceholder
    make = create_container_component(
        name="Filter",
        image="registry.example/filter:3",
        command=[
            "filter",
            "--from",
            read("examples"),
            ConcatPlaceholder(["--to=", OutputUriPlaceholder("filtered"), "/data"]),
            "--share",
            InputValuePlaceholder("share"),
        ],
        inputs={"examples": Examples},
        outputs={"filtered": Examples},
        parameters={"share": str},
    )
    return make(**arguments)


def filtering(**options: Any) -> Any:
    @pipeline(name="toy")
    def toy(share: str = "0.5"):
        made = Prepare()
        filtered = Filter(examples=made.outputs["examples"], share=share, **options)
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
    task = pod_task(made.containers["filter-record"])
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


@pytest.fixture
def recorded(compiled, pod_task, tmp_path):
    """Play the pod of a recording task after a container; return its store and what it said."""
    from dataclasses import replace

    from penstock.metadata.store import connect, connection_config
    from penstock.runners.kubeflow.launcher import ExecutorInput, LaunchedArtifact
    from penstock.runners.kubeflow.pod import run_task

    made = compiled(filtering())
    store = tmp_path / "metadata.sqlite"
    task = replace(
        pod_task(made.containers["filter-record"]), store=str(store), project_folder=str(tmp_path)
    )
    folder = tmp_path / "filtered"
    folder.mkdir()
    (folder / "data").write_text("kept")

    def play() -> Any:
        with connect(connection_config(str(store))) as metadata:
            made = Examples()
            examples = made.mlmd_artifact
            examples.type_id = metadata.store.put_artifact_type(made.artifact_type)
            examples.uri = "s3://bucket/examples"
            examples.state = _tfx.metadata_store_pb2.Artifact.LIVE
            examples.custom_properties["content_digest"].string_value = "0123"
            examples.custom_properties["content_signature"].string_value = "4567"
            examples.custom_properties["content_bytes"].int_value = 8
            metadata.store.put_artifacts([examples])
        given = ExecutorInput(
            parameters={"share": "0.5"},
            inputs={
                "examples": [LaunchedArtifact("s3://bucket/examples", str(tmp_path / "in"))],
                "made_filtered": [LaunchedArtifact("s3://bucket/filtered", str(folder))],
            },
            outputs={},
            output_file=str(tmp_path / "out" / "executor_output.json"),
            files={},
        )
        assert run_task(task, given) == "done"
        return store

    return play


def test_what_a_container_did_is_in_the_store(recorded, monkeypatch):
    from penstock.metadata.store import connect, connection_config

    monkeypatch.setenv("KFP_RUN_ID", "run-1")
    store = recorded()
    with connect(connection_config(str(store))) as metadata:
        [artifact] = metadata.store.get_artifacts_by_uri("s3://bucket/filtered")
        assert artifact.custom_properties["content_bytes"].int_value == len("kept")
        [event] = metadata.store.get_events_by_artifact_ids([artifact.id])
        assert event.type == _tfx.metadata_store_pb2.Event.OUTPUT
        [execution] = metadata.store.get_executions_by_id([event.execution_id])
        contexts = metadata.store.get_contexts_by_execution(execution.id)
        assert "run-1" in [context.name for context in contexts]
        [taken] = [
            e
            for e in metadata.store.get_events_by_execution_ids([execution.id])
            if e.type == _tfx.metadata_store_pb2.Event.INPUT
        ]
        [examples] = metadata.store.get_artifacts_by_id([taken.artifact_id])
        assert examples.uri == "s3://bucket/examples"


def test_what_kubeflow_s_cache_lent_is_recorded_as_the_same_artifact(recorded, monkeypatch):
    from penstock.metadata.store import connect, connection_config

    for run_id in ("run-1", "run-2"):
        monkeypatch.setenv("KFP_RUN_ID", run_id)
        store = recorded()
    with connect(connection_config(str(store))) as metadata:
        [artifact] = metadata.store.get_artifacts_by_uri("s3://bucket/filtered")
        events = metadata.store.get_events_by_artifact_ids([artifact.id])
        assert len({event.execution_id for event in events}) == 2
