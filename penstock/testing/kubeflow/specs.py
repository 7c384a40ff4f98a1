"""What the server makes of a pipeline's documents, and of values for its parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.runners.kubeflow.compile import protos
from penstock.testing.kubeflow.refusals import Refusal, invalid

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_KINDS = {
    "NUMBER_DOUBLE": ("number_value", "double or integer", "number value"),
    "NUMBER_INTEGER": ("number_value", "double or integer", "number value"),
    "STRING": ("string_value", "string", "string value"),
    "BOOLEAN": ("bool_value", "bool", "bool value"),
    "LIST": ("list_value", "list", "list value"),
    "STRUCT": ("struct_value", "struct", "struct value"),
}


@dataclass(frozen=True)
class Pipeline:
    """A pipeline's specification, as a message and as its documents."""

    spec: Any
    document: Mapping[str, Any]
    platform: Mapping[str, Any] | None

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return str(self.spec.pipeline_info.name)

    def as_struct(self) -> dict[str, Any]:
        """Return the documents as one value, as clients send and get them."""
        if self.platform is None:
            return dict(self.document)
        return {"pipeline_spec": dict(self.document), "platform_spec": dict(self.platform)}

    def tasks(self) -> list[str]:
        """Return the tasks in an order in which they can run, those of inner graphs included."""
        return list(_tasks(self.spec, self.spec.root.dag))


def read_yaml(content: bytes) -> Pipeline:
    """Read an upload, a document for the pipeline and perhaps one for the platform.

    Raises:
      Refusal: it is not what the server takes.
    """
    import yaml

    try:
        documents = [d for d in yaml.safe_load_all(content.decode("utf-8")) if d is not None]
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"unable to decode yaml document: {error}") from None
    return read_documents(documents)


def read_struct(value: Mapping[str, Any]) -> Pipeline:
    """Read a pipeline that stands in the body of a request."""
    if "pipeline_spec" in value:
        return read_documents([value["pipeline_spec"], value.get("platform_spec") or {}])
    return read_documents([value])


def read_documents(documents: list[Any]) -> Pipeline:
    """Read documents that are parsed already."""
    document = platform = None
    for value in documents:
        if not isinstance(value, dict):
            raise invalid(f"expected a mapping as a document, got {type(value).__name__}")
        if "pipelineInfo" in value or "schemaVersion" in value:
            if document is not None:
                raise invalid("multiple pipeline specs provided")
            document = value
        elif "platforms" in value:
            if platform is not None:
                raise invalid("multiple platform specs provided")
            platform = value
        elif value:
            # The real one skips such a document, and with it what it was to say.
            raise invalid(f"a document is neither a pipeline nor a platform: {sorted(value)}")
    if document is None:
        raise invalid("no pipeline spec is provided")
    spec = _parse_spec(document)
    if platform is not None:
        _check_platform(platform, spec)
    return Pipeline(spec, document, platform)


def _parse_spec(document: Mapping[str, Any]) -> Any:
    from google.protobuf import json_format

    try:
        spec = json_format.ParseDict(document, protos.pipeline_spec().PipelineSpec())
    except json_format.ParseError as error:
        raise invalid(f"invalid v2 pipeline spec: {error}") from None
    if spec.schema_version != "2.1.0":
        raise invalid(
            "KFP only supports schema version 2.1.0, but the pipeline spec has version "
            f"{spec.schema_version}"
        )
    if not spec.pipeline_info.name:
        raise invalid("invalid v2 pipeline spec: name is empty")
    if not _NAME.fullmatch(spec.pipeline_info.name):
        raise invalid(
            "invalid v2 pipeline spec: name should consist of lower case alphanumeric characters, "
            "'-' or '.', and must start and end with an alphanumeric character"
        )
    if not spec.HasField("root"):
        raise invalid("invalid v2 pipeline spec: root component is empty")
    return spec


def _check_platform(document: Mapping[str, Any], spec: Any) -> None:
    from google.protobuf import json_format

    try:
        platform = json_format.ParseDict(document, protos.pipeline_spec().PlatformSpec())
        unknown = set(platform.platforms) - {"kubernetes"}
        if unknown:
            raise invalid(f"platforms other than kubernetes: {sorted(unknown)}")
        executors = platform.platforms["kubernetes"].deployment_spec.executors
        for label, options in executors.items():
            if label not in _executors(spec):
                raise invalid(f"the platform has options for {label}, which is no executor")
            json_format.ParseDict(
                json_format.MessageToDict(options),
                protos.kubernetes().KubernetesExecutorConfig(),
            )
    except json_format.ParseError as error:
        raise invalid(f"cannot unmarshal platform specific configs: {error}") from None


def _executors(spec: Any) -> Mapping[str, Any]:
    from google.protobuf import json_format

    try:
        deployment = json_format.ParseDict(
            json_format.MessageToDict(spec.deployment_spec),
            protos.pipeline_spec().PipelineDeploymentConfig(),
        )
    except json_format.ParseError as error:
        raise invalid(f"invalid deployment spec: {error}") from None
    executors: Mapping[str, Any] = deployment.executors
    return executors


def check_runnable(pipeline: Pipeline) -> None:
    """Check what the real server finds out when it turns a pipeline into a workflow.

    Raises:
      Refusal: a task refers to nothing, or is of a kind that does not run there.
    """
    executors = _executors(pipeline.spec)
    graphs = [pipeline.spec.root.dag, *(c.dag for c in pipeline.spec.components.values())]
    for component in (pipeline.spec.root, *pipeline.spec.components.values()):
        if component.HasField("dag"):
            _check_graph(component)
    for graph in graphs:
        for name, task in graph.tasks.items():
            component = pipeline.spec.components.get(task.component_ref.name)
            if component is None:
                raise _not_compiled(name, f"component spec for {task.component_ref.name} not found")
            _check_iterator(name, task, component)
            if component.WhichOneof("implementation") == "executor_label":
                executor = executors.get(component.executor_label)
                if executor is None:
                    label = component.executor_label
                    raise _not_compiled(name, f"executor with label {label} not found")
                if executor.WhichOneof("spec") not in ("container", "importer"):
                    kind = executor.WhichOneof("spec")
                    raise _not_compiled(name, f"executors of kind {kind} are not supported")


def _check_graph(component: Any) -> None:
    """Check that tasks of a graph take what is there: from each other, or its own inputs.

    That a graph has tasks, and the producers of its own, are found when it is compiled (DAG and
    addImplicitDependencies in argocompiler/dag.go in backend/src/v2), what it is to wait for by
    Argo (resolveAllVariables and verifyDependsLogic in workflow/validate/validate.go). The driver
    looks for the graph's inputs when a task begins (resolve.go): a run would fail that begins here
    with a refusal.

    Raises:
      Refusal: something is not there.
    """
    tasks, inputs = component.dag.tasks, component.input_definitions
    if not tasks:
        raise Refusal("INTERNAL", "DAG must contain one or more non-exit tasks")
    for name, task in tasks.items():
        if unknown := sorted(_needed(task) - set(tasks)):
            raise _not_compiled(name, f'unknown producer task "{unknown[0]}" in DAG')
        for kind, given, declared in (
            ("parameter", task.inputs.parameters, inputs.parameters),
            ("artifact", task.inputs.artifacts, inputs.artifacts),
        ):
            for source in given.values():
                taken = getattr(source, f"component_input_{kind}")
                if taken and taken not in declared:
                    raise _not_compiled(name, f"parent DAG does not have input {kind} {taken}")


def _check_iterator(name: str, task: Any, component: Any) -> None:
    """Check what a task iterates over: argocompiler/dag.go, driver/dag.go in backend/src/v2.

    The second does that when the task begins: a run would fail that begins here with a refusal.

    Raises:
      Refusal: it is no list, or there is none.
    """
    if task.HasField("artifact_iterator"):
        both = task.HasField("parameter_iterator")
        why = "parameterIterator and artifactIterator cannot be specified at the same time"
        raise _not_compiled(name, why if both else "artifact iterator not implemented yet")
    if not task.HasField("parameter_iterator"):
        return
    iterator = task.parameter_iterator
    declared, kind = component.input_definitions.parameters, iterator.items.WhichOneof("kind")
    if kind is None:
        raise _not_compiled(name, "cannot find parameter iterator")
    if iterator.item_input not in declared:
        raise _not_compiled(name, f"its component has no parameter {iterator.item_input!r}")
    if kind == "input_parameter" and iterator.items.input_parameter not in task.inputs.parameters:
        raise _not_compiled(name, "iterating on item input: cannot find input parameter")
    if kind == "raw":
        try:
            items = json.loads(iterator.items.raw)
        except ValueError:
            raise _not_compiled(name, "error unmarshall raw string") from None
        if not isinstance(items, list):
            raise _not_compiled(name, f"value of type {type(items).__name__} cannot be iterated")


def _not_compiled(task: str, why: str) -> Refusal:
    return Refusal("INTERNAL", f'Failed to compile job: compiling task "{task}": {why}')


def check_parameters(pipeline: Pipeline, values: Mapping[str, Any]) -> None:
    """Check the values of a run's parameters against their declarations.

    Raises:
      Refusal: one is missing, unknown, or of another type.
    """
    from google.protobuf import json_format, struct_pb2

    declared = pipeline.spec.root.input_definitions.parameters
    for name, parameter in declared.items():
        if name not in values:
            if not parameter.is_optional and not parameter.HasField("default_value"):
                raise invalid(
                    f"parameter {name} is not optional, yet has neither default value nor user "
                    "provided value"
                )
            continue
        kind = protos.pipeline_spec().ParameterType.ParameterTypeEnum.Name(parameter.parameter_type)
        if kind not in _KINDS:
            raise invalid(f"input parameter {name} requires type unknown")
        field, expected, form = _KINDS[kind]
        value = json_format.ParseDict(values[name], struct_pb2.Value())
        if value.WhichOneof("kind") != field:
            raise invalid(
                f"input parameter {name} requires type {expected}, but the parameter value is not "
                f"of {form} type"
            )
    if extra := sorted(set(values) - set(declared)):
        raise invalid(f"parameter(s) provided are not required by pipeline: {', '.join(extra)}")


def _tasks(spec: Any, graph: Any) -> Iterator[str]:
    """Yield the tasks of a graph, each after those that it needs."""
    done: set[str] = set()
    waiting = dict(sorted(graph.tasks.items()))
    while waiting:
        ready = [n for n, t in waiting.items() if not (_needed(t) & set(waiting)) - {n}]
        if not ready:
            raise invalid(f"the tasks {sorted(waiting)} wait for one another")
        for name in ready:
            task = waiting.pop(name)
            done.add(name)
            yield name
            component = spec.components.get(task.component_ref.name)
            if component is not None and component.HasField("dag"):
                yield from _tasks(spec, component.dag)


def _needed(task: Any) -> set[str]:
    needed = set(task.dependent_tasks)
    for parameter in task.inputs.parameters.values():
        needed.add(parameter.task_output_parameter.producer_task)
    for artifact in task.inputs.artifacts.values():
        needed.add(artifact.task_output_artifact.producer_task)
    return needed - {""}
