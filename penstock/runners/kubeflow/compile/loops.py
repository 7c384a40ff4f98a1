"""Loops: a task of Kubeflow's iterator, in whose component the tasks of the loop's nodes stand.

What a task in it takes from outside comes through the loop's own inputs, as in what Kubeflow's SDK
writes for `dsl.ParallelFor`, and through those of all loops around it. What those after it take of
all items they find in our store, like what a resolver has found: Kubeflow collects in the order in
which it finds things, and our pods know which item was theirs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock import ir
from penstock.errors import PipelineError
from penstock.execution.schedule import Trigger, read_graph
from penstock.ir.loops import GIVEN, LoopSpec, loops_referred_to, references
from penstock.ir.unfolding import value_items
from penstock.runners.kubeflow.compile.compilation import Task
from penstock.runners.kubeflow.compile.definitions import common, each_of, parameter_type
from penstock.runners.kubeflow.compile.wiring import links
from penstock.runners.kubeflow.contract import names
from penstock.runners.kubeflow.contract.items import ITEMS, write
from penstock.runners.kubeflow.contract.task import OF_ALL


def check(pipeline: ir.Pipeline) -> None:
    """Check that Kubeflow can carry out the loops of a pipeline.

    Raises:
      PipelineError: it cannot.
    """
    graph = read_graph(pipeline)
    for node in pipeline:
        if node.is_container:
            _check_container(pipeline, node)
        if node.loops and graph.trigger(node.id) is Trigger.UPSTREAM_COMPLETED:
            raise PipelineError(
                f"node {node.id} stands in a ForEach and starts after failures too, which only the "
                "last node of a run does on Kubeflow Pipelines",
                hint="Write it after the loop, and let it depend on nothing of it.",
            )


def _check_container(pipeline: ir.Pipeline, node: ir.Node) -> None:
    for loop in node.loops:
        for key in loop.inputs:
            raise PipelineError(
                f"node {node.id} takes as {key!r} an item of {loop.name} that is an artifact, and "
                "is a container of its own: Kubeflow Pipelines brings it what a task of the run "
                "has made",
                hint="Let a component in Python take the item, before it in the loop, and write "
                "what the container needs into an artifact.",
            )
    for link in links(node):
        if each_of(pipeline.nodes[link.producer], node.loops)[0] == OF_ALL:
            raise PipelineError(
                f"node {node.id} takes as {link.key!r} what {link.producer} makes for all items of "
                "a loop, and is a container of its own: Kubeflow Pipelines brings it one artifact",
                hint="Put the artifacts into one folder in a component before it.",
            )
    for key, text in _texts(node):
        if len(named := sorted(loops_referred_to(text))) > 1:
            raise PipelineError(
                f"node {node.id} takes as {key!r} parts of items of {' and '.join(named)}, and is "
                "a container of its own: Kubeflow Pipelines tells it a part of one",
                hint="Pass the parts as parameters of their own.",
            )


def _texts(node: ir.Node) -> Iterator[tuple[str, str]]:
    """Yield a node's own parameters that are text, by their keys."""
    items = {loop.parameter for loop in node.loops}
    for key in sorted(set(node.proto.parameters.parameters) - items):
        if text := node.written(key):
            yield key, text


def told(pipeline: ir.Pipeline, loop: str) -> tuple[str, ...]:
    """Return what containers of their own are told of a loop's items: texts that refer to them."""
    texts = {
        text: None
        for node in pipeline
        if node.is_container
        for _, text in _texts(node)
        if loop in loops_referred_to(text)
    }
    return tuple(texts)


def told_to(pipeline: ir.Pipeline, node: ir.Node) -> dict[str, tuple[int, int]]:
    """Return what a container is told of items, by the keys of its parameters.

    The numbers say of which loop around it, and which of the texts that containers are told.
    """
    places = {
        text: (depth, number)
        for depth, loop in enumerate(node.loops)
        for number, text in enumerate(told(pipeline, loop.name))
    }
    return {key: places[text] for key, text in _texts(node) if text in places}


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


def known_items(pipeline: ir.Pipeline, loop: LoopSpec, node: ir.Node) -> list[str] | None:
    """Return the texts of a loop's items, None where they are known in a run alone."""
    if loop.kind != GIVEN:
        return None
    value = node.proto.parameters.parameters[loop.parameter]
    if value.WhichOneof("value") != "field_value":
        return None
    text = value.field_value.string_value
    if references(text):
        return None
    of_containers = told(pipeline, loop.name)
    return [write(item, loop.name, of_containers) for item in value_items(json.loads(text))]


def around_items(pipeline: ir.Pipeline, loop: LoopSpec, node: ir.Node) -> tuple[LoopSpec, ...]:
    """Return the loops in which the items of a loop are made, of which `node` is one node.

    They are as few as may be: what does not change from item to item is made once.
    """
    outer = node.loops[: node.loops.index(loop)]
    needed = loops_referred_to(node.written(loop.parameter))
    depths = [number + 1 for number, one in enumerate(outer) if one.name in needed]
    depths += [
        len(common(pipeline.nodes[source.node].loops, outer))
        for source in loop.sources
        if pipeline.nodes[source.node].loops
    ]
    return outer[: max(depths, default=0)]


@dataclass(frozen=True)
class LoopTask:
    """The task of a loop.

    `around` is the task of the loop in which it stands, "" for none; `item` the parameter that has
    an item; `items` are their texts, or the task that makes them.
    """

    name: str
    around: str
    item: str
    items: list[str] | str


def nest(spec: Any, outer: Any, tasks: Iterable[Task], loops: Iterable[LoopTask]) -> None:
    """Let loops stand among the tasks of a component, and hold their own.

    Tasks that stand in no loop are put into it too.
    """
    tasks, loops = list(tasks), list(loops)
    around = {loop.name: loop.around for loop in loops} | {task.name: task.loop for task in tasks}
    nest = _Nest(spec, outer, around, {loop.name: loop.item for loop in loops})
    for loop in loops:
        nest.begin(loop)
    for task in tasks:
        nest.dag(task.loop).tasks[task.name].CopyFrom(task.spec)
    for name in around:
        nest.connect(name)


@dataclass(frozen=True)
class _Nest:
    """The loops of a pipeline while they are written.

    `around` has by the name of a task that of the loop in which it stands, `items` the parameters
    that have the items, by the names of loops.
    """

    spec: Any
    outer: Any
    around: Mapping[str, str]
    items: Mapping[str, str]

    def path(self, name: str) -> list[str]:
        """Return the loops around a task, the outermost first."""
        loop = self.around[name]
        return [*self.path(loop), loop] if loop else []

    def dag(self, loop: str) -> Any:
        """Return the graph in a loop, or that outside of all."""
        return (self.spec.components[f"comp-{loop}"] if loop else self.outer).dag

    def task(self, name: str) -> Any:
        """Return a task where it stands."""
        return self.dag(self.around[name]).tasks[name]

    def declared(self, name: str) -> Any:
        """Return the definitions of a task's inputs."""
        return self.spec.components[self.task(name).component_ref.name].input_definitions

    def begin(self, loop: LoopTask) -> None:
        """Add the task of a loop and its component, with its items."""
        task = self.dag(loop.around).tasks[loop.name]
        component = self.spec.components[f"comp-{loop.name}"]
        task.task_info.name = loop.name
        task.component_ref.name = f"comp-{loop.name}"
        task.parameter_iterator.item_input = loop.item
        component.dag.SetInParent()
        defined = component.input_definitions.parameters
        defined[loop.item].parameter_type = parameter_type(str)
        if isinstance(loop.items, list):
            task.parameter_iterator.items.raw = json.dumps(loop.items)
            return
        task.parameter_iterator.items.input_parameter = ITEMS
        defined[ITEMS].parameter_type = parameter_type(list)
        made = task.inputs.parameters[ITEMS].task_output_parameter
        made.producer_task, made.output_parameter_key = loop.items, ITEMS
        task.dependent_tasks.append(loop.items)

    def connect(self, name: str) -> None:
        """Let come through the inputs of loops what a task takes from outside of them."""
        task, path = self.task(name), self.path(name)
        for key, taken in task.inputs.parameters.items():
            kind = taken.WhichOneof("kind")
            if kind == "component_input_parameter":
                self._pass_parameter(path, taken.component_input_parameter)
            elif kind == "task_output_parameter":
                made = taken.task_output_parameter
                through = path[len(self.path(made.producer_task)) :]
                passed = f"{made.producer_task}--{made.output_parameter_key}"
                own = self.declared(name).parameters[key].parameter_type
                for loop in through:
                    self.task(loop).inputs.parameters[passed].CopyFrom(taken)
                    self.declared(loop).parameters[passed].parameter_type = own
                    taken.component_input_parameter = passed
        for key, artifact in task.inputs.artifacts.items():
            produced = artifact.task_output_artifact
            through = path[len(self.path(produced.producer_task)) :]
            passed = f"{produced.producer_task}--{produced.output_artifact_key}"
            kind = self.declared(name).artifacts[key].artifact_type
            for loop in through:
                self.task(loop).inputs.artifacts[passed].CopyFrom(artifact)
                self.declared(loop).artifacts[passed].artifact_type.CopyFrom(kind)
                artifact.component_input_artifact = passed
        self._wait(name)

    def _pass_parameter(self, path: list[str], key: str) -> None:
        """Let a parameter of the run, or an item, come to a task in loops."""
        giving = [number for number, loop in enumerate(path) if self.items[loop] == key]
        kind = parameter_type(str)
        if not giving:
            kind = self.spec.root.input_definitions.parameters[key].parameter_type
        for loop in path[giving[-1] + 1 if giving else 0 :]:
            self.task(loop).inputs.parameters[key].component_input_parameter = key
            self.declared(loop).parameters[key].parameter_type = kind

    def _wait(self, name: str) -> None:
        """Let a task, or the loop in which it stands, wait for others, or their loops."""
        task, path = self.task(name), [*self.path(name), name]
        before, task.dependent_tasks[:] = sorted(task.dependent_tasks), []
        for other in before:
            pairs = zip(path, [*self.path(other), other], strict=False)
            mine, its = next((mine, its) for mine, its in pairs if mine != its)
            waiting = self.task(mine)
            waiting.dependent_tasks[:] = sorted({*waiting.dependent_tasks, its})
