"""Nodes that run once for each item of a list."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock import LocalRunner
from penstock.execution.plan import Verdict
from penstock.metadata.graph import read_makers
from penstock.metadata.reading import links_of_executions, read_artifacts
from penstock.metadata.runs import find_run, list_runs
from penstock.metadata.store import connect, connection_config
from penstock.runners.local import State
from penstock.runners.local.display import PlainLines, Silent
from penstock_support import loop_components as loops

pytestmark = pytest.mark.core

DONE, CACHED = State.DONE, State.CACHED


@pytest.fixture
def runner(tmp_path):
    return LocalRunner(
        pipeline_root=str(tmp_path / "root"),
        metadata=str(tmp_path / "metadata.sqlite"),
        parallelism=2,
        display=Silent(),
    )


def states(result, name: str) -> list[State]:
    return [n.state for n in result.nodes.values() if n.node_id.startswith(f"{name}.")]


def value(result, node_id: str):
    return result.output(node_id, "output").read()


def test_a_node_runs_once_for_each_item_and_those_after_it_take_all_in_their_order(run_pipeline):
    result = run_pipeline(loops.of_rates, rates=[0.3, 0.1, 0.2])
    assert states(result, "Train") == [DONE] * 3
    assert value(result, "Compare") == [0.3, 0.1, 0.2]


def test_nodes_of_a_loop_take_what_was_made_for_their_item(run_pipeline):
    result = run_pipeline(loops.of_rates)
    assert [value(result, f"Measure.{n}") for n in range(3)] == [0.1, 0.2, 0.3]


def test_an_item_has_parts(run_pipeline):
    result = run_pipeline(loops.of_constants)
    assert value(result, "Named.1") == '[{"all": {"name": "b", "size": 2}, "size": 2}, "b"]'


def test_an_item_more_runs_alone_wherever_it_stands(run_pipeline):
    run_pipeline(loops.of_rates)
    result = run_pipeline(loops.of_rates, rates=[0.3, 0.7, 0.1, 0.2])
    assert states(result, "Train") == [CACHED, DONE, CACHED, CACHED]
    assert states(result, "Measure") == [CACHED, DONE, CACHED, CACHED]
    assert value(result, "Compare") == [0.3, 0.7, 0.1, 0.2]


def test_equal_items_have_artifacts_of_their_own(run_pipeline):
    result = run_pipeline(loops.of_rates, rates=[0.1, 0.1])
    assert value(result, "Compare") == [0.1, 0.1]


def test_for_no_items_those_after_it_take_an_empty_list(run_pipeline):
    result = run_pipeline(loops.of_rates, rates=[])
    assert list(result.nodes) == ["Compare"]
    assert value(result, "Compare") == []


@pytest.fixture
def failed(runner, tmp_path):
    (tmp_path / "0.2").touch()
    parameters = {"folder": str(tmp_path)}
    return runner.run(loops.of_rates, parameters=parameters, raise_on_failure=False)


def test_an_item_that_fails_does_not_stop_the_others(failed):
    assert states(failed, "Train") == [DONE, State.FAILED, DONE]
    assert states(failed, "Measure") == [DONE, State.SKIPPED, DONE]
    assert failed.nodes["Compare"].state is State.SKIPPED


def test_resuming_runs_the_item_that_failed(failed, runner, tmp_path):
    done = [failed.nodes[name].execution_id for name in ("Train.0", "Train.2", "Measure.0")]
    (tmp_path / "0.2").unlink()
    result = runner.resume(loops.of_rates)
    assert [result.nodes[n].execution_id for n in ("Train.0", "Train.2", "Measure.0")] == done
    assert value(result, "Compare") == [0.1, 0.2, 0.3]


def test_each_item_has_its_own_lineage(run_pipeline, store):
    result = run_pipeline(loops.of_rates)
    measured = [result.nodes[f"Measure.{n}"].execution_id for n in range(3)]
    links = [link for link in links_of_executions(store, measured) if not link.is_output]
    makers = read_makers(store, read_artifacts(store, [link.artifact_id for link in links]))
    taken = {link.execution_id: makers[link.artifact_id].node.node_id for link in links}
    assert taken == dict(zip(measured, ["Train.0", "Train.1", "Train.2"], strict=True))


def test_the_store_the_report_and_the_lines_say_which_item(tmp_path, capsys):
    runner = LocalRunner(
        pipeline_root=str(tmp_path / "root"),
        metadata=str(tmp_path / "metadata.sqlite"),
        display=PlainLines(),
    )
    result = runner.run(loops.of_rates, parameters={"rates": [0.25]})
    assert "Train.0    done      (0.25)" in capsys.readouterr().err
    with connect(connection_config(str(tmp_path / "metadata.sqlite"))) as metadata:
        assert find_run(metadata.store, "latest").nodes[0].item == "0.25"
    assert "item 0.25" in Path(result.report).read_text()


def test_a_run_whose_loop_has_no_items_has_no_nodes_and_is_recorded(run_pipeline, store):
    result = run_pipeline(loops.of_nothing_else, names=[])
    assert (result.succeeded, dict(result.nodes)) == (True, {})
    [recorded] = list_runs(store)
    assert (recorded.run_id, recorded.pipeline_name) == (result.run_id, "alone")


def test_a_plan_says_what_becomes_of_each_item(run_pipeline, runner):
    run_pipeline(loops.of_rates, rates=[0.1, 0.2])
    planned = runner.plan(loops.of_rates, parameters={"rates": [0.2, 0.5]})
    told = {node.node_id: (node.verdict, node.item) for node in planned}
    assert told["Train.0"] == (Verdict.CACHED, "0.2")
    assert told["Train.1"] == (Verdict.RUNS, "0.5")


def test_a_loop_goes_over_what_a_node_returns(run_pipeline):
    assert value(run_pipeline(loops.of_what_is_returned, count=3), "Compare") == [0.0, 0.5, 1.0]
    result = run_pipeline(loops.of_what_is_returned, count=4)
    assert states(result, "Train") == [CACHED, CACHED, CACHED, DONE]


def test_a_node_that_returns_an_empty_list_is_no_failure(run_pipeline):
    assert value(run_pipeline(loops.of_what_is_returned, count=0), "Compare") == []


def test_a_plan_knows_the_items_of_what_is_in_the_cache(run_pipeline, runner):
    before = runner.plan(loops.of_what_is_returned)
    assert before[1].reasons == ("once for each item that List puts out",)
    run_pipeline(loops.of_what_is_returned)
    planned = runner.plan(loops.of_what_is_returned)
    assert [node.node_id for node in planned] == ["List", "Train.0", "Train.1", "Compare"]
    assert {node.verdict for node in planned} == {Verdict.CACHED}


def test_a_loop_goes_over_artifacts(run_pipeline):
    assert value(run_pipeline(loops.of_artifacts), "Joined") == "a b"
    result = run_pipeline(loops.of_artifacts, names=["c", "b"])
    assert states(result, "Read") == [DONE, CACHED]
    assert value(result, "Joined") == "c b"


def test_a_run_with_items_of_nodes_is_resumed_where_it_stood(runner, tmp_path):
    (tmp_path / "0.5").touch()
    parameters = {"folder": str(tmp_path)}
    failed = runner.run(loops.of_what_is_returned, parameters=parameters, raise_on_failure=False)
    assert states(failed, "Train") == [DONE, State.FAILED]
    (tmp_path / "0.5").unlink()
    resumed = runner.resume(loops.of_what_is_returned)
    assert resumed.nodes["Train.0"].execution_id == failed.nodes["Train.0"].execution_id
    assert value(resumed, "Compare") == [0.0, 0.5]


def test_loops_stand_in_each_other_and_hold_conditions(run_pipeline):
    result = run_pipeline(loops.of_a_loop_in_a_loop)
    assert states(result, "Train") == [DONE] * 4
    assert value(result, "Joined") == "a 0.2 b 0.2"


def test_what_follows_a_loop_runs_alone_on_what_the_loop_made_before(runner):
    runner.run(loops.of_what_is_returned)
    result = runner.run(loops.of_what_is_returned, only=["Compare"], cache=False)
    assert states(result, "Train") == [CACHED, CACHED]
    assert value(result, "Compare") == [0.0, 0.5]


def test_what_is_no_list_fails_the_nodes_of_the_loop_with_the_reason(run_pipeline):
    result = run_pipeline(loops.of_no_list)
    assert result.nodes["Train"].state is State.FAILED
    assert "is to go over what Mapped returns, and that is no list" in result.nodes["Train"].error


def test_a_loop_goes_over_what_a_resolver_finds(run_pipeline):
    run_pipeline(loops.of_artifacts)
    result = run_pipeline(loops.of_the_latest_two)
    assert states(result, "Read") == [CACHED] * 2
    assert sorted(value(result, "Joined").split()) == ["a", "b"]


def test_a_loop_goes_over_a_list_that_is_in_an_item(run_pipeline):
    result = run_pipeline(loops.of_lists_in_items)
    assert states(result, "Rows") == [DONE] * 3
    assert value(result, "Joined") == "a b c"
