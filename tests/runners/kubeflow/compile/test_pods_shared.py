"""Which nodes share a pod, and what becomes of them."""

from __future__ import annotations

import string
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock import Cond, ForEach, PodOptions, Retries, compile_pipeline, ir, pipeline
from penstock.artifacts import Model
from penstock.components import LatestArtifact
from penstock.errors import ParameterError
from penstock.project.kubeflow import KubeflowOptions
from penstock.runners.kubeflow.compile.compiling import compile_for_kubeflow
from penstock.runners.kubeflow.compile.shared_pods import pods_of
from penstock.runners.kubeflow.contract.tries import TRIES_VARIABLE, Tries
from penstock.testing.kubeflow.specs import check_runnable, read_yaml
from penstock_support import IMPORT_PATH
from penstock_support.kubeflow_pipelines import Count, Learn, Prepare, Summarize, cluster


def pods(make_pipeline, *small, **options):
    viewed = ir.view(compile_pipeline(make_pipeline))
    return pods_of(viewed, cluster(share_pods=True, small_nodes=small, **options))


@pipeline(name="toy")
def chain():
    made = Prepare()
    learnt = Learn(examples=made.outputs["examples"])
    return [made, learnt, Summarize(examples=made.outputs["examples"])]


def test_nobody_shares_a_pod_who_has_not_asked_for_it():
    assert pods_of(ir.view(compile_pipeline(chain)), cluster()) == []


def test_small_nodes_join_the_pod_of_a_node_that_they_follow():
    assert pods(chain, "Summarize") == [["Prepare", "Summarize"]]
    assert pods(chain, "Learn", "Summarize") == [["Prepare", "Learn", "Summarize"]]


def test_a_node_is_not_kept_waiting_by_one_that_it_does_not_follow():
    @pipeline(name="toy")
    def beside():
        return [LatestArtifact(Model), Prepare()]

    assert pods(beside) == []


def test_small_nodes_that_wait_for_the_same_ones_share_a_pod():
    @pipeline(name="toy")
    def sources():
        return [LatestArtifact(Model), Count()]

    [together] = pods(sources, "Count")
    assert len(together) == 2


def test_a_node_does_not_keep_the_pod_of_another_waiting_for_what_ends_later():
    @pipeline(name="toy")
    def late():
        made = Prepare()
        learnt = Learn(examples=made.outputs["examples"])
        last = Summarize(examples=made.outputs["examples"])
        last.add_upstream_node(learnt)
        return [made, learnt, last]

    assert pods(late, "Summarize") == [["Learn", "Summarize"]]


def test_nodes_with_other_options_have_pods_of_their_own():
    assert pods(chain, "Summarize", nodes={"Summarize": PodOptions(memory="1Gi")}) == []


@pipeline(name="toy")
def conditioned():
    number = Count()
    with Cond(number.outputs["output"].future()[0].value > 0):
        made = Prepare()
        last = Summarize(examples=made.outputs["examples"])
    return [number, made, last]


def test_nodes_with_other_conditions_have_pods_of_their_own():
    assert pods(conditioned, "Prepare", "Summarize") == [["Prepare", "Summarize"]]


def test_nodes_with_the_same_conditions_share_a_pod_that_obeys_them(compiled):
    made = compiled(conditioned, share_pods=True, small_nodes=("Prepare", "Summarize"))
    task = made.tasks["prepare-summarize"]
    assert "condition-holds" in task["triggerPolicy"]["condition"]
    assert task["dependentTasks"] == ["count", "decide-prepare-summarize"]


def test_nodes_in_a_loop_have_pods_of_their_own():
    @pipeline(name="toy")
    def looping():
        with ForEach([1, 2]) as start:
            number = Count(start=start)
        return [number]

    assert pods(looping, "Count") == []


def test_pods_that_cannot_write_are_not_shared_and_compiling_says_so(compiled):
    profile = replace(cluster(share_pods=True, small_nodes=("Summarize",)), pipeline_root="runs")
    made = compiled(chain, profile=profile)
    assert set(made.tasks) == {"prepare", "learn", "summarize"}
    assert any("Prepare, Summarize could share a pod" in warning for warning in made.warnings)


def test_a_name_among_small_nodes_that_is_no_node_s_is_told(compiled):
    made = compiled(chain, share_pods=True, small_nodes=("Sumarize",))
    assert any("among small_nodes 'Sumarize'" in warning for warning in made.warnings)


def test_small_nodes_are_refused_where_no_pods_are_shared():
    with pytest.raises(ParameterError, match="no nodes share pods") as caught:
        KubeflowOptions(small_nodes=("Count",))
    assert caught.value.hint == "Add share_pods = true."


def test_the_task_of_several_takes_what_comes_from_outside_and_puts_out_what_each_makes(compiled):
    made = compiled(chain, share_pods=True, small_nodes=("Summarize",))
    assert set(made.tasks) == {"prepare-summarize", "learn"}
    component = made.spec["components"]["comp-prepare-summarize"]
    assert "inputDefinitions" not in component
    assert "prepare--examples" in component["outputDefinitions"]["artifacts"]
    [source] = made.tasks["learn"]["inputs"]["artifacts"].values()
    assert source["taskOutputArtifact"] == {
        "producerTask": "prepare-summarize",
        "outputArtifactKey": "prepare--examples",
    }
    assert made.tasks["prepare-summarize"]["cachingOptions"] == {}


def test_a_shared_pod_may_take_as_long_as_its_nodes_together_and_has_the_tries_of_each(compiled):
    @pipeline(name="toy")
    def limited():
        made = Prepare().with_options(timeout_seconds=100, retries=1)
        last = Summarize(examples=made.outputs["examples"]).with_options(timeout_seconds=10)
        return [made, last]

    made = compiled(limited, share_pods=True, small_nodes=("Summarize",))
    own = {"Prepare": Tries(Retries(1), 100), "Summarize": Tries(timeout_seconds=10)}
    [pod] = made.pods.values()
    together = sum(tries.longest_seconds for tries in own.values())
    assert pod["activeDeadlineSeconds"] == str(together)
    [container] = made.containers.values()
    [text] = [v["value"] for v in container["env"] if v["name"] == TRIES_VARIABLE]
    assert {node: Tries.from_text(text, node) for node in own} == own
    assert Tries.from_text(text, "Learn") == Tries()


@st.composite
def graphs(draw):
    """Nodes by name, with the names of those that they wait for; and which of them are small."""
    count = draw(st.integers(2, 9))
    names = string.ascii_uppercase[:count]
    before = {
        name: draw(st.sets(st.sampled_from(names[:at]), max_size=3)) if at else set()
        for at, name in enumerate(names)
    }
    return before, draw(st.sets(st.sampled_from(names)))


@given(graphs())
@settings(deadline=None, max_examples=60)
def test_tasks_of_shared_pods_never_wait_for_one_another_in_a_circle(graph):
    before, small = graph

    @pipeline(name="toy")
    def any_graph():
        nodes = {}
        for name, names in before.items():
            nodes[name] = Count().with_id(name)
            for other in sorted(names):
                nodes[name].add_upstream_node(nodes[other])
        return list(nodes.values())

    profile = cluster(share_pods=True, small_nodes=tuple(sorted(small)))
    made = compile_for_kubeflow(any_graph, profile, Path(IMPORT_PATH))
    read = read_yaml(made.to_yaml().encode())
    check_runnable(read)
    assert len(read.tasks()) >= len(before) - len(small)
