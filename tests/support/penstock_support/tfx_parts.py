"""Parts of a pipeline that TFX marks, run one after the other: RUNNER FOLDER.

What is printed last is, as JSON, what ML Metadata has of each run: its parents, and of each of its
executions the node, the state, and which run and node made what it has put out.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.compiler import compiler
from tfx.orchestration import metadata
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.portable import partial_run_utils, runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2

from penstock_support.lending_components import tolerant, trees


def of(base_run: str) -> Any:
    """Return the settings by which a certain run lends."""
    settings = pipeline_pb2.SnapshotSettings()
    settings.base_pipeline_run_strategy.base_run_id = base_run
    return settings


LOAD = {"from_nodes": ["Load"], "to_nodes": ["Load"]}
AFTER = {"from_nodes": ["After"]}
WITHOUT_ADD = {"from_nodes": ["Beside"], "skip_snapshot_nodes": ["Add"]}
# Of which pipeline each run is, and how the part is marked.
RUNS: Mapping[str, tuple[Any, Mapping[str, Any]]] = {
    "whole": (trees, {}),
    "from_add": (trees, {"from_nodes": ["Add"]}),
    "only_load": (trees, LOAD),
    "of_the_latest_without_it": (trees, AFTER),
    "of_a_named_run": (trees, {**AFTER, "snapshot_settings": of("from_add")}),
    "of_no_run": (trees, {**AFTER, "snapshot_settings": of("nonesuch")}),
    "what_may_lend_does": (trees, {**WITHOUT_ADD, "snapshot_settings": of("whole")}),
    "what_may_lend_has_nothing": (trees, {**WITHOUT_ADD, "snapshot_settings": of("only_load")}),
    "whole_with_a_failure": (tolerant, {}),
    "after_a_failure": (tolerant, AFTER),
}


def main(runner: str, folder: str) -> None:
    store = metadata.sqlite_metadata_connection_config(os.path.join(folder, "metadata.sqlite"))
    refused = []
    for run_id, (make, marks) in RUNS.items():
        ir = compiler.Compiler().compile(make(os.path.join(folder, "root"), store))
        runtime_parameter_utils.substitute_runtime_parameter(ir, {"pipeline-run-id": run_id})
        if marks:
            partial_run_utils.mark_pipeline(ir, **marks)
        try:
            with contextlib.suppress(ValueError):  # what a component raises
                run(runner, ir)
        except LookupError:
            refused.append(run_id)
    with metadata.Metadata(store) as handle:
        print(json.dumps({"refused": refused, "runs": told(handle.store)}))


def run(runner: str, ir: Any) -> None:
    if runner == "tfx":
        LocalDagRunner().run_with_ir(ir)
        return
    from penstock import LocalRunner

    LocalRunner(parallelism=1).run(ir, cache=False, raise_on_failure=False)


def told(store: Any) -> dict[str, Any]:
    runs = {context.id: context.name for context in store.get_contexts_by_type("pipeline_run")}
    state = metadata_store_pb2.Execution.State.Name
    executions: dict[int, tuple[str, str, str]] = {}
    for context_id, name in runs.items():
        for one in store.get_executions_by_context(context_id):
            contexts = store.get_contexts_by_execution(one.id)
            [node] = [c.name.partition(".")[2] for c in contexts if c.type == "node"]
            executions[one.id] = (name, node, state(one.last_known_state))
    outputs = [
        event
        for event in store.get_events_by_execution_ids(list(executions))
        if event.type == metadata_store_pb2.Event.OUTPUT
    ]
    makers = {
        event.artifact_id: executions[event.execution_id][:2]
        for event in outputs
        if executions[event.execution_id][2] == "COMPLETE"
    }
    return {
        name: {
            "parents": sorted(
                f"{p.type} {p.name}" for p in store.get_parent_contexts_by_context(context_id)
            ),
            "executions": sorted(
                [
                    node,
                    reached,
                    sorted(makers[e.artifact_id] for e in outputs if e.execution_id == number),
                ]
                for number, (of_run, node, reached) in executions.items()
                if of_run == name
            ),
        }
        for context_id, name in sorted(runs.items())
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
