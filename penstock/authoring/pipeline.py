"""`@pipeline`: a function that builds nodes becomes a pipeline with parameters."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, overload

from penstock import _tfx
from penstock.authoring.for_each import loops_of
from penstock.authoring.values import (
    SCALARS,
    PipelineParameter,
    convert,
    describe,
    is_supported,
    to_json,
    used_as_value,
)
from penstock.errors import PipelineError, UserCodeError
from penstock.project import clusters, user_code
from penstock.project.clusters import Cluster
from penstock.project.user_code import place_of

# What Kubernetes takes as a label, which TFX holds pipelines to.
_LONGEST_NAME = 63


@dataclass(frozen=True)
class PipelineDefinition:
    """A pipeline as its author wrote it: a name, parameters and a function that builds nodes.

    `required` names the parameters without a default: a run must give them.
    """

    name: str
    function: Callable[..., Any]
    parameters: Mapping[str, PipelineParameter]
    required: frozenset[str]
    cache: bool = True
    cluster: Cluster | None = None

    @property
    def description(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    def _call(self) -> Any:
        try:
            return user_code.run(self.function, **self.parameters)
        except UserCodeError as error:
            refused = used_as_value(error.__cause__) if error.__cause__ else None
            if refused is None:
                raise
            refused.message += f" ({error.path})"
            raise refused from error.__cause__

    def build(
        self,
        *,
        pipeline_root: str,
        metadata_connection_config: Any = None,
        beam_args: Iterable[str] = (),
    ) -> Any:
        """Call the function and return the TFX `Pipeline` of its nodes, for whom compiles that.

        Raises:
          WiringError: a component is called wrongly.
          PipelineError: a node is not returned, two have one id, they form a cycle, or one stands
            in a `ForEach`, of which TFX's compiler knows nothing.
          UserCodeError: the function raises.
        """
        built = self.assemble(
            pipeline_root=pipeline_root,
            metadata_connection_config=metadata_connection_config,
            beam_args=beam_args,
        )
        for node in built.components:
            if loops := loops_of(node, built.dsl_context_registry):
                raise PipelineError(
                    f"pipeline {self.name}: node {node.id} stands in a ForEach of Penstock's "
                    f"({loops[0].name}), and in a TFX Pipeline it would run once, whatever there "
                    f"is to go over ({place_of(self.function)})",
                    hint="Give Penstock the @pipeline itself: LocalRunner().run, penstock run, "
                    "penstock compile. For TFX's own compiler and runners write a loop of Python's "
                    'where the items are known: for item in items: NODE(...).with_id(f"...").',
                )
        return built

    def assemble(
        self,
        *,
        pipeline_root: str,
        metadata_connection_config: Any = None,
        beam_args: Iterable[str] = (),
    ) -> Any:
        """Do what `build` does, for Penstock's compiler: nodes may stand in a `ForEach`."""
        with _tfx.new_node_registry() as registry:
            _check_name(self.name)
            returned = self._call()
            returned_nodes = _nodes(self.name, returned)
            _check_ids(self.name, registry.all_nodes)
            nodes = _with_ancestors(returned_nodes, registry)
            _check_all_returned(self.name, nodes, registry.all_nodes)
            own = () if self.cluster is None else self.cluster.args
            args = clusters.joined(own, beam_args)
            try:
                return with_own_places(
                    nodes,
                    lambda: _tfx.Pipeline(
                        pipeline_name=self.name,
                        pipeline_root=pipeline_root,
                        metadata_connection_config=metadata_connection_config,
                        components=nodes,
                        enable_cache=self.cache,
                        beam_pipeline_args=list(args),
                    ),
                )
            except _tfx.InvalidDAGError as error:
                raise PipelineError(
                    f"pipeline {self.name}: its nodes form a cycle: "
                    f"{' -> '.join(_cycle(nodes, registry))}",
                    hint="A node cannot use, directly or not, what is made from its own output.",
                ) from error


def with_own_places(nodes: Iterable[Any], make: Callable[[], Any]) -> Any:
    """Make a pipeline whose Beam arguments are not put before those of nodes that name a place."""
    own = {}
    for node in nodes:
        args = getattr(getattr(node, "executor_spec", None), "beam_pipeline_args", ())
        if clusters.names_a_place(args):
            own[node] = list(args)
    made = make()
    for node, args in own.items():
        node.executor_spec.beam_pipeline_args = args
    return made


@overload
def pipeline(function: Callable[..., Any]) -> PipelineDefinition: ...
@overload
def pipeline(
    *, name: str | None = None, cache: bool = True, cluster: Cluster | None = None
) -> Callable[[Callable[..., Any]], PipelineDefinition]: ...
def pipeline(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    cache: bool = True,
    cluster: Cluster | None = None,
) -> Any:
    """Make a pipeline of a function that builds nodes and returns them.

    The function's parameters (str, int, float, bool or lists) become parameters of a run: inside
    the function they stand for values that are not known yet and are passed on to components as
    they are. Nodes that a returned node depends on need not be returned. `cache` lets nodes reuse
    the results of earlier runs. `cluster` is the Spark or Ray whose workers do the parts of its
    nodes' work, where neither a node nor who runs it names another.

    Raises:
      PipelineError: a parameter cannot be one of a run.
    """
    if function is None:
        return lambda f: _definition(f, name, cache, cluster)
    return _definition(function, None, True, None)


def _definition(
    function: Callable[..., Any], name: str | None, cache: bool, cluster: Cluster | None
) -> PipelineDefinition:
    name = name or function.__name__.replace("_", "-")
    hints = typing.get_type_hints(function)
    parameters: dict[str, PipelineParameter] = {}
    required = set()
    for argument in inspect.signature(function).parameters.values():
        hint = hints.get(argument.name)
        kind = list if typing.get_origin(hint) is list else hint
        if kind not in (*SCALARS, list) or not is_supported(hint):
            description = "no type" if hint is None else describe(hint)
            raise PipelineError(
                f"pipeline {name}: the parameter {argument.name!r} has {description}",
                hint="Parameters of a pipeline are str, int, float, bool, or lists as list[str].",
            )
        default = argument.default
        if default is inspect.Parameter.empty:
            required.add(argument.name)
            default = None
        elif kind is float and type(default) is int:
            default = float(default)
        elif kind is list:
            where = f"pipeline {name}, parameter {argument.name!r}"
            default = to_json(convert(default, hint, where), where)
        elif type(default) is not kind:
            raise PipelineError(
                f"pipeline {name}: the parameter {argument.name!r} is {kind.__name__}, but its "
                f"default is {default!r}"
            )
        item_type = (*typing.get_args(hint), Any)[0] if kind is list else Any
        parameters[argument.name] = PipelineParameter(argument.name, kind, default, item_type)
    return PipelineDefinition(name, function, parameters, frozenset(required), cache, cluster)


def _nodes(name: str, returned: Any) -> list[Any]:
    if isinstance(returned, _tfx.BaseNode):
        return [returned]
    if isinstance(returned, Mapping):
        returned = list(returned.values())
    if not isinstance(returned, Iterable):
        raise PipelineError(
            f"pipeline {name} returned {returned!r} where its nodes are expected",
            hint="End the function with: return [first_node, second_node, ...].",
        )
    nodes = list(returned)
    for node in nodes:
        if not isinstance(node, _tfx.BaseNode):
            raise PipelineError(
                f"pipeline {name} returned {node!r} ({type(node).__name__}) among its nodes",
                hint="Return the nodes themselves, not their outputs.",
            )
    if not nodes:
        raise PipelineError(f"pipeline {name} returned no nodes")
    return nodes


def _with_ancestors(nodes: list[Any], registry: Any) -> list[Any]:
    """Return the nodes and all that they depend on, each once."""
    upstream = _upstream(registry)
    by_id: dict[int, Any] = {}
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if id(node) not in by_id:
            by_id[id(node)] = node
            waiting += upstream(node)
    return list(by_id.values())


def _upstream(registry: Any) -> Callable[[Any], list[Any]]:
    """Return a function that gives the nodes that a node depends on."""
    earlier: dict[int, list[Any]] = {}
    for before, after in _tfx.enumerate_dependencies(registry.all_nodes, registry):
        earlier.setdefault(id(after), []).append(before)
    return lambda node: [*earlier.get(id(node), ()), *node.upstream_nodes]


def _cycle(nodes: list[Any], registry: Any) -> list[str]:
    """Return the names along a cycle, each after what it depends on, the first one again last."""
    upstream = _upstream(registry)
    safe: set[int] = set()
    for start in nodes:
        path, waiting = [start], [upstream(start)]
        while path:
            if not waiting[-1]:
                safe.add(id(path.pop()))
                waiting.pop()
                continue
            node = waiting[-1].pop()
            if any(node is earlier for earlier in path):
                names = [step.id for step in path]
                return [node.id, *reversed(names[names.index(node.id) :])]
            if id(node) not in safe:
                path.append(node)
                waiting.append(upstream(node))
    return []


def _check_name(name: str) -> None:
    if len(name) > _LONGEST_NAME:
        raise PipelineError(
            f"the name of a pipeline has up to {_LONGEST_NAME} characters, and {name} has "
            f"{len(name)}",
            hint='Give it a shorter one: @pipeline(name="…").',
        )


def _renamed(node: Any) -> str:
    return f'{type(node).__name__}(...).with_id("another_name")'


def _check_ids(name: str, nodes: list[Any]) -> None:
    seen: dict[str, Any] = {}
    for node in nodes:
        if node.id in seen:
            raise PipelineError(
                f"pipeline {name} has two nodes {node.id!r}",
                hint=f"Give one of them another name: {_renamed(node)}.",
            )
        if node.id == name:
            raise PipelineError(
                f"a node of pipeline {name} has the pipeline's own name",
                hint=f"Give it another one: {_renamed(node)}.",
            )
        seen[node.id] = node


def _check_all_returned(name: str, nodes: list[Any], created: Iterable[Any]) -> None:
    returned = {id(node) for node in nodes}
    left_out = [node.id for node in created if id(node) not in returned]
    if left_out:
        raise PipelineError(
            f"pipeline {name} makes the node {left_out[0]!r} but neither returns nor uses it",
            hint="Add it to the returned list, or remove it.",
        )
