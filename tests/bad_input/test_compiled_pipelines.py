"""Compiled pipelines that somebody has changed: they run, or an error says what is wrong."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock import LocalRunner, _tfx, ir
from penstock.errors import DataError, PenstockError, PipelineError, RunError
from penstock.execution import preconditions
from penstock.runners.kubeflow.contract import documents
from penstock.runners.kubeflow.contract.task import PodTask
from penstock.runners.kubeflow.contract.texts import OWN, Texts
from penstock.runners.kubeflow.pod.binding import bind
from penstock.runners.kubeflow.pod.launcher import read_executor_input
from penstock.testing import Silent
from penstock.testing.kubeflow import specs
from penstock.testing.kubeflow.refusals import Refusal
from penstock_support import pod_components
from penstock_support.kubeflow_backend import compile_with_store
from penstock_support.mutations import mutated

pytestmark = pytest.mark.needs("kfp")

SEEDS = st.integers(0, 2**32)
FEW = settings(deadline=None, max_examples=150)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("compiled") / "root"
    compiled = ir.compile_pipeline(pod_components.small, pipeline_root=str(root))
    return dict(json_format.MessageToDict(compiled, preserving_proto_field_name=True))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return compile_with_store(
        pod_components.small, tmp_path_factory.mktemp("store") / "metadata.sqlite"
    )


def parsed(document: Any) -> Any:
    return json_format.ParseDict(document, _tfx.pipeline_pb2.Pipeline(), ignore_unknown_fields=True)


def runner(folder: Path) -> LocalRunner:
    return LocalRunner(
        pipeline_root=str(folder / "root"),
        metadata=str(folder / "metadata.sqlite"),
        display=Silent(),
    )


def told(attempt: Any) -> bool:
    """Do something; whether an error of ours, or a refusal of the server, says why it cannot be."""
    try:
        attempt()
    except (PenstockError, Refusal) as error:
        return bool(str(error))
    return False


@FEW
@given(seed=SEEDS)
def test_changed_ir_is_planned_or_refused(
    document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / "planned"
    try:
        changed = parsed(mutated(document, seed))
    except (json_format.ParseError, AttributeError, TypeError, ValueError):
        return  # it is no IR
    told(lambda: runner(folder).plan(changed))
    assert not folder.exists()


def node(document: dict[str, Any], name: str) -> Any:
    [found] = [
        entry["pipeline_node"]
        for entry in document["nodes"]
        if entry["pipeline_node"]["node_info"]["id"] == name
    ]
    return found


def without_type(document: dict[str, Any]) -> None:
    del node(document, "Trains")["node_info"]["type"]


def without_value(document: dict[str, Any]) -> None:
    node(document, "Tells")["parameters"]["parameters"]["accuracy"] = {}


def without_run(document: dict[str, Any]) -> None:
    contexts = node(document, "Makes")["contexts"]["contexts"]
    contexts[:] = [c for c in contexts if c["type"]["name"] != "pipeline_run"]


def twice(document: dict[str, Any]) -> None:
    document["nodes"].append(document["nodes"][1])


def in_a_circle(document: dict[str, Any]) -> None:
    node(document, "Makes")["upstream_nodes"] = ["Tells"]


def untyped_output(document: dict[str, Any]) -> None:
    del node(document, "Makes")["outputs"]["outputs"]["examples"]["artifact_spec"]["type"]


def run_id_of_another_type(document: dict[str, Any]) -> None:
    document["runtime_spec"]["pipeline_run_id"]["runtime_parameter"]["type"] = "DOUBLE"


FAULTS = {
    without_type: "node Trains: it has no type (node_info.type.name).",
    without_value: "node Tells: its parameter 'accuracy' has no value.",
    without_run: "node Makes: it belongs to no run: it has no context of the type pipeline_run.",
    untyped_output: "node Makes: its output 'examples' has no type (artifact_spec.type.name).",
    twice: "two nodes are called ",
    in_a_circle: "these nodes wait for each other (upstream_nodes): ",
    run_id_of_another_type: "the runtime parameter 'pipeline-run-id' has the type 2",
}


@pytest.mark.parametrize("change", FAULTS, ids=lambda change: change.__name__)
def test_what_is_wrong_with_ir_is_said_by_node_and_field_before_anything_is_written(
    document: dict[str, Any], tmp_path: Path, change: Any
) -> None:
    changed = copy.deepcopy(document)
    change(changed)
    with pytest.raises(PipelineError) as raised:
        runner(tmp_path).run(parsed(changed))
    assert f"pipeline small: {FAULTS[change]}" in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_an_executor_that_cannot_be_imported_fails_its_node(
    document: dict[str, Any], tmp_path: Path
) -> None:
    changed = copy.deepcopy(document)
    changed["deployment_config"]["executor_specs"]["Makes"]["class_path"] = "nowhere.at.all"
    result = runner(tmp_path).run(parsed(changed), raise_on_failure=False)
    assert "the executor 'nowhere.at.all' that the pipeline names cannot be imported" in str(
        result.nodes["Makes"].error
    )


def arguments(compiled: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a task as it is compiled, and an ExecutorInput for it."""
    [name] = [name for name in compiled.tasks if name == "tells"]
    given = {
        "inputs": {
            "parameterValues": {"rows": 3.0, "bonus": 0.0, "threshold": 0.5},
            "artifacts": {
                key: {"artifacts": [{"uri": f"s3://b/small/run-7/x/{key}", "metadata": {}}]}
                for key in compiled.tasks[name]["inputs"].get("artifacts", {})
            },
        },
        "outputs": {
            "artifacts": {"output": {"artifacts": [{"uri": "s3://b/small/run-7/tells/output"}]}},
            "outputFile": "/tmp/kfp_outputs/output_metadata.json",
        },
    }
    told = compiled.texts(name)
    given["inputs"]["parameterValues"][OWN] = told.own
    return {"shared": parsed_text(told.shared), "own": parsed_text(told.own)}, given


SWAPPED = str.maketrans({'"': "'", "'": '"'})


def parsed_text(text: str) -> Any:
    return json.loads(text.translate(SWAPPED))


def text_of(parsed: Any) -> str:
    return json.dumps(parsed).translate(SWAPPED)


@pytest.mark.parametrize("which", ["task", "input"])
@FEW
@given(seed=SEEDS)
def test_a_pod_takes_what_it_is_told_or_says_what_is_wrong(
    compiled: Any, tmp_path_factory: pytest.TempPathFactory, which: str, seed: int
) -> None:
    task, launched = arguments(compiled)
    if which == "task":
        part = ("shared", "own")[seed % 2]
        task[part] = mutated(task[part], seed)
    else:
        launched = mutated(launched, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path_factory.getbasetemp()))

        def begin() -> None:
            taken = PodTask.from_texts(Texts(text_of(task["shared"]), text_of(task["own"])))
            preconditions.check(bind(taken, read_executor_input(json.dumps(launched))))

        assert told(begin) in (True, False)


@pytest.mark.parametrize("text", ["", "[]", "null", "1", "[" * 100_000], ids=lambda t: t[:5])
def test_what_is_no_task_is_told(text: str) -> None:
    with pytest.raises(RunError, match="expected a task as JSON"):
        PodTask.from_texts(Texts(text))


@settings(deadline=None, max_examples=60)
@given(seed=SEEDS)
def test_changed_documents_are_read_or_refused(compiled: Any, seed: int) -> None:
    changed = mutated(compiled.spec, seed)

    def use() -> None:
        read = documents.read(yaml.safe_dump(changed), "small.yaml")
        documents.check_parameters(read, {})
        documents.tasks(read.spec)
        read.without_cache()

    def serve() -> None:
        taken = specs.read_documents([changed])
        specs.check_runnable(taken)
        taken.tasks()

    assert {told(use), told(serve)} <= {True, False}


def test_a_document_of_a_hundred_thousand_lists_is_refused() -> None:
    text = "[" * 100_000
    with pytest.raises(DataError, match="this is no compiled pipeline"):
        documents.read(text)
    with pytest.raises(Refusal, match="unable to decode yaml document"):
        specs.read_yaml(text.encode())
