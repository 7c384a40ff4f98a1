"""What a task takes and puts out, as its component defines it and the task itself says."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from penstock import _tfx, ir
from penstock.ir.loops import LoopSpec
from penstock.runners.kubeflow.compile import protos, wiring
from penstock.runners.kubeflow.compile.compilation import Compilation, Task
from penstock.runners.kubeflow.contract import names, parts
from penstock.runners.kubeflow.contract.items import ITEMS
from penstock.runners.kubeflow.contract.task import (
    OF_ALL,
    OF_ITEM,
    SHOWN_TYPES,
    PodInput,
    PodOutput,
)

PARAMETER_TYPES: Mapping[type, str] = {
    str: "STRING",
    int: "NUMBER_INTEGER",
    float: "NUMBER_DOUBLE",
    bool: "BOOLEAN",
    list: "LIST",
}


def parameter_type(kind: type) -> int:
    """Return Kubeflow's type of a parameter."""
    types = protos.pipeline_spec().ParameterType.ParameterTypeEnum
    return int(types.Value(PARAMETER_TYPES[kind]))


def inputs_of(compilation: Compilation, node: ir.Node) -> tuple[PodInput, ...]:
    """Return what a node takes from other nodes of its run."""
    inputs: list[PodInput] = []
    own = {key for loop in node.loops for key in loop.inputs}
    for link in wiring.links(node):
        if link.key in own:
            continue  # the item says which artifact that is
        # What TFX's compiler names after a node would keep alike tasks from sharing a component.
        is_value = link.key == f"_{link.producer}.{link.output}"
        key = f"value_{link.output}" if is_value else link.key
        name = names.key_name(key, [taken.name for taken in inputs])
        producer = compilation.pipeline.nodes[link.producer]
        each, shared = each_of(producer, node.loops)
        by_run = producer.works_in_store or each == OF_ALL
        inputs.append(
            PodInput(name, link.key, link.type, link.producer, link.output, by_run, each, shared)
        )
    return tuple(inputs)


def each_of(producer: ir.Node, loops: Sequence[LoopSpec]) -> tuple[str, int]:
    """Return what is taken of a producer in loops: of the own item, or of all of them.

    The number says how many of the loops around the one that takes it are the producer's as well.
    """
    if not producer.loops:
        return "", 0
    shared = len(common(producer.loops, loops))
    return OF_ITEM if shared == len(producer.loops) else OF_ALL, shared


def common(*around: Sequence[LoopSpec]) -> tuple[LoopSpec, ...]:
    """Return the loops that stand around all of several, the outermost first."""
    first = around[0]
    same = itertools.takewhile(
        lambda loops: len({loop.key for loop in loops}) == 1, zip(*around, strict=False)
    )
    return tuple(first[: len(list(same))])


def outputs_of(node: ir.Node) -> tuple[PodOutput, ...]:
    """Return what a node puts out."""
    outputs: list[PodOutput] = []
    for key, spec in sorted(node.proto.outputs.outputs.items()):
        name = names.key_name(key, [*SHOWN_TYPES, *(output.name for output in outputs)])
        outputs.append(PodOutput(name, key, spec.artifact_spec.type.name))
    return tuple(outputs)


def looked_up(compilation: Compilation, node: ir.Node) -> tuple[PodOutput, ...]:
    """Return what others take from a resolver: its own outputs do not stand in the IR."""
    types = {
        link.output: link.type
        for other in compilation.pipeline
        for link in wiring.links(other)
        if link.producer == node.id
    }
    outputs: list[PodOutput] = []
    for key, kind in sorted(types.items()):
        name = names.key_name(key, [*SHOWN_TYPES, *(output.name for output in outputs)])
        outputs.append(PodOutput(name, key, kind))
    return tuple(outputs)


def parameters_of(alone: _tfx.PipelineProto) -> dict[str, type]:
    """Return the run's parameters that a node depends on, with their types."""
    return {name: parameter.type for name, parameter in ir.run_parameters(alone).items()}


def add_inputs(
    compilation: Compilation,
    task: Task,
    inputs: tuple[PodInput, ...],
    parameters: Mapping[str, type],
) -> None:
    """Let a task take parameters of the run and artifacts of other tasks."""
    for name, kind in sorted(parameters.items()):
        task.component.input_definitions.parameters[name].parameter_type = parameter_type(kind)
        task.spec.inputs.parameters[name].component_input_parameter = name
    for taken in inputs:
        if taken.each == OF_ALL or (taken.key == ITEMS and taken.by_run):
            continue  # Kubeflow passes one; our store has them all.
        output = _name_of_output(compilation, taken)
        add_artifact(task, taken.name, taken.type, compilation.tasks[taken.producer], output)


def _name_of_output(compilation: Compilation, taken: PodInput) -> str:
    """Return the name of an output in the task that makes it."""
    producer = compilation.pipeline.nodes[taken.producer]
    outputs = outputs_of(producer) or looked_up(compilation, producer)
    name = next(output.name for output in outputs if output.key == taken.output)
    return parts.name_in_pod(compilation.parts.get(taken.producer, ""), name)


def add_artifact(task: Task, name: str, kind: str, producer: str, output: str) -> None:
    """Let a task take an artifact that another puts out."""
    definition = task.component.input_definitions.artifacts[name]
    definition.artifact_type.schema_title = f"tfx.{kind}"
    definition.artifact_type.schema_version = "0.0.1"
    source = task.spec.inputs.artifacts[name].task_output_artifact
    source.producer_task, source.output_artifact_key = producer, output


def add_outputs(task: Task, outputs: list[tuple[str, str]]) -> None:
    """Let a task put out artifacts: their names and the titles of their schemas."""
    for name, schema_title in outputs:
        kind = task.component.output_definitions.artifacts[name].artifact_type
        kind.schema_title, kind.schema_version = schema_title, "0.0.1"
