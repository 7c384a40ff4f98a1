"""`@stands_in_for`: a typed function does the work of an executor class of TFX's.

It has the inputs, the outputs and the parameters that TFX's own has, as a pipeline of TFX records
them, and leaves the same artifacts behind. Whatever it does not know in them it refuses, so that
TFX's own can do the work.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from penstock import _tfx
from penstock.authoring import values
from penstock.authoring.beam import BeamOptions
from penstock.authoring.component import Preload
from penstock.authoring.node_context import NodeContext, node_context_of
from penstock.errors import ParameterError, PenstockError

P = TypeVar("P")

Artifacts = Mapping[str, Sequence[Any]]
Obstacle = Callable[["TfxNode", Any], str]

# What TFX records of an option that is not set; the option may also be absent.
_NOT_SET = (None, "", "null")


class NotAccelerated(PenstockError):
    """The work is one for TFX's own executor; the message says why, in a few words."""


@dataclass(frozen=True)
class TfxNode:
    """What TFX's own executor would be given beside its parameters."""

    inputs: Artifacts
    outputs: Artifacts
    beam: BeamOptions = field(default_factory=BeamOptions)
    context: NodeContext = field(default_factory=NodeContext)

    def input(self, key: str) -> Any:
        """Return the artifact of an input that is there."""
        return self.inputs[key][0]

    def optional_input(self, key: str) -> Any:
        """Return the artifact of an input, None where there is none."""
        artifacts = self.inputs.get(key) or [None]
        return artifacts[0]

    def output(self, key: str) -> Any:
        """Return the artifact of an output, None where the node has no such output."""
        artifacts = self.outputs.get(key) or [None]
        return artifacts[0]


class StandIn(_tfx.BaseExecutor):
    """Does the work of an executor class of TFX's: the class that is found by its path.

    `parameters` is the dataclass of what may be set of TFX's parameters; a field of type None
    stands for one that must not be. `drivers` has for driver classes of TFX's one with the same
    results, path by path.
    """

    stands_for: str
    work: Callable[[TfxNode, Any], None]
    parameters: type[Any]
    preload: Preload = ()
    obstacle_of: Obstacle
    drivers: Mapping[str, str] = MappingProxyType({})

    def Do(  # TFX's name
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Do the work.

        Raises:
          NotAccelerated: it is one for TFX's own executor.
        """
        kind = type(self)
        parameters: Any = read_parameters(exec_properties, kind.parameters)
        of_node = node_context_of(self._context, self._get_tmp_dir)
        node = TfxNode(input_dict, output_dict, self._beam(), of_node)
        if reason := kind.obstacle_of(node, parameters):
            raise NotAccelerated(reason)
        kind.work(node, parameters)

    def _beam(self) -> BeamOptions:
        return BeamOptions(tuple(getattr(self._context, "beam_pipeline_args", None) or ()))


def stands_in_for(
    class_path: str,
    *,
    preload: Preload = (),
    obstacle: Obstacle = lambda *_: "",
    drivers: Mapping[str, str] = MappingProxyType({}),
) -> Callable[[Callable[[TfxNode, Any], None]], type[StandIn]]:
    """Make an executor class of a function that does the work of one of TFX's.

    The function takes a `TfxNode` and its parameters, a dataclass with TFX's names. `obstacle`
    returns why what is asked for is TFX's own executor's work, or "". `preload` and `drivers` are
    as in `component` and `StandIn`.
    """

    def decorate(function: Callable[[TfxNode, Any], None]) -> type[StandIn]:
        hints = typing.get_type_hints(function)
        return type(
            function.__name__,
            (StandIn,),
            {
                "__module__": function.__module__,
                "__doc__": function.__doc__,
                "stands_for": class_path,
                "work": staticmethod(function),
                "parameters": hints["parameters"],
                "preload": staticmethod(preload) if callable(preload) else tuple(preload),
                "obstacle_of": staticmethod(obstacle),
                "drivers": drivers,
            },
        )

    return decorate


def read_parameters(recorded: Mapping[str, Any], kind: type[P]) -> P:
    """Return TFX's parameters as a dataclass has them; a message of TFX's is JSON text there.

    Raises:
      NotAccelerated: one is set, or one of its fields, that the dataclass does not have.
    """
    read = {name: read_parameter(name, value, kind) for name, value in recorded.items()}
    present = {name: value for name, value in read.items() if value is not None}
    for declared in dataclasses.fields(kind):  # type: ignore[arg-type]  # it is a dataclass
        has_default = (declared.default, declared.default_factory) != (dataclasses.MISSING,) * 2
        if declared.name not in present and not has_default:
            raise NotAccelerated(f"{declared.name} is not set")
    return kind(**present)


def read_parameter(name: str, recorded: Any, kind: type) -> Any:
    """Return one of TFX's parameters, None where it is not set.

    Raises:
      NotAccelerated: see `read_parameters`.
    """
    if recorded in _NOT_SET:
        return None
    annotation = typing.get_type_hints(kind, vars(sys.modules[kind.__module__])).get(name)
    if annotation in (None, type(None)):
        raise NotAccelerated(f"{name} is set")
    bare = values.without_none(annotation)
    value = recorded
    if bare is bool and recorded in (0, 1):
        value = bool(recorded)
    elif isinstance(recorded, str) and bare is not str:
        try:
            value = json.loads(recorded)
        except ValueError:
            raise NotAccelerated(f"{name} is no JSON") from None
    try:
        return values.convert(value, annotation, name)
    except ParameterError as error:
        raise NotAccelerated(error.message) from None
