"""A pipeline for Kubeflow Pipelines v2: a PipelineSpec 2.1.0, and a platform document for pods."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from penstock import __version__, ir
from penstock.errors import ConfigError, PipelineError, suggestion
from penstock.project.kubeflow import KubeflowOptions
from penstock.project.kubernetes import check_no_braces
from penstock.project.profiles import Profile
from penstock.runners.kubeflow.compile import loops, protos, provisions, shared_pods, wiring
from penstock.runners.kubeflow.compile.compilation import Compilation, Task
from penstock.runners.kubeflow.compile.definitions import common, parameter_type
from penstock.runners.kubeflow.compile.node_tasks import (
    add_condition,
    decision,
    items_task,
    tasks_of,
)
from penstock.runners.kubeflow.compile.project import Project
from penstock.runners.kubeflow.compile.sharing import shared
from penstock.runners.kubeflow.compile.workflow import ARGO_LIMIT, LIMIT, workflow_size
from penstock.runners.kubeflow.compile.yaml_text import as_dict, as_yaml
from penstock.runners.kubeflow.contract import names
from penstock.runners.kubeflow.contract.items import item_of
from penstock.safety import secrets

SCHEMA_VERSION = "2.1.0"
_EXIT_HANDLER = "exit-handler-1"
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


@dataclass(frozen=True)
class Compiled:
    """A compiled pipeline; `warnings` are for the person who compiles it."""

    spec: Any
    platform: Any
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The pipeline's name in Kubeflow."""
        return str(self.spec.pipeline_info.name)

    @property
    def fingerprint(self) -> str:
        """A digest of all that is compiled: what has the same one is the same."""
        return hashlib.sha256(self.to_yaml().encode()).hexdigest()[:16]

    def to_yaml(self) -> str:
        """Return both documents, the same text for the same pipeline anywhere."""
        return "---\n".join(as_yaml(message) for message in (self.spec, self.platform))


def compile_for_kubeflow(pipeline: Any, profile: Profile, project: Path) -> Compiled:
    """Compile a pipeline for the installation that a profile names.

    `project` is the folder of penstock.toml; what lies in it is in the image too.

    Raises:
      ConfigError: the profile does not say what pods need.
      PipelineError: the pipeline asks for what Kubeflow Pipelines cannot do.
    """
    options = _kubeflow_options(profile)
    compiled = ir.view(ir.compile_pipeline(pipeline, pipeline_root="", beam_args=profile.beam_args))
    refuse_limit(profile, compiled.name)
    loops.check(compiled)
    exit_handler = wiring.exit_handler(compiled)
    wiring.check_conditions(compiled)
    own_names = names.task_names(compiled.nodes)
    pods = shared_pods.pods_of(compiled, profile)
    task_names, parts = shared_pods.task_names(pods, own_names)
    decisions = _decisions(compiled, task_names)
    compilation = Compilation(
        compiled,
        options,
        _store(profile),
        Project(project.resolve()),
        task_names,
        decisions,
        loops.loop_tasks(compiled, [*task_names.values(), *decisions.values()]),
        pods,
        parts,
        profile.accelerate,
    )
    all_tasks, loop_tasks = _items(compilation)
    for conditions, name in compilation.decisions.items():
        same = [node for node in compiled if node.conditions == conditions]
        # What is decided inside of a loop is decided there, if all that obey it are in it.
        first = replace(same[0], loops=common(*(node.loops for node in same)))
        all_tasks.append(decision(compilation, first, name))
    for nodes in shared_pods.in_order(compiled, pods):
        tasks = [task for node in nodes for task in tasks_of(compilation, node)]
        if len(nodes) > 1:
            tasks = [shared_pods.joined(compilation, nodes, tasks)]
        for task in tasks:
            add_condition(compilation, task, nodes[0])
        all_tasks += tasks
    if exit_handler and compiled.nodes[exit_handler].is_container:
        raise PipelineError(
            f"node {exit_handler} starts after failures too, and is a container of its own: what "
            "it does could not be recorded after it",
            hint="Write it as a component in Python.",
        )
    all_tasks = shared(all_tasks)
    last = task_names[exit_handler] if exit_handler else None
    spec = _pipeline_spec(compiled, profile, all_tasks, last, loop_tasks)
    platform = _platform_spec(all_tasks)
    size = workflow_size(as_dict(spec), as_dict(platform))
    _check_size(compiled, all_tasks, size)
    return Compiled(spec, platform, tuple(_warnings(compilation, profile, all_tasks, size)))


def _items(compilation: Compilation) -> tuple[list[Task], list[loops.LoopTask]]:
    """Return the tasks that make items, and those of the loops."""
    tasks: list[Task] = []
    loop_tasks: list[loops.LoopTask] = []
    taken = [*compilation.tasks.values(), *compilation.decisions.values()]
    for name, (loop, node) in loops.loops_of(compilation.pipeline).items():
        task_name, depth = compilation.loops[name], node.loops.index(loop)
        items: list[str] | str | None = loops.known_items(compilation.pipeline, loop, node)
        if items is None:
            items = names.unused(f"items-of-{task_name}", [*taken, *compilation.loops.values()])
            around = loops.around_items(compilation.pipeline, loop, node)
            tasks.append(items_task(compilation, loop, node, around, items))
        outer = compilation.loops[node.loops[depth - 1].name] if depth else ""
        loop_tasks.append(loops.LoopTask(task_name, outer, item_of(depth), items))
    return tasks, loop_tasks


def _kubeflow_options(profile: Profile) -> KubeflowOptions:
    options = profile.kubeflow
    if options is None:
        raise ConfigError(
            f"the profile {profile.name!r} has no table kubeflow",
            key=f"profiles.{profile.name}",
            hint=f"Add [profiles.{profile.name}.kubeflow] with an image to penstock.toml.",
        )
    if not options.image:
        raise ConfigError(
            "there is no image for pods",
            key=f"profiles.{profile.name}.kubeflow",
            hint='Build one (penstock build) and name it: image = "registry.example/me@sha256:…".',
        )
    return options


def refuse_limit(profile: Profile, pipeline: str) -> None:
    """See that a profile does not limit the runs of a pipeline: no server would know of that.

    Raises:
      ConfigError: it does.
    """
    for name in profile.limits:
        if names.pipeline_name(name) == names.pipeline_name(pipeline):
            raise ConfigError(
                f"profile {profile.name!r} limits how many runs of {name} are under way at once, "
                "and Kubeflow Pipelines starts runs without asking",
                key=f"profiles.{profile.name}.limits.{name}",
                hint="Limit what starts them: `concurrency` of a schedule or of a trigger.",
            )


def _store(profile: Profile) -> str:
    """Return the address of the metadata store, references and all."""
    address = profile.metadata
    if not address or "://" not in address or address.startswith("sqlite:"):
        what = "names a file on this machine" if address else "is not given"
        raise ConfigError(
            f"the metadata store {what}, and pods need one that they can reach",
            key=f"profiles.{profile.name}.metadata",
            hint="Name a MySQL or PostgreSQL server, or one that penstock metadata serve runs.",
        )
    return address


def _decisions(pipeline: ir.Pipeline, task_names: Mapping[str, str]) -> dict[frozenset[str], str]:
    """Return the name of a deciding task for each set of conditions, in the pipeline's order."""
    decisions: dict[frozenset[str], str] = {}
    for node in pipeline:
        conditions = node.conditions
        if conditions and conditions not in decisions:
            taken = [*task_names.values(), *decisions.values()]
            name = f"decide-{task_names[node.id]}"
            decisions[conditions] = names.unused(name, taken)
    return decisions


def _pipeline_spec(
    compiled: ir.Pipeline,
    profile: Profile,
    tasks: list[Task],
    exit_handler: str | None,
    loop_tasks: list[loops.LoopTask],
) -> Any:
    spec = protos.pipeline_spec().PipelineSpec(
        schema_version=SCHEMA_VERSION, sdk_version=f"penstock-{__version__}"
    )
    spec.pipeline_info.name = names.pipeline_name(compiled.name)
    if profile.cluster_root:
        check_no_braces(profile.cluster_root, "pipeline_root")
        spec.default_pipeline_root = profile.cluster_root
    deployment = protos.pipeline_spec().PipelineDeploymentConfig()
    for task in tasks:
        component = spec.components[f"comp-{task.owner}"]
        component.CopyFrom(task.component)
        component.executor_label = f"exec-{task.owner}"
        deployment.executors[component.executor_label].container.CopyFrom(task.container)
    spec.deployment_spec.update(as_dict(deployment))
    _add_root_parameters(spec, compiled, profile)
    inner = spec.root
    if exit_handler is not None:
        inner = _inside_exit_handler(spec)
    loops.nest(spec, inner, [task for task in tasks if task.name != exit_handler], loop_tasks)
    if exit_handler is not None:
        [own] = [task for task in tasks if task.name == exit_handler]
        last = spec.root.dag.tasks[exit_handler]
        last.CopyFrom(own.spec)
        last.dependent_tasks[:] = [_EXIT_HANDLER]
        strategy = type(last).TriggerPolicy.TriggerStrategy
        last.trigger_policy.strategy = strategy.Value("ALL_UPSTREAM_TASKS_COMPLETED")
    return spec


def _check_size(compiled: ir.Pipeline, tasks: list[Task], size: int) -> None:
    if size <= LIMIT:
        return
    told = {task.name: sum(map(len, task.container.args)) for task in tasks}
    longest = max(told, key=lambda name: told[name])
    raise PipelineError(
        f"pipeline {compiled.name} becomes a workflow of {size:,} bytes, {size // len(tasks):,} "
        f"for each of its {len(tasks)} tasks, and Kubernetes takes none of more than {LIMIT:,}",
        hint="Let nodes that are alike stand in a ForEach, or make two pipelines of it, the second "
        "of which finds by a resolver what the first has made. "
        f"The most is said of {longest} ({told[longest]:,} bytes): long texts are better "
        "kept in a file of the project.",
    )


def _add_root_parameters(spec: Any, compiled: ir.Pipeline, profile: Profile) -> None:
    from google.protobuf import json_format

    arguments = profile.parameters.get(compiled.name, {})
    ir.check_parameters(compiled.proto, arguments)
    for name, parameter in sorted(ir.run_parameters(compiled.proto).items()):
        defined = spec.root.input_definitions.parameters[name]
        defined.parameter_type = parameter_type(parameter.type)
        default = arguments.get(name, parameter.default)
        if default is None:
            continue
        check_no_braces(default, f"pipeline {compiled.name}, the default of parameter {name!r}")
        defined.is_optional = True
        if parameter.type is bool:
            defined.default_value.bool_value = default
        elif parameter.type is str:
            defined.default_value.string_value = default
        elif parameter.type is list:
            json_format.ParseDict(default, defined.default_value)
        else:
            defined.default_value.number_value = default


def _inside_exit_handler(spec: Any) -> Any:
    """Add the pipeline in the pipeline that the exit handler waits for; return its component."""
    task = spec.root.dag.tasks[_EXIT_HANDLER]
    task.task_info.name = _EXIT_HANDLER
    task.component_ref.name = f"comp-{_EXIT_HANDLER}"
    component = spec.components[f"comp-{_EXIT_HANDLER}"]
    for name, parameter in spec.root.input_definitions.parameters.items():
        inner = component.input_definitions.parameters[name]
        inner.parameter_type = parameter.parameter_type
        task.inputs.parameters[name].component_input_parameter = name
    return component


def _platform_spec(tasks: Iterable[Task]) -> Any:
    platform = protos.pipeline_spec().PlatformSpec()
    executors = platform.platforms["kubernetes"].deployment_spec.executors
    for task in tasks:
        executors[f"exec-{task.owner}"].update(as_dict(task.pod))
    return platform


def _warnings(
    compilation: Compilation, profile: Profile, tasks: Iterable[Task], size: int
) -> Iterator[str]:
    tasks = list(tasks)
    if size > ARGO_LIMIT:
        yield (
            f"the pipeline becomes a workflow of {size:,} bytes. Argo keeps one, with what has "
            f"become of its nodes, in {ARGO_LIMIT:,}, and etcd in 1,572,864, unless the cluster is "
            "set up for more: MAX_WORKFLOW_SIZE or nodeStatusOffLoad of Argo's controller, and "
            "etcd's --max-request-bytes"
        )
    options = compilation.options
    images = {task.container.image for task in tasks}
    task_names = {*compilation.tasks, *(task.name for task in tasks)}
    for image in sorted(image for image in images if not _DIGEST.search(image)):
        yield (
            f"the image {image} is named by a tag: Kubeflow's cache does not see when it changes. "
            "Name it by its digest: name@sha256:…"
        )
    unknown = {
        **{name: "options for" for name in options.nodes if name not in task_names},
        **{n: "among small_nodes" for n in options.small_nodes if n not in compilation.tasks},
    }
    for name, what in unknown.items():
        hint = suggestion(name, compilation.tasks, noun="node")
        yield f"the profile has {what} {name!r}, and the pipeline no such node. {hint}"
    yield from shared_pods.told_apart(compilation.pipeline, profile)
    for node in compilation.pipeline:
        for variable in _variables(compilation, node):
            yield (
                f"node {node.id} needs the environment variable {variable}, which its pod is not "
                'given. Add to the profile: secrets = [{ secret = "…", key = "…", '
                f'env = "{variable}" }}]'
            )
    yield from provisions.told_blind(profile, compilation.pipeline, compilation.pod)


def _variables(compilation: Compilation, node: ir.Node) -> list[str]:
    """Return the variables that a node refers to and that its pod does not have."""
    texts = [compilation.store, *secrets.texts(node.proto.parameters)]
    texts += secrets.texts(node.executor) if node.executor is not None else []
    return provisions.missing_variables(compilation.pod(node.id), texts)
