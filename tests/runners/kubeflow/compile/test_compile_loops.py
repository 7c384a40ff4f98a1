"""What a loop becomes on Kubeflow, and what is refused there."""

from __future__ import annotations

import json

import pytest
import yaml

from penstock import ForEach, _tfx, pipeline
from penstock.errors import ParameterError, PipelineError
from penstock.runners.kubeflow.contract import items
from penstock.testing.kubeflow.refusals import Refusal
from penstock.testing.kubeflow.specs import check_runnable, read_documents
from penstock_support import loop_components as loops
from penstock_support.kubeflow_pipelines import Filter


def test_a_loop_is_a_task_of_the_iterator_as_the_sdk_writes_it(compiled, tmp_path):
    from kfp import compiler

    from penstock_support.kubeflow_sdk_loops import toy

    compiler.Compiler().compile(toy, str(tmp_path / "toy.yaml"))
    theirs = yaml.safe_load((tmp_path / "toy.yaml").read_text())
    ours = compiled(loops.of_rates)
    loop, their_loop = ours.tasks["for-each-1"], theirs["root"]["dag"]["tasks"]["for-loop-1"]
    assert set(loop) == set(their_loop)
    assert set(loop["parameterIterator"]) == set(their_loop["parameterIterator"])
    iterated = loop["parameterIterator"]["items"]["inputParameter"]
    their_iterated = their_loop["parameterIterator"]["items"]["inputParameter"]
    assert set(loop["inputs"]["parameters"][iterated]) == {"taskOutputParameter"}
    assert set(their_loop["inputs"]["parameters"][their_iterated]) == {"taskOutputParameter"}
    defined = ours.spec["components"]["comp-for-each-1"]["inputDefinitions"]["parameters"]
    theirs_defined = theirs["components"]["comp-for-loop-1"]["inputDefinitions"]["parameters"]
    assert {iterated, loop["parameterIterator"]["itemInput"], "folder"} == set(defined)
    assert len(defined) == len(theirs_defined)
    assert ours.tasks["compare"]["dependentTasks"] == ["for-each-1"]
    assert theirs["root"]["dag"]["tasks"]["after"]["dependentTasks"] == ["for-loop-1"]


def test_constants_are_items_of_the_iterator_with_their_places(compiled):
    iterator = compiled(loops.of_constants).tasks["for-each-1"]["parameterIterator"]
    read = [items.read(text) for text in json.loads(iterator["items"]["raw"])]
    assert [(one.item.index, one.value["name"]) for one in read] == [(0, "a"), (1, "b")]


def test_what_comes_from_outside_comes_through_the_inputs_of_the_loop(compiled):
    made = compiled(loops.of_a_condition)
    assert made.tasks["for-each-1"]["inputs"]["artifacts"] == {
        "rows--examples": {
            "taskOutputArtifact": {"outputArtifactKey": "examples", "producerTask": "rows"}
        }
    }
    inner = made.spec["components"]["comp-for-each-1"]["dag"]["tasks"]
    assert set(inner) == {"train", "measure", "decide-told", "told"}
    assert inner["told"]["inputs"]["artifacts"]["examples"] == {
        "componentInputArtifact": "rows--examples"
    }


@pytest.mark.parametrize(
    "looped",
    [
        loops.of_rates,
        loops.of_constants,
        loops.of_artifacts,
        loops.of_a_condition,
        loops.of_a_loop_in_a_loop,
        loops.of_a_loop_between_loops,
        loops.of_lists_in_items,
        loops.of_containers,
    ],
    ids=lambda looped: looped.name,
)
def test_the_strict_server_takes_loops(compiled, looped):
    check_runnable(read_documents([compiled(looped).spec]))


@pytest.mark.parametrize(
    ("iterated", "why"),
    [
        ({"raw": "no list"}, "error unmarshall raw string"),
        ({"raw": "{}"}, "value of type dict cannot be iterated"),
        ({"inputParameter": "unknown"}, "cannot find input parameter"),
    ],
)
def test_the_strict_server_refuses_what_the_driver_cannot_iterate_over(compiled, iterated, why):
    spec = compiled(loops.of_constants).spec
    spec["root"]["dag"]["tasks"]["for-each-1"]["parameterIterator"]["items"] = iterated
    with pytest.raises(Refusal, match=why):
        check_runnable(read_documents([spec]))


def test_pods_of_loops_always_start_since_the_store_is_to_know_what_they_made(compiled):
    made = compiled(loops.of_rates)
    inner = made.spec["components"]["comp-for-each-1"]["dag"]["tasks"]
    cached = {name: task["cachingOptions"] for name, task in {**inner, **made.tasks}.items()
              if "cachingOptions" in task}  # fmt: skip
    assert cached == {name: {} for name in ("train", "measure", "compare", "items-of-for-each-1")}


def graph(made, loop):
    """Return the tasks that stand in a loop."""
    return made.spec["components"][f"comp-{loop}"]["dag"]["tasks"]


def test_a_loop_in_a_loop_is_a_task_in_its_component_as_the_sdk_writes_it(compiled, tmp_path):
    from kfp import compiler

    from penstock_support.kubeflow_sdk_loops import nested

    compiler.Compiler().compile(nested, str(tmp_path / "nested.yaml"))
    theirs = yaml.safe_load((tmp_path / "nested.yaml").read_text())
    their_loops = [name for name in theirs["components"] if name.startswith("comp-for-loop")]
    outer, inner = sorted(their_loops)
    made = compiled(loops.of_a_loop_in_a_loop)
    ours = graph(made, "for-each-1")["for-each-2"]
    [their_own] = [
        task
        for task in theirs["components"][outer]["dag"]["tasks"].values()
        if task["componentRef"]["name"] == inner
    ]
    assert set(ours) - {"dependentTasks"} == set(their_own)
    assert set(ours["parameterIterator"]) == set(their_own["parameterIterator"])
    item = made.tasks["for-each-1"]["parameterIterator"]["itemInput"]
    their_item = theirs["root"]["dag"]["tasks"][outer.removeprefix("comp-")]
    their_item = their_item["parameterIterator"]["itemInput"]
    assert ours["inputs"]["parameters"][item] == {"componentInputParameter": item}
    assert their_own["inputs"]["parameters"][their_item] == {"componentInputParameter": their_item}
    assert ours["parameterIterator"]["itemInput"] != item
    innermost = graph(made, "for-each-2")["train"]["inputs"]["parameters"]
    assert {"penstock_item", "penstock_item_2"} <= set(innermost)


def test_what_comes_into_a_loop_in_a_loop_comes_through_the_inputs_of_both(compiled):
    made = compiled(loops.of_a_loop_between_loops)
    assert set(made.tasks) == {"rows", "items-of-for-each-1", "for-each-1", "joined"}
    assert made.tasks["for-each-1"]["inputs"]["artifacts"]["rows--examples"] == {
        "taskOutputArtifact": {"outputArtifactKey": "examples", "producerTask": "rows"}
    }
    between = graph(made, "for-each-1")
    assert set(between) == {"list", "items-of-for-each-2", "for-each-2"}
    assert between["for-each-2"]["inputs"]["artifacts"] == {
        "rows--examples": {"componentInputArtifact": "rows--examples"}
    }
    assert between["for-each-2"]["dependentTasks"] == ["items-of-for-each-2", "list"]
    assert made.tasks["joined"]["dependentTasks"] == ["for-each-1"]


def test_items_that_do_not_change_from_item_to_item_are_made_once(compiled):
    made = compiled(loops.of_two_parameters)
    assert {"items-of-for-each-1", "items-of-for-each-2"} < set(made.tasks)
    passed = graph(made, "for-each-1")["for-each-2"]["inputs"]["parameters"]["penstock_items"]
    assert passed == {"componentInputParameter": "items-of-for-each-2--penstock_items"}


def test_a_node_of_a_loop_that_starts_after_failures_is_refused(compiled):
    @pipeline(name="toy")
    def toy():
        with ForEach([1, 2]) as rate:
            trained = loops.Train(rate=rate).with_options(start="completed")
        return [trained]

    with pytest.raises(PipelineError, match="starts after failures too, which only the last node"):
        compiled(toy)


def test_a_text_of_an_item_has_nothing_that_argo_or_kubernetes_would_fill_in(compiled):
    @pipeline(name="toy")
    def toy():
        with ForEach(["{{workflow.name}}", "$(HOME)"]) as name:
            rows = loops.Rows(name=name)
        return [rows]

    raw = compiled(toy).tasks["for-each-1"]["parameterIterator"]["items"]["raw"]
    assert "{{" not in raw
    assert "$(" not in raw
    assert [items.read(text).value for text in json.loads(raw)] == ["{{workflow.name}}", "$(HOME)"]


def test_items_of_a_resolver_are_found_by_the_run(compiled):
    from penstock.artifacts import Examples

    @pipeline(name="toy")
    def toy():
        latest = _tfx.Resolver(
            strategy_class=_tfx.LatestArtifactStrategy,
            config={"desired_num_of_artifacts": 3},
            examples=_tfx.types.Channel(type=Examples),
        ).with_id("latest")
        with ForEach(latest.outputs["examples"]) as examples:
            read = loops.Read(examples=examples)
        return [read]

    made = compiled(toy)
    assert made.tasks["items-of-for-each-1"]["dependentTasks"] == ["latest"]
    assert "artifacts" not in made.tasks["items-of-for-each-1"]["inputs"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda inner: inner.clear(), "DAG must contain one or more non-exit tasks"),
        (
            lambda inner: inner["train"].update(dependentTasks=["rows"]),
            'unknown producer task "rows" in DAG',
        ),
        (
            lambda inner: inner["train"]["inputs"]["parameters"].update(
                rate={"componentInputParameter": "rate"}
            ),
            "parent DAG does not have input parameter rate",
        ),
        (
            lambda inner: inner["told"]["inputs"]["artifacts"].update(
                examples={"componentInputArtifact": "examples"}
            ),
            "parent DAG does not have input artifact examples",
        ),
    ],
    ids=["empty", "producer", "parameter", "artifact"],
)
def test_the_strict_server_refuses_what_is_not_in_the_graph_of_a_task(compiled, change, why):
    made = compiled(loops.of_a_loop_in_a_loop)
    change(graph(made, "for-each-2"))
    with pytest.raises(Refusal, match=why):
        check_runnable(read_documents([made.spec]))


def test_a_container_takes_of_an_item_what_kubeflow_selects_as_its_sdk_writes_it(
    compiled, tmp_path
):
    from kfp import compiler

    from penstock_support.kubeflow_sdk_loops import parts

    compiler.Compiler().compile(parts, str(tmp_path / "parts.yaml"))
    theirs = yaml.safe_load((tmp_path / "parts.yaml").read_text())
    [their_loop] = [c["dag"] for c in theirs["components"].values() if "dag" in c]
    [their_part] = [
        given["parameterExpressionSelector"]
        for given in their_loop["tasks"]["work"]["inputs"]["parameters"].values()
        if "parameterExpressionSelector" in given
    ]
    assert their_part == 'parseJson(string_value)["label"]'
    ours = graph(compiled(loops.of_containers), "for-each-1")["writes"]["inputs"]["parameters"]
    assert {given["parameterExpressionSelector"] for given in ours.values()} == {
        f'parseJson(string_value)["{key}"]' for key in ("told_0", "told_1", "digest")
    }


def test_kubeflow_s_cache_sees_of_an_item_what_a_container_takes_and_not_its_place(compiled):
    again = graph(compiled(loops.of_containers), "for-each-3")["again"]
    assert again["cachingOptions"] == {"enableCache": True}
    assert set(again["inputs"]["parameters"]) == {
        "penstock_item_digest",
        "penstock_item_2_digest",
        "penstock_item_2_told_0",
    }


def test_a_container_that_takes_an_item_that_is_an_artifact_is_refused(compiled):
    @pipeline(name="toy")
    def toy(names: list[str] = ["a"]):  # noqa: B006  # a default that nobody changes
        with ForEach(names) as name:
            rows = loops.Rows(name=name)
        with ForEach(rows.outputs["examples"]) as examples:
            filtered = Filter(examples=examples, share="1")
        return [filtered]

    with pytest.raises(PipelineError, match="an item of for-each-2 that is an artifact, and is a"):
        compiled(toy)


def test_a_container_that_takes_what_all_items_made_is_refused(compiled):
    @pipeline(name="toy")
    def toy(names: list[str] = ["a"]):  # noqa: B006  # a default that nobody changes
        with ForEach(names) as name:
            rows = loops.Rows(name=name)
        return [Filter(examples=rows.outputs["examples"], share="1")]

    with pytest.raises(PipelineError, match="what Rows makes for all items of a loop, and is a co"):
        compiled(toy)


def test_a_container_is_told_nothing_that_argo_would_fill_in(compiled):
    @pipeline(name="toy")
    def toy():
        with ForEach(["{{workflow.name}}"]) as name:
            written = loops.Writes(name=name, size=1.0)
        return [written]

    with pytest.raises(ParameterError, match="an item of for-each-1, of which a container of its"):
        compiled(toy)


def test_a_part_of_no_known_type_is_refused_where_a_component_of_tfx_takes_it(compiled):
    with pytest.raises(PipelineError, match="takes str, int or float, and its type is not known"):
        compiled(loops.of_parts_of_no_type)
