"""`@component`: a typed function becomes a real TFX component class."""

from __future__ import annotations

import enum
import json
import sys
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, overload

from penstock import _tfx
from penstock.authoring import values
from penstock.authoring.beam import BeamOptions
from penstock.authoring.for_each import closed_loop_of, is_used_outside
from penstock.authoring.importable import obstacle
from penstock.authoring.interface import (
    VALUE_ARTIFACTS,
    Interface,
    Parameter,
    Port,
    read_interface,
    result_values,
    signature_without_injected,
)
from penstock.authoring.node_context import node_context_of
from penstock.authoring.options import with_options
from penstock.authoring.outputs import OutputChannels, output_channel
from penstock.errors import ParameterError, WiringError, suggestion

ResolveFunction = Callable[[dict[str, Any]], Mapping[str, Any]]
AbsentOutputs = Callable[[dict[str, Any]], Collection[str]]


@dataclass(frozen=True)
class NodeOutline:
    """What is known of a node before anything runs.

    `parameters` are those whose values stand in the pipeline, as TFX records them. `modules` has,
    by the node's input, the modules that are preloaded for the nodes that make it.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    modules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


Preload = Iterable[str] | Callable[[NodeOutline], Iterable[str]]

# A parameter whose name ends so names a function, as in TFX; the function itself may be given.
_FUNCTION = "_fn"

# What a component does, as TFX's standard annotations name it in ML Metadata's type tree.
SYSTEM_TYPES = ("train", "transform", "process", "evaluate", "deploy")


@overload
def component(function: Callable[..., Any]) -> Any: ...
@overload
def component(
    *,
    preload: Preload = (),
    resolve: ResolveFunction | None = None,
    absent_outputs: AbsentOutputs | None = None,
    system_type: str | None = None,
    uses_store: bool = False,
) -> Callable[[Callable[..., Any]], Any]: ...
def component(
    function: Callable[..., Any] | None = None,
    *,
    preload: Preload = (),
    resolve: ResolveFunction | None = None,
    absent_outputs: AbsentOutputs | None = None,
    system_type: str | None = None,
    uses_store: bool = False,
) -> Any:
    """Make a TFX component class of a typed function.

    The function's signature is the interface: `Input[...]` and `Output[...]` arguments are
    artifacts, the others parameters; arguments of type `BeamOptions` and `NodeContext` are
    provided by the runner; scalar results become value artifacts. The class is called with
    keywords and stands wherever a TFX component stands; `.with_options(...)` sets how its node is
    executed.

    `preload` names heavy modules that the body imports, so that a runner can import them ahead of
    time; where they depend on the node it is a function of a `NodeOutline`. `resolve` computes the
    `Resolved[...]` parameters from the given ones before the cache is asked. `absent_outputs` names
    the optional outputs that a choice of parameters leaves out. `system_type` is one of train,
    transform, process, evaluate and deploy. With `uses_store` the body finds in `NodeContext.store`
    how to connect to the metadata store of the run.

    Raises:
      ComponentError: the signature cannot be read as an interface.
    """
    if function is None:
        return lambda f: _component_class(
            f, preload, resolve, absent_outputs, system_type, uses_store
        )
    return _component_class(function, (), None, None, None, False)


def _component_class(
    function: Callable[..., Any],
    preload: Preload,
    resolve: ResolveFunction | None,
    absent_outputs: AbsentOutputs | None,
    system_type: str | None,
    uses_store: bool,
) -> type:
    interface = read_interface(function)
    name, module = function.__name__, function.__module__
    origin = {"__module__": module, "__doc__": function.__doc__}
    executor = type(
        f"{name}Executor",
        (FunctionExecutor,),
        {
            **origin,
            "function": staticmethod(function),
            "interface": interface,
            "preload": staticmethod(preload) if callable(preload) else tuple(preload),
            "obstacle": obstacle(function),
            "uses_store": uses_store,
        },
    )
    spec_fields = {**origin, **_spec_fields(interface)}
    if system_type is not None:
        spec_fields["TYPE_ANNOTATION"] = _system_execution(system_type)
    spec = type(f"{name}Spec", (_tfx.ComponentSpec,), spec_fields)
    uses_beam = interface.beam_argument is not None
    executor_spec = (_tfx.BeamExecutorSpec if uses_beam else _tfx.ExecutorClassSpec)(executor)
    fields: dict[str, Any] = {
        **origin,
        "__qualname__": function.__qualname__,
        "__signature__": signature_without_injected(function, interface),
        "__init__": _init,
        "SPEC_CLASS": spec,
        "EXECUTOR_SPEC": executor_spec,
        "function": staticmethod(function),
        "interface": interface,
        "absent_outputs": staticmethod(absent_outputs) if absent_outputs else None,
        "with_options": with_options,
    }
    # TFX names executors and drivers by their import path, so they must be found in the module.
    named = [executor]
    if resolve is not None:
        driver = type(
            f"{name}Driver",
            (ResolveDriver,),
            {**origin, "resolve": staticmethod(resolve), "interface": interface},
        )
        fields["DRIVER_CLASS"] = driver
        named.append(driver)
    for class_ in named:
        setattr(sys.modules[module], class_.__name__, class_)
    base = _tfx.BaseBeamComponent if uses_beam else _tfx.BaseComponent
    return type(name, (base,), fields)


def _spec_fields(interface: Interface) -> dict[str, Any]:
    return {
        "PARAMETERS": {
            p.name: _tfx.ExecutionParameter(type=_spec_type(p), optional=True)
            for p in interface.parameters.values()
        },
        "INPUTS": {
            p.name: _tfx.ChannelParameter(type=p.type, optional=p.optional)
            for p in interface.inputs.values()
        },
        "OUTPUTS": {
            p.name: _tfx.ChannelParameter(type=p.type, optional=p.optional)
            for p in interface.all_outputs.values()
        },
    }


def _spec_type(parameter: Parameter) -> Any:
    # An int stands for a float, and JSON stands for a bool that a pipeline parameter gives:
    # the checks of `values` are the stricter ones.
    scalar = parameter.scalar
    return scalar if scalar in (str, int) else Any if scalar else str


def _system_execution(system_type: str) -> type:
    if system_type not in SYSTEM_TYPES:
        raise ParameterError(
            f"system_type {system_type!r} is not known",
            hint=suggestion(system_type, SYSTEM_TYPES),
        )
    return getattr(_tfx.system_executions, system_type.capitalize())


def _init(self: Any, *positional: Any, **arguments: Any) -> None:
    """Wire the component; every mistake is found here, where it is written."""
    interface: Interface = type(self).interface
    if positional:
        raise WiringError(
            f"{interface.name} takes keyword arguments only",
            component=interface.name,
            hint=f"Write {interface.name}({_call_example(interface)}).",
        )
    _check_names(interface, arguments)
    inputs = {
        name: _channel(interface.name, port, arguments[name])
        for name, port in interface.inputs.items()
        if arguments.get(name) is not None
    }
    parameters, decoded = _bind_parameters(interface, arguments)
    absent = set(self.absent_outputs(decoded)) if self.absent_outputs else set()
    outputs = {
        name: output_channel(self, port)
        for name, port in interface.all_outputs.items()
        if name not in absent
    }
    base: Any = type(self).__mro__[1]
    base.__init__(self, spec=type(self).SPEC_CLASS(**inputs, **parameters, **outputs))
    self.spec.outputs = OutputChannels(interface.name, self.spec.outputs)


def _call_example(interface: Interface) -> str:
    required = [p.name for p in interface.inputs.values() if not p.optional]
    required += [p.name for p in interface.parameters.values() if p.required]
    return ", ".join(f"{name}=..." for name in required)


def _check_names(interface: Interface, arguments: Mapping[str, Any]) -> None:
    callers = {
        *interface.inputs,
        *(p.name for p in interface.parameters.values() if not p.resolved),
    }
    for name in arguments:
        if name in callers:
            continue
        if name in interface.all_outputs:
            hint = f"{name!r} is an output: read it as .outputs[{name!r}]."
        else:
            hint = suggestion(name, callers, noun="argument")
        raise WiringError(
            f"{interface.name} has no input or parameter {name!r}",
            component=interface.name,
            argument=name,
            hint=hint,
        )
    for port in interface.inputs.values():
        if arguments.get(port.name) is None and not port.optional:
            raise WiringError(
                f"{interface.name} needs the input {port.name!r} ({port.type.__name__})",
                component=interface.name,
                argument=port.name,
                expected=port.type.__name__,
                hint=f"Pass the output of a node that makes {port.type.__name__}, as "
                f"{port.name}=node.outputs[...].",
            )
    for parameter in interface.parameters.values():
        if parameter.required and parameter.name not in arguments:
            expected = values.describe(parameter.annotation)
            raise WiringError(
                f"{interface.name} needs the parameter {parameter.name!r} ({expected})",
                component=interface.name,
                argument=parameter.name,
                expected=expected,
            )


def _channel(component_name: str, port: Port, argument: Any) -> Any:
    if isinstance(argument, (list, tuple)) and port.many and argument:
        channels = [_channel(component_name, port, item) for item in argument]
        return channels[0] if len(channels) == 1 else _tfx.union(channels)
    expected = port.type.__name__
    if isinstance(argument, _tfx.BaseNode):
        fitting = [
            k for k, c in argument.outputs.items() if c.type.TYPE_NAME == port.type.TYPE_NAME
        ]
        key = fitting[0] if fitting else "..."
        raise WiringError(
            f"{component_name}.{port.name}: expected an output that holds {expected}, got the node "
            f"{argument.id} itself",
            component=component_name,
            argument=port.name,
            expected=expected,
            given=argument.id,
            hint=f"Pass {argument.id}.outputs[{key!r}].",
        )
    if not isinstance(argument, _tfx.channel.BaseChannel):
        raise WiringError(
            f"{component_name}.{port.name}: expected an output that holds {expected}, got "
            f"{argument!r} ({type(argument).__name__})",
            component=component_name,
            argument=port.name,
            expected=expected,
            given=type(argument).__name__,
            hint="Artifacts come from other nodes, as node.outputs[...], or from Importer.",
        )
    _check_loops(component_name, port.name, expected, argument, takes_many=port.many)
    if not port.many:
        certain = [one for one in getattr(argument, "channels", ()) if _always_has_one(one)]
        if len(certain) > 1:
            named = " and ".join(_channel_source(one).removeprefix(" from ") for one in certain)
            raise _too_many(component_name, port, f"{len(certain)} are wired to it: {named}")
    compatible = getattr(port.type, "_compatible_types", ())
    if argument.type.TYPE_NAME != port.type.TYPE_NAME and argument.type not in compatible:
        source = _channel_source(argument)
        raise WiringError(
            f"{component_name}.{port.name}: expected {expected}, "
            f"got {argument.type.__name__}{source}",
            component=component_name,
            argument=port.name,
            expected=expected,
            given=argument.type.__name__,
        )
    return argument


def _check_loops(
    component_name: str, name: str, expected: str, channel: Any, *, takes_many: bool
) -> None:
    """Check that an output is used as it is where loops are: each item's inside, a list outside.

    Raises:
      WiringError: it is not.
    """
    where = f"{component_name}.{name}"
    for one in getattr(channel, "channels", (channel,)):
        if is_used_outside(one):
            raise WiringError(
                f"{where}: the item of a ForEach is used outside of it",
                component=component_name,
                argument=name,
                expected=expected,
                hint="Write the component below: with ForEach(...) as item:.",
            )
        loop = closed_loop_of(one)
        if loop is not None and not takes_many:
            raise WiringError(
                f"{where}: expected one {expected}, got a list of them"
                f"{_channel_source(one)}, which is made once for each item of {loop.name}",
                component=component_name,
                argument=name,
                expected=expected,
                given=f"list of {one.type.__name__}",
                hint=f"Take them as {name}: Input[list[{one.type.__name__}]], or write the "
                "component inside the ForEach.",
            )


def _always_has_one(channel: Any) -> bool:
    """Whether a channel brings an artifact to every run: no condition and no look-up decides."""
    if not isinstance(channel, _tfx.channel.OutputChannel):
        return False
    node = channel.producer_component
    return not isinstance(node, _tfx.Resolver) and not _tfx.node_registry().get_contexts(node)


def _channel_source(channel: Any) -> str:
    producer, key = (
        getattr(channel, "producer_component_id", None),
        getattr(channel, "output_key", None),
    )
    return f" from {producer}.outputs[{key!r}]" if producer and key else ""


def _bind_parameters(
    interface: Interface, arguments: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters as TFX records them, and as the body will see them where known."""
    recorded: dict[str, Any] = {}
    decoded: dict[str, Any] = {}
    for parameter in interface.parameters.values():
        if parameter.resolved:
            continue
        value = arguments.get(parameter.name, parameter.default)
        decoded[parameter.name] = parameter.otherwise
        if isinstance(value, _tfx.channel.BaseChannel):
            value = _value_of(interface.name, parameter, value)
        foreign = not isinstance(value, values.PipelineParameter)
        if foreign and isinstance(value, (_tfx.Placeholder, _tfx.RuntimeParameter)):
            if (of := _tfx.channel_of_value(value)) is not None:
                _value_of(interface.name, parameter, of)
            recorded[parameter.name] = value
            continue
        if isinstance(value, FunctionType) and parameter.name.endswith(_FUNCTION):
            value = _dotted_name(interface.name, parameter, value)
        where = f"{interface.name}.{parameter.name}"
        try:
            converted = values.convert(value, parameter.annotation, where)
            written = _record(parameter, converted, where)
        except ParameterError as error:
            raise WiringError(
                error.message,
                component=interface.name,
                argument=parameter.name,
                expected=values.describe(parameter.annotation),
                given=type(value).__name__,
                hint=error.hint,
            ) from None
        decoded[parameter.name] = converted
        if converted is None and parameter.default is None:
            continue
        recorded[parameter.name] = written
    return recorded, decoded


def _dotted_name(component_name: str, parameter: Parameter, function: FunctionType) -> str:
    """Return the name by which another process imports a function.

    Raises:
      WiringError: none can.
    """
    name = f"{function.__module__}.{function.__qualname__}"
    if function.__module__ == "__main__" or "<" in function.__qualname__:
        raise WiringError(
            f"{component_name}.{parameter.name}: {name} cannot be imported by the process that "
            "runs the node",
            component=component_name,
            argument=parameter.name,
            given=name,
            hint="Define it at the top of a module, or give module_file, the path of its file, and "
            f"{parameter.name}={function.__name__!r}.",
        )
    return name


def _value_of(component_name: str, parameter: Parameter, channel: Any) -> Any:
    """Wire a value artifact to a parameter: its value is read when the node runs."""
    expected = values.describe(parameter.annotation)
    _check_loops(component_name, parameter.name, expected, channel, takes_many=False)
    if not issubclass(channel.type, _tfx.value_artifact.ValueArtifact):
        raise WiringError(
            f"{component_name}.{parameter.name}: expected {expected}, got "
            f"{channel.type.__name__}{_channel_source(channel)}",
            component=component_name,
            argument=parameter.name,
            expected=expected,
            given=channel.type.__name__,
            hint="A parameter takes a plain value or the output of a node that returns one.",
        )
    kind = next((k for k, a in VALUE_ARTIFACTS.items() if issubclass(channel.type, a)), None)
    if kind is not None and not _takes(parameter, kind):
        given = "dict or list" if kind in (list, dict) else values.describe(kind)
        raise WiringError(
            f"{component_name}.{parameter.name}: expected {expected}, got {given}"
            f"{_channel_source(channel)}",
            component=component_name,
            argument=parameter.name,
            expected=expected,
            given=given,
            hint="Text is wired to str, and to str | None where the default is None: others are "
            "written as JSON, which any text could be."
            if kind is str and str in values.options(parameter.annotation)
            else "Let the other node return what is expected, or declare the parameter as "
            f"{given}.",
        )
    return channel.future()[0].value


def _takes(parameter: Parameter, kind: type) -> bool:
    """Whether values of a kind that a node returns can reach a parameter as what they are."""
    if kind is str and parameter.scalar is not str:
        # All other parameters are written as JSON, which any text could be.
        return bool(_choices(parameter.annotation))
    return any(_fits(option, kind) for option in values.options(parameter.annotation))


def _choices(annotation: Any) -> list[str]:
    """Return the texts that an annotation admits, where these are few."""
    bare = values.without_none(annotation)
    if isinstance(bare, type) and issubclass(bare, enum.Enum):
        texts = [text for member in bare for text in (member.value, member.name)]
        return [text for text in texts if isinstance(text, str)]
    if typing.get_origin(bare) is typing.Literal:
        return [choice for choice in typing.get_args(bare) if isinstance(choice, str)]
    return []


def _fits(annotation: Any, kind: type) -> bool:
    if annotation is Any:
        return kind is not bytes
    if typing.get_origin(annotation) is typing.Literal:
        return kind in map(type, typing.get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return kind in (str, int, float)
    if kind in (list, dict):
        return annotation not in values.SCALARS
    return annotation is kind or (annotation is float and kind is int)


def _record(parameter: Parameter, value: Any, where: str) -> Any:
    if isinstance(value, values.PipelineParameter):
        recorded = value.recorded(parameter.scalar)
        return values.encode(value, where) if recorded is None else recorded
    if not parameter.scalar:
        return values.encode(value, where)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ParameterError(
            f"{where}: {value} does not fit into the 64 bits that ML Metadata has for an int",
            hint="Declare the parameter as str and write int(...) in the body.",
        )
    return value


def decode_parameters(interface: Interface, exec_properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of an execution as the component's body has them.

    Raises:
      ParameterError: a recorded value is not what the signature declares.
    """
    decoded: dict[str, Any] = {}
    for parameter in interface.parameters.values():
        where = f"{interface.name}.{parameter.name}"
        if parameter.name not in exec_properties or exec_properties[parameter.name] is None:
            if not parameter.required:
                decoded[parameter.name] = parameter.otherwise
            continue
        value = exec_properties[parameter.name]
        written_as_json = parameter.scalar is None or (
            isinstance(value, str) and parameter.scalar is not str
        )
        if written_as_json and isinstance(value, str):
            value = _from_json(value, parameter, where)
        decoded[parameter.name] = values.convert(value, parameter.annotation, where)
    return decoded


def _from_json(text: str, parameter: Parameter, where: str) -> Any:
    if text in _choices(parameter.annotation):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise ParameterError(
            f"{where}: expected JSON of {values.describe(parameter.annotation)}, got "
            f"{text!r:.80}: {error}"
        ) from None


class FunctionExecutor(_tfx.BaseExecutor):
    """Runs a component's function: the executor class that TFX finds by its path."""

    function: Callable[..., Any]
    interface: Interface
    preload: Preload = ()
    obstacle: str | None = None
    uses_store: bool = False

    def Do(  # TFX's name
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Call the function with artifacts, parameters and what the runner provides."""
        interface = self.interface
        arguments: dict[str, Any] = decode_parameters(interface, exec_properties)
        for port in interface.inputs.values():
            arguments[port.name] = _artifacts(interface, port, input_dict.get(port.name) or [])
        for port in interface.outputs.values():
            arguments[port.name] = _artifacts(interface, port, output_dict.get(port.name) or [])
        if interface.beam_argument:
            args = getattr(self._context, "beam_pipeline_args", None) or ()
            arguments[interface.beam_argument] = BeamOptions(tuple(args))
        if interface.context_argument:
            of_node = node_context_of(self._context, self._get_tmp_dir)
            arguments[interface.context_argument] = of_node
        returned = type(self).function(**arguments)
        for key, value in result_values(interface, returned).items():
            _write_value(output_dict[key][0], value)


def _write_value(artifact: Any, value: Any) -> None:
    encoded = artifact.encode(value)
    if isinstance(encoded, str):
        # TFX hands JSON text to a file opened for bytes, which only TensorFlow's files accept.
        with open(artifact.uri, "wb") as file:
            file.write(encoded.encode())
        artifact.set_int_custom_property("__is_null__", 0)
    else:
        artifact.value = value


def _artifacts(interface: Interface, port: Port, artifacts: list[Any]) -> Any:
    if port.many:
        return artifacts
    if len(artifacts) > 1:
        listed = "".join(f"\n  {artifact.uri}" for artifact in artifacts)
        raise _too_many(interface.name, port, f"{len(artifacts)} came:{listed}\n")
    return artifacts[0] if artifacts else None


def _too_many(component_name: str, port: Port, given: str) -> WiringError:
    expected = port.type.__name__
    return WiringError(
        f"{component_name}.{port.name} takes one {expected}, and {given}",
        component=component_name,
        argument=port.name,
        expected=f"one {expected}",
        given=given,
        hint=f"Choose one of them, as LatestArtifact({expected}) does, or make a node for each. A "
        f"component takes several where it says Input[list[{expected}]].",
    )


class ResolveDriver(_tfx.AuthoringDriver, _tfx.BaseDriver):
    """Computes a component's `Resolved` parameters: the driver class that TFX finds by its path."""

    resolve: ResolveFunction
    interface: Interface
    # Who plans may ask it at any time.
    only_resolves = True

    def __init__(self, mlmd_connection: Any) -> None:
        self._mlmd_connection = mlmd_connection

    def run(self, execution_info: Any) -> Any:
        """Return the resolved parameters as TFX's launcher expects them."""
        decoded = decode_parameters(self.interface, execution_info.exec_properties)
        parameters = {
            name: value
            for name, value in decoded.items()
            if not self.interface.parameters[name].resolved
        }
        output = _tfx.driver_output_pb2.DriverOutput()
        for name, value in type(self).resolve(parameters).items():
            parameter = self.interface.parameters[name]
            recorded = _record(parameter, value, f"{self.interface.name}.{name}")
            if recorded is None:
                continue
            field = output.exec_properties[name]
            if isinstance(recorded, bool) or not isinstance(recorded, (int, float)):
                field.string_value = (
                    recorded if isinstance(recorded, str) else values.encode(recorded)
                )
            elif isinstance(recorded, int):
                field.int_value = recorded
            else:
                field.double_value = recorded
        return output
