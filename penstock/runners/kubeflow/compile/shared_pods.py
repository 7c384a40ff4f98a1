"""Small nodes that follow others share their pods: which do, and what task they become together.

A pod costs 20 to 30 seconds before its node works, and another pod, the task's driver. A node joins
the pod of a node before it, or of small nodes like itself, if

- it is small: the pod's other nodes, and all that wait for them, wait for it too;
- all that must have ended before it is in the pod, or must have ended before the pod's first node
  anyway, or is itself small and could begin no later than something before that first node: so the
  pod begins when its first node would have, or hardly later;
- all that must have ended before the pod's first node must have ended before it too, and so must
  that node itself unless it is small: so it begins hardly later than it would have.

Tasks of several nodes cannot wait for one another in a circle: of two tasks one of which waits for
the other, what must have ended before the first node of that one is a part of what must have ended
before the first node of the one that waits, and never all of it. Beyond that,

- its pod would be the same: image, resources, secrets and all else;
- both have the same conditions, and neither is in a loop, starts after failures too, or is a
  container of its own;
- the pod can write to the object store: each node brings its outputs there before the next begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from penstock import ir
from penstock.execution.schedule import Trigger, read_graph
from penstock.project.kubeflow import KubeflowOptions
from penstock.project.pods import PodOptions
from penstock.project.profiles import Profile
from penstock.runners.kubeflow.compile import platform, provisions, wiring
from penstock.runners.kubeflow.compile.compilation import Compilation, Task, pod_of
from penstock.runners.kubeflow.contract import names, parts, texts
from penstock.runners.kubeflow.contract.task import COMMAND
from penstock.runners.kubeflow.contract.texts import OWN, Texts
from penstock.runners.kubeflow.contract.tries import TRIES_VARIABLE, Tries, of_nodes

# Components, ours and TFX's, whose work takes seconds.
_SMALL = ("ExampleValidator", "ImportSchemaGen", "ModelRegistrar", "Pusher", "SchemaGen")
_LIBRARIES = ("penstock.components.", "tfx.components.")
# So long that a name of a task is not cut anywhere.
_LONGEST_NAME = 50


def pods_of(pipeline: ir.Pipeline, profile: Profile) -> list[list[str]]:
    """Return the nodes that share a pod, in the order in which they run, for each such pod."""
    return [pod for pod in _pods(pipeline, profile) if _can_write(pipeline, profile, pod)]


def told_apart(pipeline: ir.Pipeline, profile: Profile) -> Iterator[str]:
    """Yield what to say of nodes that could share a pod, and do not; one text, or none."""
    blind = [pod for pod in _pods(pipeline, profile) if not _can_write(pipeline, profile, pod)]
    if blind:
        yield (
            f"{'; '.join(', '.join(pod) for pod in blind)} could share a pod, and do not: each "
            "would have to bring what it makes to the object store, and their pods are given no "
            f"keys of it. Add to the profile: {provisions.STOCK_KEYS}"
        )


def in_order(pipeline: ir.Pipeline, pods: Iterable[Sequence[str]]) -> Iterator[list[ir.Node]]:
    """Yield the nodes of a pipeline, those that share a pod together."""
    together = {node: pod for pod in pods for node in pod}
    for node in pipeline:
        pod = together.get(node.id, [node.id])
        if node.id == pod[0]:
            yield [pipeline.nodes[name] for name in pod]


def _can_write(pipeline: ir.Pipeline, profile: Profile, pod: Sequence[str]) -> bool:
    options = _pod_options(pipeline, profile, pipeline.nodes[pod[0]])
    return provisions.may_read_artifacts(profile, options)


def _pod_options(pipeline: ir.Pipeline, profile: Profile, node: ir.Node) -> PodOptions:
    assert profile.kubeflow is not None, "pods are of a profile for Kubeflow"
    return pod_of(profile.kubeflow, pipeline, node)


def _pods(pipeline: ir.Pipeline, profile: Profile) -> list[list[str]]:
    options = profile.kubeflow
    if options is None or not options.share_pods:
        return []
    before = _before(pipeline)
    graph = read_graph(pipeline)
    able = {
        node.id
        for node in pipeline
        if not (node.loops or node.is_container or _takes_all_items(pipeline, node))
        and graph.trigger(node.id) is Trigger.UPSTREAM_SUCCEEDED
    }
    small = {node.id for node in pipeline if node.id in able and _is_small(node, options)}
    pods: list[list[str]] = []
    of_pods: list[tuple[PodOptions, frozenset[str]]] = []
    for node in pipeline:
        if node.id not in able:
            continue
        alike = _pod_options(pipeline, profile, node), node.conditions
        joined = None
        if node.id in small:
            fitting = [
                pod
                for pod, of_pod in zip(pods, of_pods, strict=True)
                if of_pod == alike and _may_join(pipeline, node, pod, before, small)
            ]
            # One that the node waits for anyway saves time, and not only pods.
            fitting.sort(key=lambda pod: bool(before[node.id] & set(pod)))
            joined = fitting[-1] if fitting else None
        if joined is not None:
            joined.append(node.id)
        else:
            pods.append([node.id])
            of_pods.append(alike)
    return [pod for pod in pods if len(pod) > 1]


def _is_small(node: ir.Node, options: KubeflowOptions) -> bool:
    known = node.kind.startswith(_LIBRARIES) and node.kind.rpartition(".")[2] in _SMALL
    return node.works_in_store or known or node.id in options.small_nodes


def _before(pipeline: ir.Pipeline) -> dict[str, frozenset[str]]:
    """Return for each node all that must have ended before it."""
    before: dict[str, frozenset[str]] = {}
    for node in pipeline:
        before[node.id] = frozenset(node.upstream).union(*(before[b] for b in node.upstream))
    return before


def _takes_all_items(pipeline: ir.Pipeline, node: ir.Node) -> bool:
    return any(pipeline.nodes[link.producer].loops for link in wiring.links(node))


def _may_join(
    pipeline: ir.Pipeline,
    node: ir.Node,
    pod: Sequence[str],
    before: Mapping[str, frozenset[str]],
    small: set[str],
) -> bool:
    first = pod[0]
    if not before[first] <= before[node.id]:
        return False
    if first not in small and first not in before[node.id]:
        return False
    begins_with = [before[b] for b in pipeline.nodes[first].upstream]
    return all(
        other in small and any(before[other] <= earlier for earlier in begins_with)
        for other in before[node.id] - before[first] - set(pod)
    )


def task_names(
    pods: Iterable[Sequence[str]], own_names: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the name of every node's task, and what nodes that share one are called in it.

    `own_names` are those of tasks if each node had its own. The task of several has the names of
    all of them, unless that is too long.
    """
    shared, called = dict(own_names), {}
    for pod in pods:
        own = [own_names[node] for node in pod]
        name = "-".join(own)
        if len(name) > _LONGEST_NAME:
            name = f"{own[0]}-and-{len(own) - 1}-more"
        name = names.unused(name, [other for node, other in shared.items() if node not in pod])
        for node in pod:
            shared[node], called[node] = name, own_names[node]
    return shared, called


def joined(compilation: Compilation, nodes: Sequence[ir.Node], tasks: Sequence[Task]) -> Task:
    """Return the one task of nodes that share a pod; `tasks` are theirs.

    Kubeflow's own cache never stands in for it: each node asks ours.
    """
    first = tasks[0]
    spec, component, container = (
        type(message)() for message in (first.spec, first.component, first.container)
    )
    told: list[str] = []
    for node, task in zip(nodes, tasks, strict=True):
        part = compilation.parts[node.id]
        told += ["--task", texts.whole(_told(task))]
        _add_inputs(spec, component, task, part)
        for name, output in task.component.output_definitions.artifacts.items():
            own = component.output_definitions.artifacts[parts.name_in_pod(part, name)]
            own.CopyFrom(output)
    after = {name for task in tasks for name in task.spec.dependent_tasks}
    spec.dependent_tasks[:] = sorted(after - {first.name})
    spec.task_info.name = first.name
    spec.caching_options.SetInParent()
    container.CopyFrom(first.container)
    container.args[:] = [*told, "--executor-input", "{{$}}"]
    container.command[:] = COMMAND
    tries = {node.id: Tries(node.retries, node.timeout) for node in nodes}
    variables = {v.name: v.value for v in container.env if v.name != TRIES_VARIABLE}
    if text := of_nodes(tries):
        variables[TRIES_VARIABLE] = text
    del container.env[:]
    for variable, value in sorted(variables.items()):
        container.env.add(name=variable, value=value)
    longest = [own.longest_seconds for own in tries.values()]
    timeout = sum(longest) if all(longest) else 0
    pod = platform.executor_config(compilation.pod(nodes[0].id), timeout)
    return replace(first, spec=spec, component=component, container=container, pod=pod)


def _told(task: Task) -> Texts:
    own = task.spec.inputs.parameters
    constant = own[OWN].runtime_value.constant.string_value if OWN in own else ""
    return Texts(task.container.args[1], constant)


def _add_inputs(spec: Any, component: Any, task: Task, part: str) -> None:
    """Let a task take what one of its nodes takes, but for what another of them makes."""
    for name, taken in task.spec.inputs.parameters.items():
        if name != OWN:
            spec.inputs.parameters[name].CopyFrom(taken)
            declared = task.component.input_definitions.parameters[name]
            component.input_definitions.parameters[name].CopyFrom(declared)
    for name, artifact in task.spec.inputs.artifacts.items():
        if artifact.task_output_artifact.producer_task != task.name:
            called = parts.name_in_pod(part, name)
            spec.inputs.artifacts[called].CopyFrom(artifact)
            defined = task.component.input_definitions.artifacts[name]
            component.input_definitions.artifacts[called].CopyFrom(defined)
