"""A component's interface, read once from the signature of its function."""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from google.protobuf.message import Message

from penstock import _tfx
from penstock.authoring import artifacts, values
from penstock.authoring.annotations import Role
from penstock.authoring.beam import BeamOptions
from penstock.authoring.node_context import NodeContext
from penstock.errors import ComponentError, ParameterError

# Scalar results become value artifacts of these types.
VALUE_ARTIFACTS: Mapping[type, Any] = {
    int: artifacts.Integer,
    float: artifacts.Float,
    str: artifacts.String,
    bool: artifacts.Boolean,
    bytes: artifacts.Bytes,
    list: artifacts.JsonValue,
    dict: artifacts.JsonValue,
}
SINGLE_RESULT = "output"

# What TFX writes into JSON beside JSON's own types.
_OF_TFX = (_tfx.json_utils.Jsonable, Message)


@dataclass(frozen=True)
class Port:
    """An input or output: artifacts of one type.

    `many` asks for a list of artifacts where otherwise there is exactly one. `value` is what a
    result is declared to be.
    """

    name: str
    type: Any
    optional: bool = False
    many: bool = False
    value: Any = None


@dataclass(frozen=True)
class Parameter:
    """A parameter; `resolved` ones are computed by the component, not given by its caller."""

    name: str
    annotation: Any
    default: Any = inspect.Parameter.empty
    resolved: bool = False

    @property
    def required(self) -> bool:
        """Whether a caller must give it."""
        return self.default is inspect.Parameter.empty and not self.resolved

    @property
    def otherwise(self) -> Any:
        """Its value where nothing is given; None for a resolved or required one."""
        return None if self.default is inspect.Parameter.empty else self.default

    @property
    def scalar(self) -> type | None:
        """The type under which TFX records it, or None where it is recorded as JSON."""
        bare = values.without_none(self.annotation)
        if bare not in values.SCALARS:
            return None
        if values.is_optional(self.annotation) and self.default not in (
            None,
            inspect.Parameter.empty,
        ):
            return None  # an explicit None must differ from "not given"
        return bare


@dataclass(frozen=True)
class Interface:
    """The inputs, outputs and parameters of a component, by name and in order."""

    name: str
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    parameters: Mapping[str, Parameter]
    results: Mapping[str, Port]
    single_result: bool
    beam_argument: str | None
    context_argument: str | None

    @property
    def all_outputs(self) -> dict[str, Port]:
        """Outputs that the body writes and those made from what it returns."""
        return {**self.outputs, **self.results}


def read_interface(function: Callable[..., Any]) -> Interface:
    """Read the interface of a component from its function.

    Raises:
      ComponentError: an argument has no annotation, or one that says nothing to Penstock.
    """
    name = function.__name__
    _check_returns(function)
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise ComponentError(
            f"component {name}: the annotation {error.name!r} is not defined in "
            f"{function.__module__}",
            hint="Import it at the top of the module, or define the component there.",
        ) from error
    inputs: dict[str, Port] = {}
    outputs: dict[str, Port] = {}
    parameters: dict[str, Parameter] = {}
    injected: dict[type, str] = {}
    for argument in inspect.signature(function).parameters.values():
        where = f"component {name}, argument {argument.name!r}"
        if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
            raise ComponentError(f"{where}: *args and **kwargs have no place in an interface")
        if argument.name not in hints:
            raise ComponentError(
                f"{where} has no annotation",
                hint="Write Input[Examples], Output[Model], or a parameter's type as float.",
            )
        hint = hints[argument.name]
        if hint in (BeamOptions, NodeContext):
            injected[hint] = argument.name
            continue
        role, annotation, optional = _role(hint)
        if role in (Role.INPUT, Role.OUTPUT):
            port = _port(argument.name, annotation, optional, where)
            (inputs if role is Role.INPUT else outputs)[argument.name] = port
            continue
        if not values.is_supported(annotation):
            raise ComponentError(
                f"{where}: {values.describe(annotation)} cannot be a parameter",
                hint="Parameters are str, int, float, bool, lists, dicts with str keys, enums, "
                "frozen dataclasses of these, or optional ones; artifacts are "
                "Input[...] and Output[...].",
            )
        parameters[argument.name] = Parameter(
            argument.name, annotation, argument.default, resolved=role is Role.RESOLVED
        )
    results, single = _results(name, hints.get("return"))
    return Interface(
        name=name,
        inputs=inputs,
        outputs=outputs,
        parameters=parameters,
        results=results,
        single_result=single,
        beam_argument=injected.get(BeamOptions),
        context_argument=injected.get(NodeContext),
    )


def _check_returns(function: Callable[..., Any]) -> None:
    kinds = {
        "an async function": inspect.iscoroutinefunction(function),
        "a generator": inspect.isgeneratorfunction(function),
        "an async generator": inspect.isasyncgenfunction(function),
    }
    for kind, is_one in kinds.items():
        if is_one:
            raise ComponentError(
                f"component {function.__name__} is {kind}: calling it would not run its body",
                hint="Use asyncio.run(...) in a plain function."
                if "async" in kind
                else "Return a list of all that it yields.",
            )


def _role(hint: Any) -> tuple[Role | None, Any, bool]:
    """Split an annotation into its role, what it annotates, and whether None is admitted."""
    optional = values.is_optional(hint)
    inner = values.without_none(hint) if optional else hint
    if typing.get_origin(inner) is Annotated:
        annotation, *marks = typing.get_args(inner)
        roles = [mark for mark in marks if isinstance(mark, Role)]
        if roles:
            if roles[0] is Role.RESOLVED and optional:
                annotation = annotation | None
            return roles[0], annotation, optional
        return None, (annotation | None) if optional else annotation, optional
    return None, hint, optional


def _port(name: str, annotation: Any, optional: bool, where: str) -> Port:
    many = typing.get_origin(annotation) is list
    artifact_type = typing.get_args(annotation)[0] if many else annotation
    if not (isinstance(artifact_type, type) and issubclass(artifact_type, artifacts.Artifact)):
        raise ComponentError(
            f"{where}: {values.describe(annotation)} is not an artifact type",
            hint="Artifact types are in penstock.artifacts; plain values are parameters, "
            "without Input or Output.",
        )
    return Port(name, artifact_type, optional, many)


def _results(name: str, annotation: Any) -> tuple[dict[str, Port], bool]:
    if annotation is None or annotation is type(None):
        return {}, False
    fields = _named_fields(annotation)
    single = fields is None
    named = {SINGLE_RESULT: annotation} if fields is None else fields
    ports = {}
    for key, kind in named.items():
        optional = values.is_optional(kind)
        bare = values.without_none(kind)
        value_type = VALUE_ARTIFACTS.get(typing.get_origin(bare) or bare)
        if value_type is None:
            raise ComponentError(
                f"component {name} returns {values.describe(kind)} as {key!r}, which cannot be "
                "a value artifact",
                hint="Return int, float, str, bool, bytes, list or dict, or a NamedTuple or "
                "TypedDict of these; write larger outputs to Output[...] artifacts.",
            )
        ports[key] = Port(key, value_type, optional, value=bare)
    return ports, single


def _named_fields(annotation: Any) -> dict[str, Any] | None:
    is_named_tuple = isinstance(annotation, type) and hasattr(annotation, "_fields")
    if is_named_tuple or typing.is_typeddict(annotation):
        return typing.get_type_hints(annotation)
    return None


def result_values(interface: Interface, returned: Any) -> dict[str, Any]:
    """Return what a body returned by the names of its results.

    Raises:
      ComponentError: a result is missing, unknown, or of another type than declared.
    """
    if inspect.isawaitable(returned) or inspect.isgenerator(returned):
        raise ComponentError(
            f"component {interface.name} returned a {type(returned).__name__}, which has not run",
            hint="Call asyncio.run(...) on it, or list(...).",
        )
    if not interface.results:
        if returned is not None:
            print(  # noqa: T201 - it goes to the node's log
                f"What {interface.name} returned ({type(returned).__name__}) is not kept: its "
                "signature declares no result, as -> int would."
            )
        return {}
    if interface.single_result:
        named: dict[str, Any] = {SINGLE_RESULT: returned}
    elif hasattr(returned, "_asdict"):
        named = returned._asdict()
    elif isinstance(returned, Mapping):
        named = dict(returned)
    else:
        raise ComponentError(
            f"component {interface.name} returned {returned!r} where a NamedTuple or a dict with "
            f"{', '.join(interface.results)} is declared"
        )
    for key, port in interface.results.items():
        if named.get(key) is None and not port.optional:
            raise ComponentError(f"component {interface.name} returned no value for {key!r}")
    unknown = [key for key in named if key not in interface.results]
    if unknown:
        raise ComponentError(
            f"component {interface.name} returned {unknown[0]!r}, which it does not declare"
        )
    return {
        key: _result(interface.name, interface.results[key], value)
        for key, value in named.items()
        if value is not None
    }


def _result(component_name: str, port: Port, value: Any) -> Any:
    where = f"{component_name}.outputs[{port.name!r}]"
    if port.value is bytes:
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value)
        kind = type(value).__name__
        raise ComponentError(f"{where}: expected bytes, got {value!r:.80} ({kind})")
    try:
        if port.type is not artifacts.JsonValue:
            return values.convert(value, port.value, where)
        plain = json.loads(values.encode(value, where, _OF_TFX))
        values.convert(plain, port.value, where)
    except ParameterError as error:
        raise ComponentError(error.message, hint=error.hint) from None
    # Objects of TFX's classes are written by TFX, which reads them back as what they are.
    return value if _has_objects(value) else plain


def _has_objects(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_objects, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_has_objects, value))
    return isinstance(value, _OF_TFX)


def signature_without_injected(
    function: Callable[..., Any], interface: Interface
) -> inspect.Signature:
    """Return the signature that a caller sees: keywords for inputs and parameters alone."""
    callers = {*interface.inputs, *interface.parameters} - {
        p.name for p in interface.parameters.values() if p.resolved
    }
    parameters = [
        p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for p in inspect.signature(function).parameters.values()
        if p.name in callers
    ]
    return inspect.Signature(parameters)
