"""What a node's execution options ask for is done: retries, timeouts, triggers."""

from __future__ import annotations

import time

import pytest

from penstock import Retries, compile_pipeline, pipeline
from penstock._tfx import NodeExecutionOptions, metadata_store_pb2, pipeline_pb2
from penstock.errors import PipelineError
from penstock.execution.schedule import State
from penstock.metadata.store import connect, connection_config
from penstock.runners.local import RunFailed, running
from penstock_support import resuming_components as resuming
from penstock_support.resuming_components import runner_in, runs_of

States = metadata_store_pb2.Execution
Strategy = pipeline_pb2.NodeExecutionOptions.TriggerStrategy


def with_tfx_options(node, **options):
    return node.with_node_execution_options(NodeExecutionOptions(**options))


def run(folder, nodes, **options):
    @pipeline
    def made():
        return nodes

    return runner_in(folder, **options).run(made, raise_on_failure=False)


def execution_states(folder) -> list[int]:
    with connect(connection_config(str(folder / "metadata.sqlite"))) as metadata:
        executions = sorted(metadata.store.get_executions(), key=lambda e: e.id)
    return [execution.last_known_state for execution in executions]


def states(result) -> dict[str, State]:
    return {name: node.state for name, node in result.nodes.items()}


def failing_at_first(folder, times: int, **options):
    node = resuming.FailsAtFirst(folder=str(folder), times=times)
    return with_tfx_options(node, **options)


def test_a_node_is_tried_again_as_often_as_its_options_allow(tmp_path):
    result = run(tmp_path, failing_at_first(tmp_path, 2, max_execution_retries=2))
    assert result.succeeded
    assert execution_states(tmp_path) == [States.FAILED, States.FAILED, States.COMPLETE]
    assert not list((tmp_path / "root").rglob("half"))


def test_a_node_that_fails_once_more_than_that_has_failed(tmp_path):
    result = run(tmp_path, failing_at_first(tmp_path, 9, max_execution_retries=1))
    assert "not yet" in result.nodes["FailsAtFirst"].error
    assert execution_states(tmp_path) == [States.FAILED, States.FAILED]


def test_without_retries_a_node_is_tried_once(tmp_path):
    assert not run(tmp_path, failing_at_first(tmp_path, 1)).succeeded
    assert execution_states(tmp_path) == [States.FAILED]


def test_a_failure_that_an_executor_reports_by_a_code_is_tried_again_too(tmp_path):
    node = with_tfx_options(resuming.Reporting(folder=str(tmp_path)), max_execution_retries=1)
    result = run(tmp_path, node)
    error = "node Reporting failed with code 3: the cluster is full"
    assert result.nodes["Reporting"].error.startswith(error)
    assert execution_states(tmp_path) == [States.FAILED, States.FAILED]


def test_a_node_that_works_too_long_is_stopped_told_of_and_tried_again(tmp_path):
    node = resuming.Sleeps().with_options(timeout_seconds=1, retries=1)
    result = run(tmp_path, node)
    assert result.nodes["Sleeps"].error == "it took longer than its timeout of 1 s"
    assert execution_states(tmp_path) == [States.FAILED, States.FAILED]
    assert not list((tmp_path / "root").rglob("half"))


def test_a_node_pauses_before_it_is_tried_again_and_others_run_meanwhile(tmp_path):
    retries = Retries(1, pause_seconds=1)
    failing = resuming.FailsAtFirst(folder=str(tmp_path), times=1).with_options(retries=retries)
    began = time.monotonic()
    result = run(tmp_path, [failing, resuming.Cleans(folder=str(tmp_path))])
    assert states(result) == {"FailsAtFirst": State.DONE, "Cleans": State.DONE}
    assert time.monotonic() - began > 1


def test_a_node_is_tried_again_only_after_the_failures_that_are_named(tmp_path):
    retries = Retries(3, after=("memory", "timeout"))
    failing = resuming.FailsAtFirst(folder=str(tmp_path), times=1).with_options(retries=retries)
    assert not run(tmp_path, failing).succeeded
    assert execution_states(tmp_path) == [States.FAILED]


def test_a_node_that_does_not_stop_when_asked_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "_GRACE_SECONDS", 0.3)
    result = run(tmp_path, resuming.Sleeps(deaf=True).with_options(timeout_seconds=1))
    assert result.nodes["Sleeps"].error == "it took longer than its timeout of 1 s"


def test_a_node_that_cleans_up_runs_after_a_failure_and_the_run_has_failed(tmp_path):
    failing = failing_at_first(tmp_path, 9)
    after = resuming.Third(model=failing.outputs["model"], folder=str(tmp_path))
    cleaning = resuming.Cleans(folder=str(tmp_path))
    cleaning.add_upstream_node(after)
    with_tfx_options(cleaning, trigger_strategy=Strategy.ALL_UPSTREAM_NODES_COMPLETED)
    result = run(tmp_path, [failing, after, cleaning])
    assert states(result) == {
        "FailsAtFirst": State.FAILED,
        "Third": State.SKIPPED,
        "Cleans": State.DONE,
    }
    assert result.state is State.FAILED


def test_the_failure_of_an_optional_node_fails_neither_the_run_nor_those_after_it(tmp_path):
    failing = failing_at_first(tmp_path, 9, success_optional=True)
    using = resuming.Uses(folder=str(tmp_path), model=failing.outputs["model"])
    result = run(tmp_path, [failing, using])
    assert states(result) == {"FailsAtFirst": State.FAILED, "Uses": State.DONE}
    assert result.succeeded
    given = result.output("Uses", "output")
    given.read()
    assert given.value is False


def test_a_run_that_failed_names_a_node_that_was_not_optional(tmp_path):
    optional = failing_at_first(tmp_path, 9, success_optional=True)
    needed = resuming.FailsAtFirst(folder=str(tmp_path), times=9).with_id("needed")
    result = run(tmp_path, [optional, needed])
    assert "node needed failed" in str(RunFailed(result))


def test_a_lazy_node_does_not_run_for_a_node_that_cannot(tmp_path):
    failing = failing_at_first(tmp_path, 9)
    lazy = with_tfx_options(
        resuming.Cleans(folder=str(tmp_path)),
        trigger_strategy=Strategy.LAZILY_ALL_UPSTREAM_NODES_SUCCEEDED,
    )
    using = resuming.Third(model=failing.outputs["model"], folder=str(tmp_path))
    using.add_upstream_node(lazy)
    result = run(tmp_path, [failing, lazy, using])
    assert states(result)["Cleans"] is State.SKIPPED
    assert result.nodes["Cleans"].error == "Third, for which it runs, did not run"


@pytest.mark.parametrize("broken", [0, 9])
def test_what_ends_a_lifetime_runs_after_work_that_failed_or_not(tmp_path, broken):
    start = resuming.First(folder=str(tmp_path)).with_id("start")
    work = failing_at_first(tmp_path, broken)
    work.add_upstream_node(start)
    end = resuming.Cleans(folder=str(tmp_path))
    end.add_upstream_node(work)
    with_tfx_options(
        end,
        trigger_strategy=Strategy.LIFETIME_END_WHEN_SUBGRAPH_CANNOT_PROGRESS,
        lifetime_start="start",
    )
    run(tmp_path, [start, work, end])
    assert runs_of(tmp_path, "Cleans") == 1


def test_an_unknown_trigger_strategy_is_refused_by_name_before_anything_is_written(tmp_path):
    compiled = compile_pipeline(resuming.other, pipeline_root=str(tmp_path / "root"))
    compiled.nodes[0].pipeline_node.execution_options.strategy = 99
    with pytest.raises(PipelineError, match="node First: the trigger strategy 99 is not known"):
        runner_in(tmp_path).run(compiled)
    assert list(tmp_path.iterdir()) == []


def test_a_node_that_starts_whatever_has_become_of_others_is_not_taken_from_the_cache(tmp_path):
    for _ in range(2):
        first = resuming.First(folder=str(tmp_path))
        last = resuming.Cleans(folder=str(tmp_path))
        last = with_tfx_options(last, trigger_strategy=Strategy.ALL_UPSTREAM_NODES_COMPLETED)
        last.add_upstream_node(first)
        result = run(tmp_path, [first, last])
    assert states(result) == {"First": State.CACHED, "Cleans": State.DONE}
    assert [runs_of(tmp_path, name) for name in ("First", "Cleans")] == [1, 2]
