"""A compiled pipeline as its documents: what it is called, what it takes, what runs in it."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.errors import DataError, ParameterError, suggestion
from penstock.project.kubernetes import check_no_braces
from penstock.project.scalars import scalar_of
from penstock.runners.kubeflow.contract import texts
from penstock.runners.kubeflow.contract.task import RECORD, RUN
from penstock.runners.kubeflow.contract.texts import Texts

_TYPES = {"BOOLEAN": bool, "NUMBER_INTEGER": int, "NUMBER_DOUBLE": float, "STRING": str}
_COMPILE = "Make one with penstock compile PIPELINE --profile PROFILE -o FILE.yaml."
_JSON_TYPES = {"LIST": list, "STRUCT": dict}


@dataclass(frozen=True)
class Documents:
    """A pipeline's documents as YAML text, and parsed: the pipeline's and the platform's."""

    text: str
    spec: Mapping[str, Any]
    platform: Mapping[str, Any] | None

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return str(self.spec["pipelineInfo"]["name"])

    @property
    def fingerprint(self) -> str:
        """What names a version: a digest of the documents."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """The parameters' declarations."""
        declared: Mapping[str, Any] = (
            self.spec["root"].get("inputDefinitions", {}).get("parameters", {})
        )
        return declared

    @property
    def pipeline_root(self) -> str:
        """Where runs keep their artifacts, "" for the cluster's own place."""
        return str(self.spec.get("defaultPipelineRoot", ""))

    def without_cache(self) -> dict[str, Any]:
        """Return the documents as one value, in which no task takes anything from a cache.

        There are two: Kubeflow's own, and ours, which a pod asks.
        """
        spec = copy.deepcopy(dict(self.spec))
        components = [spec["root"], *spec.get("components", {}).values()]
        for component in components:
            for task in component.get("dag", {}).get("tasks", {}).values():
                task["cachingOptions"] = {}
        for arguments in _arguments(spec):
            for place in _told_at(arguments):
                arguments[place] = _without_cache(arguments[place])
        return self._as_value(spec)

    def as_value(self) -> dict[str, Any]:
        """Return the documents as one value, as a run takes them that is of no version."""
        return self._as_value(dict(self.spec))

    def _as_value(self, spec: dict[str, Any]) -> dict[str, Any]:
        if self.platform is None:
            return spec
        return {"pipeline_spec": spec, "platform_spec": dict(self.platform)}


def _without_cache(shared: Any) -> str:
    try:
        return texts.without_cache(shared)
    except (ValueError, AttributeError) as error:
        raise DataError(f"a container's task cannot be read: {error}", hint=_COMPILE) from error


def read(text: str, path: str | None = None) -> Documents:
    """Read a compiled pipeline.

    Raises:
      DataError: it is no pipeline for Kubeflow.
    """
    import yaml

    try:
        documents = [d for d in yaml.safe_load_all(text) if d is not None]
        spec = documents[0]
        if not (spec["pipelineInfo"]["name"] and isinstance(spec["root"], dict)):
            raise KeyError("root")
        whole = Documents(text, spec, documents[1] if len(documents) > 1 else None)
        _look_through(whole)
    except (yaml.YAMLError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"this is no compiled pipeline ({type(error).__name__})",
            path=path,
            hint=_COMPILE,
        ) from None
    return whole


def _look_through(documents: Documents) -> None:
    """Ask for all that is asked of documents later: what is none of its kind is found now."""
    tasks(documents.spec)
    for declared in documents.parameters.values():
        declared.get("defaultValue")
    for component in (documents.spec["root"], *documents.spec.get("components", {}).values()):
        for task in component.get("dag", {}).get("tasks", {}).values():
            task.get("cachingOptions")
    for arguments in _arguments(documents.spec):
        arguments[:1]


def _arguments(spec: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the arguments of all containers."""
    for executor in spec.get("deploymentSpec", {}).get("executors", {}).values():
        yield executor.get("container", {}).get("args", [])


def parse_parameters(documents: Documents, arguments: Iterable[str]) -> dict[str, Any]:
    """Turn NAME=VALUE into values of the types that a pipeline declares.

    Raises:
      ParameterError: a name is unknown, or a value is not of its type.
    """
    values = {}
    for item in arguments:
        name, equals, text = item.partition("=")
        if not equals:
            raise ParameterError(f"expected NAME=VALUE after -p, got {item!r}")
        values[name] = _parse(documents, name, text)
    return values


def check_parameters(documents: Documents, values: Mapping[str, Any]) -> None:
    """Check that all parameters that must be given are, and are what can be given.

    Raises:
      ParameterError: one is not, or one is unknown.
    """
    for name, value in values.items():
        _declaration(documents, name)
        check_no_braces(value, f"pipeline {documents.name}, parameter {name!r}")
    lacking = [
        name
        for name, declared in documents.parameters.items()
        if name not in values and "defaultValue" not in declared and not declared.get("isOptional")
    ]
    if lacking:
        raise ParameterError(
            f"pipeline {documents.name} needs a value for {', '.join(map(repr, lacking))}",
            hint=f"Add -p {lacking[0]}=VALUE.",
        )


def typed_values(documents: Documents, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of all parameters that are named; texts get the types that are declared.

    Raises:
      ParameterError: a name is unknown or lacking, or a text is not of its type.
    """
    texts = [f"{name}={value}" for name, value in parameters.items() if isinstance(value, str)]
    others = {name: value for name, value in parameters.items() if not isinstance(value, str)}
    values = {**others, **parse_parameters(documents, texts)}
    check_parameters(documents, values)
    return values


def _declaration(documents: Documents, name: str) -> Mapping[str, Any]:
    declared = documents.parameters.get(name)
    if declared is None:
        raise ParameterError(
            f"pipeline {documents.name} has no parameter {name!r}",
            hint=suggestion(name, documents.parameters, noun="parameter"),
        )
    return declared


def _parse(documents: Documents, name: str, text: str) -> Any:
    kind = _declaration(documents, name).get("parameterType", "STRING")
    try:
        if kind in _JSON_TYPES:
            return _json(text, _JSON_TYPES[kind])
        return scalar_of(text, _TYPES.get(kind, str))
    except ValueError as error:
        raise ParameterError(f"pipeline {documents.name}, parameter {name!r}: {error}") from None


def _json(text: str, kind: type) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, kind):
        raise ValueError(f"expected a JSON {'list' if kind is list else 'object'}, got {text!r}")
    return value


@dataclass(frozen=True)
class Task:
    """A task of a pipeline: the name by which the server knows it, and that which people do.

    `nodes` are those that it runs, where it is known; several share its pod, and it has the names
    of all. `loops` are the tasks of the loops in which it stands, the outermost first, and `item`
    has the place of the item of each for which it runs there, if one is meant.
    """

    key: str
    title: str
    nodes: tuple[str, ...] = ()
    loops: tuple[str, ...] = ()
    item: tuple[int, ...] = ()


def tasks(spec: Mapping[str, Any]) -> list[Task]:
    """Return a pipeline's tasks, those of inner graphs too, each after those that it needs."""
    found = dict(_tasks(spec, spec.get("root", {}), frozenset()))
    nodes, loops = _nodes(spec, found), _loops(spec)
    titles = {key: " + ".join(of_task) for key, of_task in nodes.items()}
    return [
        Task(
            key,
            titles.get(key) or _name(task) or key,
            nodes.get(key, ()),
            loops.get(key, ()),
        )
        for key, task in found.items()
    ]


def _loops(spec: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the tasks of loops, the outermost first, by those that stand in them."""
    around: dict[str, str] = {}
    for component in (spec.get("root", {}), *spec.get("components", {}).values()):
        for key, task in component.get("dag", {}).get("tasks", {}).items():
            if "parameterIterator" in task:
                inner = spec.get("components", {}).get(task.get("componentRef", {}).get("name"), {})
                around.update(dict.fromkeys(inner.get("dag", {}).get("tasks", {}), key))
    paths = {}
    for name in around:
        path = [name]
        while path[0] in around and around[path[0]] not in path:
            path.insert(0, around[path[0]])
        paths[name] = tuple(path[:-1])
    return paths


def _tasks(
    spec: Mapping[str, Any], component: Mapping[str, Any], above: frozenset[str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    waiting = dict(sorted(component.get("dag", {}).get("tasks", {}).items()))
    while waiting:
        ready = [n for n, task in waiting.items() if not _needs(task) & (set(waiting) - {n})]
        for name in ready or list(waiting):
            task = waiting.pop(name)
            inner = task.get("componentRef", {}).get("name", "")
            component_of_task = spec.get("components", {}).get(inner, {})
            if "dag" not in component_of_task:
                yield name, task
            elif inner not in above:
                yield from _tasks(spec, component_of_task, above | {inner})


def _name(task: Mapping[str, Any]) -> Any:
    return task.get("taskInfo", {}).get("name")


def _nodes(
    spec: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]
) -> dict[str, tuple[str, ...]]:
    """Return the names of the nodes that tasks run, where their containers are told of any.

    A container of its own is told nothing, and what records what it did is told its node.
    """
    nodes: dict[str, tuple[str, ...]] = {}
    for key, task in found.items():
        told = [_node_and_action(one) for one in _told(task, _container(spec, task))]
        actions = {action for _, action in told}
        if actions in ({RUN}, {RECORD}):
            own = key if actions == {RUN} else key.removesuffix("-record")
            nodes[own] = tuple(node for node, _ in told)
    return nodes


def _node_and_action(told: Texts) -> tuple[str, str]:
    """Return what a container is told of, "" where it is told nothing that is known here."""
    try:
        return texts.node_and_action(told)
    except ValueError:  # another version of Penstock has compiled it
        return "", ""


def _container(spec: Mapping[str, Any], task: Mapping[str, Any]) -> Mapping[str, Any]:
    component = spec.get("components", {}).get(task.get("componentRef", {}).get("name"), {})
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    container: Mapping[str, Any] = executors.get(component.get("executorLabel"), {}).get(
        "container", {}
    )
    return container


def _told_at(arguments: Any) -> list[int]:
    """Return where in a container's arguments stands what our entrypoint is told of nodes."""
    if arguments[:1] != ["--task"]:
        return []
    return [at + 1 for at, argument in enumerate(arguments[:-1]) if argument == "--task"]


def _told(task: Mapping[str, Any], container: Mapping[str, Any]) -> list[Texts]:
    """Return what our entrypoint is told of nodes, nothing where it is not what runs there."""
    arguments = container.get("args", [])
    own = task.get("inputs", {}).get("parameters", {}).get(texts.OWN, {})
    constant = own.get("runtimeValue", {}).get("constant", "")
    return [Texts(arguments[place], constant) for place in _told_at(arguments)]


def told_tasks(spec: Mapping[str, Any]) -> dict[str, tuple[Texts, str]]:
    """Return what our entrypoint is told, and in which image, by the names of tasks of one node.

    Each stands after those that it needs.
    """
    found = {}
    for key, task in _tasks(spec, spec.get("root", {}), frozenset()):
        container = _container(spec, task)
        told = _told(task, container)
        if len(told) == 1:
            found[key] = told[0], str(container.get("image", ""))
    return found


def _needs(task: Mapping[str, Any]) -> set[str]:
    inputs = task.get("inputs", {})
    sources = [*inputs.get("parameters", {}).values(), *inputs.get("artifacts", {}).values()]
    outputs = [value for source in sources for value in source.values() if isinstance(value, dict)]
    producers = {output["producerTask"] for output in outputs if "producerTask" in output}
    return producers | set(task.get("dependentTasks", ()))
