"""Loops: a task of Kubeflow's iterator, in whose component the tasks of the loop's nodes stand.

What a task in it takes from outside comes through the loop's own inputs, as in what Kubeflow's SDK
writes for `dsl.ParallelFor`. What those after it take of all items they find in our store, like
what a resolver has found: Kubeflow collects in the order in which it finds things, and our pods
know which item was theirs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from penstock import ir
from penstock.errors import PipelineError
from penstock.execution.schedule import Trigger, read_graph
from penstock.ir.loops import GIVEN, LoopSpec
from penstock.ir.unfolding import value_items
from penstock.runners.kubeflow.compile.compilation import Task
from penstock.runners.kubeflow.compile.definitions import parameter_type
from penstock.runners.kubeflow.contract import names
from penstock.runners.kubeflow.contract.items import ITEM, ITEMS, write


def check(pipeline: ir.Pipeline) -> None:
    """Check that Kubeflow can carry out the loops of a pipeline.

    Raises:
      PipelineError: it cannot.
    """
    graph = read_graph(pipeline)
    for node in pipeline:
        if len(node.loops) > 1:
            raise PipelineError(
                f"node {node.id} stands in a ForEach in a ForEach, and is compiled for Kubeflow "
                "Pipelines in one alone",
                hint="Go over one list that has the combinations: ForEach([{...} for a in ... for "
                "b in ...]).",
            )
        if node.loops and node.is_container:
            raise PipelineError(
                f"node {node.id} stands in a ForEach, and is a container of its own, which is not "
                "told the item on Kubeflow Pipelines",
                hint="Write it as a component in Python.",
            )
        if node.loops and graph.trigger(node.id) is Trigger.UPSTREAM_COMPLETED:
            raise PipelineError(
                f"node {node.id} stands in a ForEach and starts after failures too, which only the "
                "last node of a run does on Kubeflow Pipelines",
                hint="Write it after the loop, and let it depend on nothing of it.",
            )


def loops_of(pipeline: ir.Pipeline) -> dict[str, tuple[LoopSpec, ir.Node]]:
    """Return the loops of a pipeline by name, each with the first of its nodes."""
    loops: dict[str, tuple[LoopSpec, ir.Node]] = {}
    for node in pipeline:
        for loop in node.loops:
            loops.setdefault(loop.name, (loop, node))
    return loops


def loop_tasks(pipeline: ir.Pipeline, task_names: Iterable[str]) -> dict[str, str]:
    """Return the name of a task for each loop."""
    taken = list(task_names)
    chosen = {}
    for name in loops_of(pipeline):
        chosen[name] = names.unused(name, taken)
        taken.append(chosen[name])
    return chosen


def known_items(loop: LoopSpec, node: ir.Node) -> list[str] | None:
    """Return the texts of a loop's items, None where they are known in a run alone."""
    if loop.kind != GIVEN:
        return None
    value = node.proto.parameters.parameters[loop.parameter]
    if value.WhichOneof("value") != "field_value":
        return None
    return [write(item) for item in value_items(json.loads(value.field_value.string_value))]


def nest(
    spec: Any, outer: Any, tasks: Iterable[Task], items: Mapping[str, list[str] | str]
) -> None:
    """Let loops stand among the tasks of a component, and hold their own.

    `items` has for the name of a loop's task the texts of its items, or the task that makes them.
    """
    tasks = list(tasks)
    inside = {task.name: task.loop for task in tasks if task.loop}
    for name, source in items.items():
        _begin(spec, outer, name, source)
    for task in tasks:
        if task.loop:
            _enter(spec, outer, task, inside)
        else:
            _wait_for_loops(task.spec, inside)
    for name in items:
        _wait_for_loops(outer.dag.tasks[name], inside)


def _begin(spec: Any, outer: Any, name: str, source: list[str] | str) -> None:
    """Add the task of a loop and its component, with its items."""
    task, component = outer.dag.tasks[name], spec.components[f"comp-{name}"]
    task.task_info.name = name
    task.component_ref.name = f"comp-{name}"
    task.parameter_iterator.item_input = ITEM
    component.dag.SetInParent()
    defined = component.input_definitions.parameters
    defined[ITEM].parameter_type = parameter_type(str)
    if isinstance(source, list):
        task.parameter_iterator.items.raw = json.dumps(source)
        return
    task.parameter_iterator.items.input_parameter = ITEMS
    defined[ITEMS].parameter_type = parameter_type(list)
    made = task.inputs.parameters[ITEMS].task_output_parameter
    made.producer_task, made.output_parameter_key = source, ITEMS
    task.dependent_tasks.append(source)


def _enter(spec: Any, outer: Any, task: Task, inside: Mapping[str, str]) -> None:
    """Put a task into its loop, and let come through the loop's inputs what is from outside."""
    loop, component = outer.dag.tasks[task.loop], spec.components[f"comp-{task.loop}"]
    defined = component.input_definitions
    for name, taken in task.spec.inputs.parameters.items():
        kind = taken.WhichOneof("kind")
        made = taken.task_output_parameter
        if kind == "component_input_parameter" and name != ITEM:
            key = taken.component_input_parameter
            loop.inputs.parameters[key].component_input_parameter = key
        elif kind == "task_output_parameter" and inside.get(made.producer_task) != task.loop:
            key = f"{made.producer_task}--{made.output_parameter_key}"
            loop.inputs.parameters[key].task_output_parameter.CopyFrom(made)
            taken.component_input_parameter = key
        else:
            continue
        own = task.component.input_definitions.parameters[name]
        defined.parameters[key].parameter_type = own.parameter_type
    for name, artifact in task.spec.inputs.artifacts.items():
        produced = artifact.task_output_artifact
        if inside.get(produced.producer_task) == task.loop:
            continue
        key = f"{produced.producer_task}--{produced.output_artifact_key}"
        loop.inputs.artifacts[key].task_output_artifact.CopyFrom(produced)
        own_artifact = task.component.input_definitions.artifacts[name]
        defined.artifacts[key].artifact_type.CopyFrom(own_artifact.artifact_type)
        artifact.component_input_artifact = key
    outside = {name for name in task.spec.dependent_tasks if inside.get(name) != task.loop}
    loop.dependent_tasks[:] = sorted({*loop.dependent_tasks, *outside})
    task.spec.dependent_tasks[:] = [n for n in task.spec.dependent_tasks if n not in outside]
    component.dag.tasks[task.name].CopyFrom(task.spec)


def _wait_for_loops(task: Any, inside: Mapping[str, str]) -> None:
    """Let a task outside of loops wait for the whole loop where it waits for a task in one."""
    task.dependent_tasks[:] = sorted({inside.get(name, name) for name in task.dependent_tasks})
