"""Which run lends to a part of a pipeline, and how that is told and recorded."""

from __future__ import annotations

import shutil

import pytest

from penstock import ir
from penstock.errors import RunError, RunLookupError
from penstock.execution.plan import Verdict
from penstock.execution.schedule import State
from penstock.metadata.runs import base_run_of
from penstock.metadata.store import connect, connection_config
from penstock_support import resuming_components as resuming
from penstock_support.lending_components import difference, siblings
from penstock_support.loop_components import of_what_is_returned
from penstock_support.resuming_components import runner_in


def run(folder, pipeline=difference, **options):
    return runner_in(folder).run(pipeline, **options)


def value(result, node: str):
    return result.output(node, "output").read()


def base_of(folder, result) -> str:
    with connect(connection_config(str(folder / "metadata.sqlite"))) as metadata:
        return base_run_of(metadata.store, result.run_id)


@pytest.fixture
def whole(tmp_path):
    return run(tmp_path)


def test_all_that_is_lent_comes_from_the_newest_run_that_has_all_of_it(whole, tmp_path):
    run(tmp_path, parameters={"loaded": 5}, only=["Load"])
    result = run(tmp_path, parameters={"loaded": 5}, only=["Subtract"])
    # 1 + 1 - 1, and not 1 + 1 - 5
    assert value(result, "Subtract") == 1
    assert base_of(tmp_path, result) == whole.run_id


def test_a_plan_says_which_run_lends_and_why_no_newer_one(whole, tmp_path):
    newer = run(tmp_path, parameters={"loaded": 5}, only=["Load"])
    planned = runner_in(tmp_path).plan(difference, only=["Subtract"])
    assert {node.node_id: node.reasons for node in planned}["Load"] == (
        f"from run {whole.run_id}: run {newer.run_id} is newer, and lacks what Add would lend",
    )


def test_a_run_says_which_run_lends(whole, tmp_path):
    views = {}

    class Watching(resuming.Silent):
        def start(self, title, nodes):
            views.update(nodes)

    runner_in(tmp_path, display=Watching()).run(difference, only=["Subtract"])
    assert views["Load"].note == f"reused from run {whole.run_id}"


def test_a_part_has_what_stands_beside_it_for_parts_that_come_later(tmp_path):
    run(tmp_path, siblings)
    left = run(tmp_path, siblings, parameters={"left": 10}, only=["Left"])
    right = run(tmp_path, siblings, parameters={"right": 7}, only=["Right"])
    assert left.nodes["Right"].state is State.CACHED
    result = run(tmp_path, siblings, only=["Subtract"])
    assert value(result, "Subtract") == 3
    assert base_of(tmp_path, result) == right.run_id


def test_what_stands_beside_a_part_and_has_never_run_is_passed_over(tmp_path):
    result = run(tmp_path, siblings, only=["Left"])
    assert result.nodes["Right"].state is State.SKIPPED
    assert result.nodes["Right"].error == "it was not asked for"
    assert base_of(tmp_path, result) == ""


def test_what_several_runs_have_only_together_is_not_lent(tmp_path):
    first = run(tmp_path, siblings)
    second = run(tmp_path, siblings, parameters={"left": 10, "right": 20})
    shutil.rmtree(tmp_path / "root" / "Left" / "output" / str(second.nodes["Left"].execution_id))
    shutil.rmtree(tmp_path / "root" / "Right" / "output" / str(first.nodes["Right"].execution_id))
    with pytest.raises(RunLookupError) as caught:
        run(tmp_path, siblings, only=["Subtract"])
    assert str(caught.value) == (
        "nodes Left and Right are left out, but nodes that are to run need what all of them have "
        f"put out in one run, and no run of siblings has it: run {first.run_id} has that of Left, "
        f"run {second.run_id} has that of Right. Let one of them run too: widen --from, --to or "
        "--only."
    )
    planned = runner_in(tmp_path).plan(siblings, only=["Subtract"])
    verdicts = [node.verdict for node in planned]
    assert verdicts == [Verdict.FAILS, Verdict.FAILS, Verdict.SKIPPED]


def test_the_items_of_a_loop_are_lent_by_a_run_that_has_all_of_them(tmp_path):
    whole = run(tmp_path, of_what_is_returned)
    newer = run(tmp_path, of_what_is_returned, cache=False)
    shutil.rmtree(newer.nodes["Train.1"].outputs["model"][0].uri)
    result = run(tmp_path, of_what_is_returned, only=["Compare"], cache=False)
    assert base_of(tmp_path, result) == whole.run_id


def test_a_run_of_another_pipeline_does_not_lend(whole, tmp_path):
    other = run(tmp_path, siblings)
    with pytest.raises(RunError) as caught:
        run(tmp_path, only=["Subtract"], base_run=other.run_id)
    assert str(caught.value) == (
        f"run {other.run_id} is one of pipeline siblings, and cannot lend to one of difference."
    )


def test_a_run_of_all_nodes_has_no_run_before_it(whole, tmp_path):
    assert base_of(tmp_path, whole) == ""


def test_a_part_that_is_resumed_takes_from_the_run_that_it_took_from(tmp_path):
    def part(runner, **options):
        parameters = {"folder": str(tmp_path)}
        return runner.run(resuming.three, parameters=parameters, raise_on_failure=False, **options)

    runner = runner_in(tmp_path)
    whole = part(runner)
    (tmp_path / "broken").touch()
    failed = part(runner, only=["Second"], cache=False)
    part(runner, only=["First"], cache=False)
    (tmp_path / "broken").unlink()
    resumed = runner.resume(resuming.three, failed.run_id)
    assert resumed.output("First", "model").id == whole.output("First", "model").id
    assert base_of(tmp_path, resumed) == whole.run_id


@pytest.mark.parametrize(
    ("only", "lending"),
    [
        ("Subtract", {"Load": "must", "Add": "must", "Other": "may", "Both": "no"}),
        ("Load", {"Add": "no", "Other": "may", "Subtract": "no", "Both": "no"}),
    ],
)
def test_a_selection_says_what_must_be_lent_and_what_may_be(only, lending):
    compiled = ir.compile_pipeline(difference, pipeline_root="/root")
    nodes = ir.view(ir.select_nodes(compiled, only=[only])).nodes
    words = {
        name: "must" if node.lends else "may" if node.may_lend else "no"
        for name, node in nodes.items()
        if node.is_left_out
    }
    assert words == lending


def test_what_was_deployed_is_not_lent_for_nothing():
    from penstock_support.registering_components import numbers

    compiled = ir.compile_pipeline(numbers, pipeline_root="/root")
    nodes = ir.view(ir.select_nodes(compiled, only=["champion"])).nodes
    deploying = [node for node in nodes.values() if node.deploys]
    assert deploying
    assert not any(node.may_lend for node in deploying)
