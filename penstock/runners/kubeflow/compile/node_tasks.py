"""The tasks that each kind of node becomes: a component, a lookup, a container, a condition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from penstock import ir
from penstock.errors import PipelineError
from penstock.execution import acceleration
from penstock.execution.cache import code_digests
from penstock.ir.loops import LoopSpec
from penstock.project.environment import IMAGE_VARIABLE
from penstock.project.retrying import FAILURES, Retries
from penstock.runners.kubeflow.compile import containers, loops, platform, protos, wiring
from penstock.runners.kubeflow.compile.compilation import Compilation, Task
from penstock.runners.kubeflow.compile.definitions import (
    add_artifact,
    add_inputs,
    add_outputs,
    each_of,
    inputs_of,
    looked_up,
    outputs_of,
    parameter_type,
    parameters_of,
)
from penstock.runners.kubeflow.compile.reduced import node_alone
from penstock.runners.kubeflow.contract import items, names
from penstock.runners.kubeflow.contract.items import ITEMS, item_of
from penstock.runners.kubeflow.contract.task import (
    CLASSIFICATION,
    COMMAND,
    DECIDE,
    HOLDS,
    MAKE_ITEMS,
    METRICS,
    OF_ALL,
    RECORD,
    REPORT,
    RUN,
    SHOWN_TYPES,
    PodInput,
    PodOutput,
    PodTask,
    code_digest,
)
from penstock.runners.kubeflow.contract.texts import OWN
from penstock.runners.kubeflow.contract.tries import TRIES_VARIABLE, Tries

_MONTH_SECONDS = 30 * 24 * 3600
# The artifact type of what the UI can draw curves and matrices of.
_EVALUATION = "ModelEvaluation"
# And of what stands for something outside of the store, which may have been removed since.
_PUSHED = "PushedModel"
# The parameter that says whether a task's conditions hold; no parameter of a run has a hyphen.
_CONDITION = "condition-holds"


def tasks_of(compilation: Compilation, node: ir.Node) -> list[Task]:
    """Return the tasks that a node becomes.

    Raises:
      PipelineError: Kubeflow cannot run it.
    """
    if node.works_in_store:
        return [_lookup(compilation, node)]
    if node.is_container:
        return [_container(compilation, node), _record(compilation, node)]
    return [_component(compilation, node)]


def _component(compilation: Compilation, node: ir.Node) -> Task:
    """A node whose executor is a class: it runs in our image."""
    outputs = outputs_of(node)
    visualizations: tuple[str, ...] = (METRICS, REPORT)
    if any(output.type == _EVALUATION for output in outputs):
        visualizations = (CLASSIFICATION, *visualizations)
    task = _begin(compilation, node, cached=_is_cacheable(compilation, node))
    artifacts = [(output.name, f"tfx.{output.type}") for output in outputs]
    add_outputs(task, [*artifacts, *((name, SHOWN_TYPES[name]) for name in visualizations)])
    _run_ours(
        compilation,
        node,
        task,
        outputs=outputs,
        visualizations=visualizations,
        code=_code(compilation, node),
    )
    return task


def _lookup(compilation: Compilation, node: ir.Node) -> Task:
    """An importer or a resolver: an ordinary task over our store, which may have changed since."""
    outputs = outputs_of(node) or looked_up(compilation, node)
    task = _begin(compilation, node)
    artifacts = [(output.name, f"tfx.{output.type}") for output in outputs]
    add_outputs(task, [*artifacts, (REPORT, SHOWN_TYPES[REPORT])])
    _run_ours(compilation, node, task, outputs=outputs, visualizations=(REPORT,))
    return task


def _container(compilation: Compilation, node: ir.Node) -> Task:
    """A component that is a container of its own: it runs as it is."""
    spec = node.executor
    assert spec is not None, "a container is an executor"
    inputs, outputs = inputs_of(compilation, node), outputs_of(node)
    told = loops.told_to(compilation.pipeline, node)
    command, arguments = containers.command_lines(
        node,
        spec,
        inputs={taken.key: taken.name for taken in inputs},
        outputs={output.key: output.name for output in outputs},
        items={key: _told_as(*place) for key, place in told.items()},
    )
    task = _begin(compilation, node, cached=_is_cacheable(compilation, node))
    for depth in range(len(node.loops)):
        # So Kubeflow's cache tells apart equal items, and not what is at another place by now.
        _select(task, f"{item_of(depth)}_digest", item_of(depth), "digest")
    for depth, number in told.values():
        _select(task, _told_as(depth, number), item_of(depth), items.told(number))
    for loop in node.loops:
        node = _without_items(node, loop)
    alone = node_alone(compilation.pipeline, node, compilation.project.relocate)
    add_inputs(compilation, task, inputs, parameters_of(alone))
    add_outputs(task, [(output.name, f"tfx.{output.type}") for output in outputs])
    task.container.image = spec.image
    task.container.command.extend(command)
    task.container.args.extend(arguments)
    return task


def _told_as(depth: int, number: int) -> str:
    """Return the parameter of a container that has what it is told of an item."""
    return f"{item_of(depth)}_{items.told(number)}"


def _select(task: Task, name: str, item: str, key: str) -> None:
    """Let a parameter of a task have a part of an item's text."""
    task.component.input_definitions.parameters[name].parameter_type = parameter_type(str)
    taken = task.spec.inputs.parameters[name]
    taken.component_input_parameter = item
    taken.parameter_expression_selector = items.selected(key)


def _record(compilation: Compilation, node: ir.Node) -> Task:
    """What writes down in our store what a container of its own did."""
    node_id = node.id
    own, own_outputs = compilation.tasks[node_id], outputs_of(node)
    taken = {entry.name for entry in inputs_of(compilation, node)}
    outputs = tuple(
        PodOutput(names.key_name(f"made_{output.key}", taken), output.key, output.type)
        for output in own_outputs
    )
    task = _begin(compilation, node, helper=f"{own}-record", after=[own])
    _run_ours(compilation, node, task, action=RECORD, outputs=outputs)
    for recorded, output in zip(outputs, own_outputs, strict=True):
        add_artifact(task, recorded.name, recorded.type, own, output.name)
    return task


def decision(compilation: Compilation, node: ir.Node, name: str) -> Task:
    """What decides whether the conditions of a node hold, for all nodes that have the same ones.

    Kubeflow's own conditions see parameters, and properties of artifacts as its metadata store
    has changed them, but no values. So they are evaluated in a pod, by the code that evaluates
    them elsewhere, and the result is a parameter, which conditions of all versions can see.
    """
    proto = node.copied()
    for key in set(proto.inputs.inputs) - node.condition_keys:
        del proto.inputs.inputs[key]
    proto.ClearField("outputs")
    proto.ClearField("parameters")
    deciding = replace(node, proto=proto)
    after = {compilation.last_task(link.producer) for link in wiring.links(deciding)}
    task = _begin(compilation, deciding, helper=name, after=sorted(after))
    _run_ours(compilation, deciding, task, action=DECIDE)
    task.component.output_definitions.parameters[HOLDS].parameter_type = parameter_type(bool)
    return task


def items_task(
    compilation: Compilation,
    loop: LoopSpec,
    node: ir.Node,
    around: Sequence[LoopSpec],
    name: str,
) -> Task:
    """What makes the items of a loop, of which `node` is one node, where a run alone knows them.

    It stands in the loops `around` it.
    """
    proto = node.copied()
    kept = proto.parameters.parameters.get(loop.parameter)
    for field in ("inputs", "outputs", "parameters"):
        proto.ClearField(field)
    if kept is not None:
        proto.parameters.parameters[loop.parameter].CopyFrom(kept)
    taken = []
    for number, source in enumerate(loop.sources):
        producer = compilation.pipeline.nodes[source.node]
        each, shared = each_of(producer, around)
        by_run = producer.works_in_store or each == OF_ALL
        kinds = {output.key: output.type for output in outputs_of(producer)}
        key = ITEMS if number == 0 else f"{ITEMS}_{number}"
        kind = kinds.get(source.key, "")  # nothing is said of what a resolver puts out
        taken.append(PodInput(key, ITEMS, kind, source.node, source.key, by_run, each, shared))
        proto.inputs.inputs[ITEMS].static_inputs.SetInParent()
    making = replace(node, proto=proto, driver=None, loops=tuple(around))
    after = sorted(compilation.last_task(source.node) for source in loop.sources)
    task = _begin(compilation, making, helper=name, after=after)
    _run_ours(compilation, making, task, action=MAKE_ITEMS, inputs=tuple(taken), makes=loop)
    task.component.output_definitions.parameters[ITEMS].parameter_type = parameter_type(list)
    return task


def add_condition(compilation: Compilation, task: Task, node: ir.Node) -> None:
    """Let a task wait for the decision about its node's conditions, and obey it."""
    deciding = compilation.decisions.get(node.conditions)
    if deciding is None:
        return
    task.component.input_definitions.parameters[_CONDITION].parameter_type = parameter_type(bool)
    source = task.spec.inputs.parameters[_CONDITION].task_output_parameter
    source.producer_task, source.output_parameter_key = deciding, HOLDS
    task.spec.trigger_policy.condition = f"inputs.parameter_values['{_CONDITION}'] == true"
    task.spec.dependent_tasks[:] = sorted({*task.spec.dependent_tasks, deciding})


def _begin(
    compilation: Compilation,
    node: ir.Node,
    *,
    cached: bool = False,
    helper: str = "",
    after: Sequence[str] = (),
) -> Task:
    """Return a task without inputs, outputs and command.

    A `helper` has that name and starts after those tasks; what the node asks for (a GPU, retries,
    a timeout) is not for it. The node's own task starts after the nodes before it.
    """
    spec, node_id = protos.pipeline_spec(), node.id
    tries = Tries() if helper else Tries(node.retries, node.timeout)
    name = helper or compilation.tasks[node_id]
    pod = compilation.helper_pod(helper) if helper else compilation.pod(node_id)
    # A container of its own is tried by Argo: nothing of ours is in its pod.
    of_argo = node.is_container and not helper
    timeout = tries.timeout_seconds if of_argo else tries.longest_seconds
    if not helper:
        after = sorted({compilation.last_task(before) for before in node.upstream})
    task = Task(
        name,
        name,
        spec.PipelineTaskSpec(dependent_tasks=after),
        spec.ComponentSpec(),
        spec.PipelineDeploymentConfig.PipelineContainerSpec(image=pod.image),
        platform.executor_config(pod, timeout),
        compilation.loops[node.loops[-1].name] if node.loops else "",
    )
    # Drivers before 2.14 keep tasks by this name, and look up by the key who made what is taken.
    task.spec.task_info.name = name
    task.spec.caching_options.enable_cache = cached
    # A process cannot find out by which name, or digest, its image was pulled.
    told = "" if of_argo else tries.to_text()
    own = {IMAGE_VARIABLE: pod.image, **({TRIES_VARIABLE: told} if told else {})}
    for variable, value in sorted({**own, **pod.env}.items()):
        task.container.env.add(name=variable, value=value)
    platform.add_resources(task.container, pod)
    if of_argo:
        _add_retries(task, node_id, tries.retries)
    return task


def _add_retries(task: Task, node_id: str, retries: Retries) -> None:
    if retries.count:
        if set(retries.after) != set(FAILURES):
            raise PipelineError(
                f"node {node_id} is to be tried again after {', '.join(retries.after)}, and is a "
                "container of its own, of which nobody can say what it failed of",
                hint="Leave out after=.",
            )
        policy = task.spec.retry_policy
        policy.max_retry_count = retries.count
        policy.backoff_duration.seconds = math.ceil(retries.pause_seconds)
        policy.backoff_factor = retries.factor
        # Argo counts it from when the first try began, and ends a try that is running then.
        policy.backoff_max_duration.seconds = _MONTH_SECONDS


def _run_ours(
    compilation: Compilation,
    node: ir.Node,
    task: Task,
    *,
    action: str = RUN,
    outputs: tuple[PodOutput, ...] = (),
    visualizations: tuple[str, ...] = (),
    code: str = "",
    inputs: tuple[PodInput, ...] | None = None,
    makes: LoopSpec | None = None,
) -> None:
    """Let a task's container run our entrypoint in our image.

    `inputs` are what it takes, where that is not what the node does. `makes` is a loop whose items
    it makes.
    """
    from google.protobuf import json_format

    for depth, loop in enumerate(node.loops):
        node, item = _without_items(node, loop), item_of(depth)
        task.component.input_definitions.parameters[item].parameter_type = parameter_type(str)
        task.spec.inputs.parameters[item].component_input_parameter = item
    inputs = inputs_of(compilation, node) if inputs is None else inputs
    node = _with_lists(node, inputs)
    alone = node_alone(compilation.pipeline, node, compilation.project.relocate)
    compilation.project.check(alone)
    parameters = parameters_of(alone)
    pod_task = PodTask(
        node=node.id,
        pipeline=json_format.MessageToDict(alone, preserving_proto_field_name=True),
        store=compilation.store,
        project_folder=compilation.options.project_folder,
        action=action,
        parameters={name: kind.__name__ for name, kind in sorted(parameters.items())},
        inputs=inputs,
        outputs=outputs,
        shown=visualizations,
        code=code,
        import_paths=compilation.project.import_paths(alone),
        loops=(*node.loops, *([makes] if makes is not None else ())),
        told=loops.told(compilation.pipeline, makes.name) if makes is not None else (),
        accelerate=compilation.accelerate,
        **_place_in_pod(compilation, node, action),
    )
    add_inputs(compilation, task, inputs, parameters)
    told = pod_task.to_texts()
    if told.own:
        task.component.input_definitions.parameters[OWN].parameter_type = parameter_type(str)
        task.spec.inputs.parameters[OWN].runtime_value.constant.string_value = told.own
    task.container.command.extend(COMMAND)
    task.container.args.extend(["--task", told.shared, "--executor-input", "{{$}}"])


def _place_in_pod(compilation: Compilation, node: ir.Node, action: str) -> dict[str, Any]:
    """Return what a task says of its node's place in a pod that others share."""
    part = compilation.parts.get(node.id)
    if part is None or action != RUN:
        return {}
    own = compilation.tasks[node.id]
    after = tuple(sorted(b for b in node.upstream if compilation.tasks[b] == own))
    return {"part": part, "after": after}


def _without_items(node: ir.Node, loop: LoopSpec) -> ir.Node:
    """Return a node that is told its own item alone."""
    if loop.parameter not in node.proto.parameters.parameters:
        return node
    proto = node.copied()
    del proto.parameters.parameters[loop.parameter]
    return replace(node, proto=proto)


def _with_lists(node: ir.Node, inputs: Sequence[PodInput]) -> ir.Node:
    """Return a node that takes what all items of a loop have made, also where that is nothing."""
    keys = {taken.key for taken in inputs if taken.each == OF_ALL}
    if not keys & set(node.proto.inputs.inputs):
        return node
    proto = node.copied()
    for key in keys:
        proto.inputs.inputs[key].min_count = 0
    return replace(node, proto=proto)


def _is_cacheable(compilation: Compilation, node: ir.Node) -> bool:
    """Whether Kubeflow's own cache may stand in for a node.

    It does not see what lies outside. A driver looks there (at new spans, changed files), and what
    was pushed lies there. What the nodes of loops have made is looked for by the run. The pod of
    such a node starts always, and asks our cache, which looks. What a container of its own has made
    is recorded by another pod, which starts always too.
    """
    is_of_loop = bool(node.loops) and not node.is_container
    if is_of_loop or any(taken.each == OF_ALL for taken in inputs_of(compilation, node)):
        return False
    looks_outside = node.driver is not None or any(
        output.type == _PUSHED for output in outputs_of(node)
    )
    # Kubeflow's cache knows no age.
    return node.is_cached and not node.cache_seconds and not looks_outside


def _code(compilation: Compilation, node: ir.Node) -> str:
    """Return a digest of the code that a node runs."""
    decision = acceleration.decide(node, enabled=compilation.accelerate)
    path = node.executor_path
    if decision is not None and decision.stand_in is not None:
        path = acceleration.path_of(decision.stand_in)
    written = {
        key: value.field_value.string_value
        for key, value in node.proto.parameters.parameters.items()
        if value.WhichOneof("value") == "field_value"
    }
    return code_digest(code_digests(path, written))
