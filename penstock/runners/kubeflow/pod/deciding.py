"""Tasks of a pod that are no node's own: the items of a loop, and whether conditions hold."""

from __future__ import annotations

import json

from penstock import ir
from penstock.data.files import tfx_files
from penstock.execution.looping import items_of
from penstock.execution.resolution import conditions_hold, looked_up
from penstock.ir.loops import GIVEN
from penstock.ir.unfolding import given_items, value_items
from penstock.metadata.protocol import Metadata
from penstock.runners.kubeflow.contract import items
from penstock.runners.kubeflow.contract.task import HOLDS, PodTask
from penstock.runners.kubeflow.pod import inputs, launcher
from penstock.runners.kubeflow.pod.launcher import ExecutorInput


def make_items(
    task: PodTask, executor_input: ExecutorInput, pipeline: ir.Pipeline, metadata: Metadata
) -> None:
    """Write the items of a loop, for Kubeflow to iterate over."""
    tfx_files.register(inputs.copies(executor_input).path)
    [node] = pipeline
    [loop] = node.loops
    if loop.kind == GIVEN:
        given = value_items(given_items(pipeline, loop))
    else:
        known = inputs.known_inputs(metadata.store, task, node, executor_input)
        resolved = looked_up(metadata, node.with_static_inputs(known.ids)) or {}
        given = items_of(loop, list(resolved.get(items.ITEMS, ())))
    with open(executor_input.files[items.ITEMS], "w", encoding="utf-8") as file:
        json.dump([items.write(one, loop.name, task.told) for one in given], file)
    launcher.write_output(executor_input.output_file, {})
    for one in given:
        print(f"{loop.name}  item {one.item.index}  {one.item.text}", flush=True)


def decide(task: PodTask, executor_input: ExecutorInput, node: ir.Node, metadata: Metadata) -> None:
    """Write whether a node's conditions hold."""
    tfx_files.register(inputs.copies(executor_input).path)
    known_inputs = inputs.known_inputs(metadata.store, task, node, executor_input)
    deciding = node.with_static_inputs(known_inputs.ids)
    holds = not inputs.lacking(node, known_inputs) and conditions_hold(metadata, deciding)
    with open(executor_input.files[HOLDS], "w", encoding="utf-8") as file:
        file.write("true" if holds else "false")
    launcher.write_output(executor_input.output_file, {})
    print(f"{task.node}: its conditions {'hold' if holds else 'do not hold'}", flush=True)
