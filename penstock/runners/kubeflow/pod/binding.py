"""The pipeline of a task, bound to its run and to the places of its pod."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from types import MappingProxyType

from penstock import ir
from penstock.execution.acceleration import accelerated
from penstock.ir.unfolding import unfold
from penstock.runners.kubeflow.contract import items, locations, names
from penstock.runners.kubeflow.contract.task import MAKE_ITEMS, RUN, RUN_ID_VARIABLE, PodTask
from penstock.runners.kubeflow.pod import launcher
from penstock.runners.kubeflow.pod.launcher import ExecutorInput
from penstock.safety import secrets


def bind(task: PodTask, executor_input: ExecutorInput) -> ir.Pipeline:
    """Return the task's pipeline with parameters and places filled in.

    Raises:
      ParameterError: a parameter has not come, or is none of its type.
      RunError: the run's name is not known.
    """
    localized = secrets.map_texts(
        task.pipeline, lambda text: locations.localize(text, task.project_folder)
    )
    compiled = replace(task, pipeline=localized).ir()
    ir.check(compiled)
    name = compiled.pipeline_info.id
    run_id = os.environ.get(RUN_ID_VARIABLE) or launcher.run_name(
        names.pipeline_name(name), executor_input
    )
    values = launcher.bind_parameters(executor_input.parameters, task.parameters)
    # What a node keeps while it works; its outputs are elsewhere.
    root = tempfile.mkdtemp(prefix=f"{name}-")
    compiled.runtime_spec.pipeline_root.field_value.string_value = root
    bound = ir.view(ir.bind(compiled, run_id=run_id, parameters=values))
    return _accelerated(task, _for_items(task, executor_input, bound))


def _for_items(task: PodTask, executor_input: ExecutorInput, bound: ir.Pipeline) -> ir.Pipeline:
    """Return a task's pipeline with its node for the items that it is told."""
    if not task.loops:
        return bound
    [node] = bound
    looping = replace(node, loops=task.loops)
    pipeline = replace(bound, nodes=MappingProxyType({node.id: looping}))
    for depth in range(len(task.loops) - (task.action == MAKE_ITEMS)):
        [node] = pipeline
        name = items.item_of(depth)
        item = items.read(executor_input.parameters.get(name), name)
        pipeline = unfold(pipeline, node.loops[0], [item])
    return pipeline


def _accelerated(task: PodTask, pipeline: ir.Pipeline) -> ir.Pipeline:
    """Let engines of ours do the work of a node of TFX's, if that is what the task is for."""
    return accelerated(pipeline, enabled=task.accelerate) if task.action == RUN else pipeline
