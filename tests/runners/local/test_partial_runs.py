"""Runs of a part of a pipeline: what the other nodes lend, and where that leads back to."""

from __future__ import annotations

import shutil

import pytest

from penstock import ir, pipeline
from penstock.components import LatestArtifact
from penstock.errors import RunError
from penstock.execution.reuse import REUSED_PROPERTY
from penstock.execution.schedule import State
from penstock.metadata.store import (
    connect,
    connection_config,
    execution_inputs,
    execution_outputs,
)
from penstock_support import resuming_components as resuming
from penstock_support.example_components import Doubling, Join
from penstock_support.resuming_components import runner_in, runs_of


def run(folder, rows: int = 1, **options):
    parameters = {"folder": str(folder), "rows": rows}
    return runner_in(folder).run(
        resuming.three, parameters=parameters, raise_on_failure=False, **options
    )


def states(result) -> list[State]:
    return [node.state for node in result.nodes.values()]


def connected(folder):
    return connect(connection_config(str(folder / "metadata.sqlite")))


@pytest.fixture
def whole(tmp_path):
    return run(tmp_path)


@pytest.fixture
def part(whole, tmp_path):
    return run(tmp_path, only=["Second"], cache=False)


def test_a_node_alone_runs_with_what_the_one_before_it_lends(part, tmp_path):
    assert states(part) == [State.CACHED, State.DONE, State.SKIPPED]
    assert [runs_of(tmp_path, name) for name in ("First", "Second", "Third")] == [1, 2, 1]


def test_a_node_that_was_not_asked_for_says_so(part):
    assert part.nodes["Third"].error == "it was not asked for"


def test_the_lineage_of_a_part_leads_to_the_artifacts_that_were_lent(whole, part, tmp_path):
    lent = whole.output("First", "model").id
    with connected(tmp_path) as metadata:
        given = execution_inputs(metadata.store, part.nodes["Second"].execution_id)
        lending = execution_outputs(metadata.store, part.nodes["First"].execution_id)
        [execution] = metadata.store.get_executions_by_id([part.nodes["First"].execution_id])
    assert [a.id for a in given["model"]] == [a.id for a in lending["model"]] == [lent]
    origin = execution.custom_properties[REUSED_PROPERTY].int_value
    assert origin == whole.nodes["First"].execution_id


def test_a_later_run_takes_what_a_part_has_made_from_the_cache(part, tmp_path):
    assert states(run(tmp_path)) == [State.CACHED] * 3


def test_the_newest_intact_outputs_are_lent(whole, tmp_path):
    newer = run(tmp_path, rows=2)
    shutil.rmtree(newer.output("First", "model").uri)
    result = run(tmp_path, only=["Second"], cache=False)
    assert result.output("First", "model").id == whole.output("First", "model").id


def test_a_certain_run_can_be_the_one_that_lends(whole, tmp_path):
    run(tmp_path, rows=2)
    result = run(tmp_path, only=["Second"], base_run=whole.run_id)
    assert result.output("First", "model").id == whole.output("First", "model").id


def test_what_a_part_was_lent_it_can_lend_itself(whole, part, tmp_path):
    again = run(tmp_path, only=["Second"], base_run=part.run_id, cache=False)
    assert again.output("First", "model").id == whole.output("First", "model").id


def test_an_unknown_run_to_lend_is_named(whole, tmp_path):
    with pytest.raises(RunError, match="there is no run 'nonesuch'"):
        run(tmp_path, only=["Second"], base_run="nonesuch")


def marked(folder, base_run: str = ""):
    """Return IR whose second node alone is to run, as TFX's `mark_pipeline` marks it."""
    compiled = ir.compile_pipeline(resuming.three, pipeline_root=str(folder / "root"))
    modes = {"First": "REQUIRED", "Third": "NEVER"}
    for entry in compiled.nodes:
        options = entry.pipeline_node.execution_options
        mode = modes.get(entry.pipeline_node.node_info.id)
        if mode is None:
            options.run.perform_snapshot = options.run.depends_on_snapshot = True
        else:
            options.skip.reuse_artifacts_mode = getattr(options.skip, mode)
    if base_run:
        strategy = compiled.runtime_spec.snapshot_settings.base_pipeline_run_strategy
        strategy.base_run_id = base_run
    return compiled


def run_marked(folder, compiled):
    parameters = {"folder": str(folder), "rows": 1}
    return runner_in(folder).run(compiled, parameters=parameters, cache=False)


def test_ir_that_tfx_has_marked_runs_as_the_part_that_it_is_marked_for(whole, tmp_path):
    result = run_marked(tmp_path, marked(tmp_path))
    assert states(result) == [State.CACHED, State.DONE, State.SKIPPED]


def test_the_base_run_of_marked_ir_is_the_one_that_lends(whole, tmp_path):
    run(tmp_path, rows=2)
    result = run_marked(tmp_path, marked(tmp_path, base_run=whole.run_id))
    assert result.output("First", "model").id == whole.output("First", "model").id


def test_a_plan_of_marked_ir_takes_from_its_base_run(whole, tmp_path):
    run(tmp_path, rows=2)
    parameters = {"folder": str(tmp_path), "rows": 1}
    [lent, *_] = runner_in(tmp_path).plan(
        marked(tmp_path, base_run=whole.run_id), parameters=parameters
    )
    assert lent.execution_id == whole.nodes["First"].execution_id


def test_an_unknown_base_run_of_marked_ir_is_named(whole, tmp_path):
    with pytest.raises(RunError, match="there is no run 'nonesuch'"):
        run_marked(tmp_path, marked(tmp_path, base_run="nonesuch"))


def test_where_nothing_can_be_lent_nothing_runs_or_is_recorded(tmp_path):
    with pytest.raises(RunError) as caught:
        run(tmp_path, only=["First", "Third"])
    assert str(caught.value) == (
        "node Second is left out, but nodes that are to run need its outputs, and it has none "
        "from any run of three. Let it run too: widen --from, --to or --only."
    )
    assert runs_of(tmp_path, "First") == 0
    with connected(tmp_path) as metadata:
        assert metadata.store.get_executions() == []
        assert metadata.store.get_contexts_by_type("pipeline_run") == []


def test_a_run_that_lacks_what_is_to_be_lent_is_named(whole, tmp_path):
    first = run(tmp_path, rows=2, only=["First"])
    with pytest.raises(RunError, match=f"it has none from run {first.run_id}"):
        run(tmp_path, only=["Third"], base_run=first.run_id)


def test_a_resolver_looks_anew_in_a_part(tmp_path):
    @pipeline
    def remembering(base: int = 1):
        made = Doubling(base=base)
        last = LatestArtifact(made.outputs["model"]).with_id("last")
        return [Join(models=last.outputs["model"]), made]

    runner = runner_in(tmp_path)
    runner.run(remembering, parameters={"base": 1}, raise_on_failure=False)
    second = runner.run(remembering, parameters={"base": 2})
    part = runner.run(remembering, only=["Join"])
    joined = part.output("Join", "output")
    joined.read()
    assert joined.value == [second.output("Doubling", "model").uri]
    assert part.nodes["Doubling"].state is State.SKIPPED
