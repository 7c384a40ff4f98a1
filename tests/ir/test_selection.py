"""Which nodes of a pipeline run, lend or stay out, as the IR says it."""

from __future__ import annotations

import pytest

from penstock import compile_pipeline, pipeline
from penstock.components import LatestArtifact
from penstock.errors import ParameterError
from penstock.ir import select_nodes, view, without_deployment
from penstock_support import resuming_components as resuming
from penstock_support.example_components import Doubling, Join
from penstock_support.registering_components import numbers

pytestmark = pytest.mark.core


@pytest.fixture(scope="module")
def three():
    return compile_pipeline(resuming.three, pipeline_root="/root")


def chosen(compiled, **options) -> dict[str, str]:
    def what(node) -> str:
        return "lends" if node.lends else "out" if node.is_left_out else "runs"

    return {n.id: what(n) for n in view(select_nodes(compiled, **options))}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("runs", "runs", "runs")),
        ({"only": ["Second"]}, ("lends", "runs", "out")),
        ({"only": ["First", "Third"]}, ("runs", "lends", "runs")),
        ({"from_nodes": ["Second"]}, ("lends", "runs", "runs")),
        ({"to_nodes": ["Second"]}, ("runs", "runs", "out")),
        ({"from_nodes": ["Second"], "to_nodes": ["Second"]}, ("lends", "runs", "out")),
        ({"from_nodes": ["First", "Third"]}, ("runs", "runs", "runs")),
    ],
)
def test_options_choose_what_runs_and_what_lends(three, options, expected):
    assert tuple(chosen(three, **options).values()) == expected


def test_the_given_ir_stays_as_it_was(three):
    before = three.SerializeToString(deterministic=True)
    select_nodes(three, only=["Second"])
    assert three.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(
    ("option", "name"), [("from_nodes", "--from"), ("to_nodes", "--to"), ("only", "--only")]
)
def test_an_unknown_node_is_answered_with_the_nearest(three, option, name):
    with pytest.raises(ParameterError) as caught:
        select_nodes(three, **{option: ["Secnd"]})
    expected = f"{name}: pipeline three has no node 'Secnd'. Did you mean 'Second'?"
    assert str(caught.value) == expected


def test_a_part_with_nothing_in_it_is_refused(three):
    with pytest.raises(ParameterError) as caught:
        select_nodes(three, from_nodes=["Third"], to_nodes=["First"])
    assert str(caught.value) == (
        "no node lies between --from Third and --to First. What is named after --to must depend "
        "on what is named after --from."
    )


def test_only_does_not_go_with_from_or_to(three):
    with pytest.raises(ParameterError, match="--only cannot stand beside --from or --to"):
        select_nodes(three, only=["First"], to_nodes=["Second"])


def test_resolvers_and_importers_that_chosen_nodes_use_run_too():
    from penstock._tfx import Importer
    from penstock.artifacts import Model

    @pipeline
    def looking():
        made = Doubling()
        last = LatestArtifact(made.outputs["model"]).with_id("last")
        found = Importer(source_uri="/model", artifact_type=Model).with_id("found")
        joined = Join(models=last.outputs["model"])
        other = resuming.Third(model=found.outputs["result"], folder="/f")
        return [made, last, found, joined, other]

    compiled = compile_pipeline(looking, pipeline_root="/root")
    picked = chosen(compiled, only=["Join"])
    assert {name for name, what in picked.items() if what == "runs"} == {"last", "Join"}
    assert picked["found"] == "out"
    picked = chosen(compiled, only=["Third"])
    assert {name for name, what in picked.items() if what == "runs"} == {"found", "Third"}


def test_without_deployment_what_deploys_is_left_out_and_nothing_refers_to_it():
    reduced = view(without_deployment(compile_pipeline(numbers, pipeline_root="/root")))
    assert sorted(reduced.nodes) == ["JudgeNumber", "TrainNumber", "champion"]
    assert all(name in reduced.nodes for n in reduced for name in n.proto.downstream_nodes)


def test_without_deployment_nodes_are_what_they_are_in_the_whole():
    whole = view(compile_pipeline(numbers, pipeline_root="/root"))
    reduced = view(without_deployment(whole.proto))
    before, after = whole.nodes["TrainNumber"].proto, reduced.nodes["TrainNumber"].proto
    assert set(before.downstream_nodes) - set(after.downstream_nodes) == {"ModelRegistrar"}
    before.ClearField("downstream_nodes")
    after.ClearField("downstream_nodes")
    assert before == after
