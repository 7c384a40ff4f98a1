"""Tasks that share a component, and how large a pipeline may become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock import Cond, compile_pipeline, pipeline
from penstock.errors import PipelineError
from penstock.pods import PodOptions
from penstock.runners.kubeflow.compile.compiling import LIMIT, compile_for_kubeflow
from penstock.runners.kubeflow.compile.workflow import ARGO_LIMIT
from penstock_support.kubeflow_pipelines import Count, Prepare, cluster

PROJECT = Path(__file__).parents[3]


def chain(length: int) -> Any:
    """Return a pipeline of nodes each of which takes the number of the one before it."""

    @pipeline(name="chain")
    def chained() -> Any:
        nodes = [Count(start=1).with_id("count-0")]
        for number in range(1, length):
            before = nodes[-1].outputs["output"]
            nodes.append(Count(start=before).with_id(f"count-{number}"))
        return nodes

    return chained


def prepares(*labels: str) -> Any:
    @pipeline(name="prepares")
    def prepared() -> Any:
        return [Prepare(label=label).with_id(f"Prepare-{n}") for n, label in enumerate(labels)]

    return prepared


def test_nodes_of_one_component_share_its_container_and_its_pod(compiled, pod_task):
    made = compiled(chain(4))
    assert list(made.containers) == list(made.pods) == ["count-0", "count-1"]
    assert {task["componentRef"]["name"] for task in made.tasks.values()} == {
        "comp-count-0",
        "comp-count-1",
    }
    made.containers["count-3"] = made.containers["count-1"]
    task = pod_task(made, "count-3")
    assert (task.node, [taken.producer for taken in task.inputs]) == ("count-3", ["count-2"])


def test_what_a_pod_of_a_sharing_task_is_told_is_what_the_compiler_says(compiled, pod_task):
    from google.protobuf import json_format

    made = compiled(prepares("a", "b"))
    made.containers["prepare-1"] = made.containers["prepare-0"]
    task = pod_task(made, "prepare-1")
    [_, node] = compile_pipeline(prepares("a", "b"), pipeline_root="").nodes
    alone = json_format.MessageToDict(node.pipeline_node, preserving_proto_field_name=True)
    [entry] = task.pipeline["nodes"]
    assert entry["pipeline_node"]["contexts"] == alone["contexts"]
    assert entry["pipeline_node"]["parameters"] == alone["parameters"]


def test_nodes_with_pods_of_their_own_have_components_of_their_own(compiled):
    nodes = {"Prepare-1": PodOptions(labels={"team": "b"})}
    made = compiled(prepares("a", "a"), nodes=nodes)
    assert set(made.pods) == {"prepare-0", "prepare-1"}


def test_containers_of_two_components_are_never_alike(compiled):
    nodes = {"Prepare-1": PodOptions(labels={"team": "b"})}
    made = compiled(prepares("a", "a"), nodes=nodes)
    assert made.containers["prepare-0"] != made.containers["prepare-1"]
    assert made.containers["prepare-0"]["args"] == made.containers["prepare-1"]["args"]


def test_a_long_parameter_is_told_the_container_alone(compiled, pod_task):
    made = compiled(prepares("a", "long " * 200))
    assert "penstock_node" not in str(made.tasks["prepare-1"])
    assert "long long" in made.containers["prepare-1"]["args"][1]
    assert pod_task(made, "prepare-1").node == "Prepare-1"


def test_nodes_under_one_condition_share_a_component(compiled):
    @pipeline(name="toy")
    def toy() -> Any:
        deciding = Count(start=1)
        with Cond(deciding.outputs["output"] > 0):
            prepared = [Prepare().with_id(f"Prepare-{number}") for number in range(2)]
        return [deciding, *prepared]

    made = compiled(toy)
    assert made.tasks["prepare-0"]["componentRef"] == made.tasks["prepare-1"]["componentRef"]


def test_a_thousand_small_nodes_can_be_submitted_and_what_stock_argo_keeps_is_told():
    made = compile_for_kubeflow(chain(1000), cluster(), PROJECT)
    [warning] = made.warnings
    size = int(warning.partition("a workflow of ")[2].partition(" bytes")[0].replace(",", ""))
    assert ARGO_LIMIT < size < LIMIT


def test_a_pipeline_that_is_too_large_is_refused_with_its_size_and_the_limit(compiled):
    labels = [f"{number:04}" * 9_000 for number in range(60)]
    with pytest.raises(PipelineError) as raised:
        compiled(prepares(*labels))
    said = str(raised.value)
    assert "pipeline prepares becomes a workflow of 2," in said
    assert "of its 60 tasks, and Kubernetes takes none of more than 2,097,152" in said
    assert "long texts are better kept in a file of the project" in said
