"""Values of parameters: what an annotation accepts, and how a value is written down.

A scalar is recorded as TFX records it; every other value as its JSON text, which is also how TFX
records protos. A protobuf message stands for the dataclass or dict with its field names.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import types
import typing
from collections.abc import Mapping
from typing import Any, NoReturn

from penstock import _tfx
from penstock.errors import ParameterError, PipelineError, suggestion

SCALARS = (str, int, float, bool)

# JSON text refers to a pipeline parameter by an object with this single key.
PARAMETER_KEY = "$parameter"

UNION_TYPES = (typing.Union, types.UnionType)


_NO_VALUE_HINT = (
    "Pass it on to a component as it is; compute with it inside a component. A dict or a list that "
    "is a parameter of a component may hold it."
)


class PipelineParameter(_tfx.RuntimeParameter):
    """A parameter of a pipeline where it stands for a value that is known only when a run starts.

    `type` is one of str, int, float, bool and list; `item_type` is that of a list's items, Any
    where nothing is said of them. It is a TFX RuntimeParameter, so TFX's own components take it
    too.
    """

    def __init__(self, name: str, type: type, default: Any, item_type: Any = Any) -> None:
        # TFX knows no bool parameters and no lists; Penstock writes them as JSON.
        self._ptype = type if type in (str, int, float) else None
        super().__init__(name, self._ptype, default)
        self.type = type
        self.item_type = item_type

    @property
    def ptype(self) -> Any:
        """The type that TFX's own components ask for."""
        if self._ptype is None:
            raise PipelineError(
                f"{self!r} is given to a component of TFX's, which takes str, int or float, and "
                f"{self._says_no_type()}",
                hint="Write a component in Python that takes it (@component), or give this one "
                "what is of such a type: in a loop, of items that stand in the pipeline.",
            )
        return self._ptype

    @ptype.setter
    def ptype(self, value: Any) -> None:
        self._ptype = value

    def _says_no_type(self) -> str:
        return f"it is {self.type.__name__}"

    def reference(self) -> dict[str, Any]:
        """Return what stands for it in JSON."""
        described = {"name": self.name, "type": self.type.__name__, "default": self.default}
        return {PARAMETER_KEY: described}

    def checked(self, annotation: Any, where: str) -> PipelineParameter:
        """Return it if a parameter with an annotation takes it.

        Raises:
          ParameterError: expected what, came what, where.
        """
        return _check_parameter(self, annotation, where)

    def recorded(self, scalar: type | None) -> PipelineParameter | None:
        """Return what TFX records for it in a parameter of a type, None where that is JSON."""
        return self if scalar and self.type in (str, int, float) else None

    def __repr__(self) -> str:
        return f"<pipeline parameter {self.name}: {self.type.__name__}>"

    def __getattr__(self, name: str) -> Any:
        # TFX and the standard library ask for names that a parameter may lack.
        if not name.startswith("__") and hasattr(vars(self).get("type"), name):
            self._unknown()
        raise AttributeError(f"a pipeline parameter has no attribute {name!r}")

    def _unknown(self, *_: Any) -> NoReturn:
        raise PipelineError(self._has_no_value(), hint=_NO_VALUE_HINT)

    def _undecided(self, *_: Any) -> NoReturn:
        raise PipelineError(
            f"{self._has_no_value()}, so it is neither true nor false, nor equal to another value",
            hint="Decide inside a component, by an if in its body. Whole nodes are decided on by "
            f"what a node returns: let a component return {self._returned()}, and "
            'write: with Cond(chosen.outputs["output"] == ...): (from penstock import Cond).',
        )

    def _returned(self) -> str:
        kind = self.type.__name__
        return f"the parameter (def Chosen({self.name}: {kind}) -> {kind}: return {self.name})"

    def _has_no_value(self) -> str:
        return f"the pipeline parameter {self.name!r} has no value while the pipeline is defined"

    __bool__ = __eq__ = __ne__ = __hash__ = __lt__ = __le__ = __gt__ = __ge__ = _undecided
    __format__ = __str__ = __fspath__ = __bytes__ = __complex__ = _unknown
    __int__ = __float__ = __index__ = __round__ = __trunc__ = __floor__ = __ceil__ = _unknown
    __iter__ = __len__ = __contains__ = __getitem__ = __reversed__ = __call__ = _unknown
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __pow__ = __rpow__ = _unknown
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _unknown
    __divmod__ = __rdivmod__ = __lshift__ = __rlshift__ = __rshift__ = __rrshift__ = _unknown
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = _unknown
    __neg__ = __pos__ = __abs__ = __invert__ = _unknown


# TFX recognizes runtime parameters by the name of their class.
PipelineParameter.__name__ = "RuntimeParameter"


def used_as_value(error: BaseException) -> PipelineError | None:
    """Return what to say where Python itself found a pipeline parameter in a value's place.

    Those of its functions that ask for nothing, as `json.dumps` and `str.join`, name the class.
    """
    if not isinstance(error, TypeError) or PipelineParameter.__name__ not in str(error):
        return None
    return PipelineError(
        f"a pipeline parameter has no value while the pipeline is defined: {error}".replace(
            PipelineParameter.__name__, PipelineParameter.__qualname__
        ),
        hint=_NO_VALUE_HINT,
    )


def describe(annotation: Any) -> str:
    """Return an annotation as its author would write it."""
    if annotation is None or annotation is type(None):
        return "None"
    if typing.get_origin(annotation) in UNION_TYPES:
        return " | ".join(describe(option) for option in typing.get_args(annotation))
    if typing.get_origin(annotation) is not None:
        inner = ", ".join(
            "..." if a is Ellipsis else describe(a) for a in typing.get_args(annotation)
        )
        return f"{typing.get_origin(annotation).__name__}[{inner}]"
    return getattr(annotation, "__name__", str(annotation))


def is_optional(annotation: Any) -> bool:
    """Whether an annotation admits None."""
    return typing.get_origin(annotation) in UNION_TYPES and type(None) in typing.get_args(
        annotation
    )


def without_none(annotation: Any) -> Any:
    """Return what an optional annotation says beside None."""
    if not is_optional(annotation):
        return annotation
    options = tuple(o for o in typing.get_args(annotation) if o is not type(None))
    return options[0] if len(options) == 1 else typing.Union[options]  # noqa: UP007  # built at run time


def options(annotation: Any) -> tuple[Any, ...]:
    """Return the alternatives of a union without None, or the annotation alone."""
    annotation = without_none(annotation)
    is_union = typing.get_origin(annotation) in UNION_TYPES
    return typing.get_args(annotation) if is_union else (annotation,)


def is_supported(annotation: Any) -> bool:
    """Whether a parameter can be annotated so."""
    annotation = without_none(annotation)
    if annotation is Any or annotation in SCALARS or annotation in (list, dict):
        return True
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return True
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return all(is_supported(hint) for hint in typing.get_type_hints(annotation).values())
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in UNION_TYPES:
        return all(is_supported(option) for option in args)
    if origin is list:
        return is_supported(args[0])
    if origin is tuple:
        return len(args) == 2 and args[1] is Ellipsis and is_supported(args[0])
    if origin is dict:
        return args[0] is str and is_supported(args[1])
    return origin is typing.Literal


def to_json(value: Any, where: str = "the value", opaque: tuple[type, ...] = ()) -> Any:
    """Return a value in JSON's own types; `where` names it for the error, as `Trainer.custom`.

    For an object of the `opaque` classes there is null.

    Raises:
      ParameterError: something in it has no form in JSON that would be read as the same.
    """
    if isinstance(value, PipelineParameter):
        return value.reference()
    value = plain_scalar(value)
    if isinstance(value, opaque):
        return None
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: to_json(getattr(value, f.name), f"{where}.{f.name}", opaque)
            for f in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {
            _text_key(key, where): to_json(item, f"{where}[{key!r}]", opaque)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [to_json(item, f"{where}[{index}]", opaque) for index, item in enumerate(value)]
    if _is_message(value):
        from google.protobuf import json_format

        return json_format.MessageToDict(value, preserving_proto_field_name=True)
    if value is None or isinstance(value, SCALARS):
        return value
    raise ParameterError(
        f"{where}: expected what JSON can hold, got {shown(value)} ({type(value).__name__})",
        hint=_as_plain(value),
    )


def encode(value: Any, where: str = "the value", opaque: tuple[type, ...] = ()) -> str:
    """Return a value's JSON text, keys sorted; see `to_json`."""
    try:
        return json.dumps(to_json(value, where, opaque), sort_keys=True)
    except RecursionError:
        raise ParameterError(
            f"{where}: its lists and dicts stand in one another too deeply, or for ever",
            hint="Flatten it, or write it to a file of an artifact.",
        ) from None


def plain_scalar(value: Any) -> Any:
    """Return a scalar of NumPy as Python's own, which is the same value; all else as it is."""
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        return value.item()
    return value


def _text_key(key: Any, where: str) -> str:
    if isinstance(key, str):
        return key
    raise ParameterError(
        f"{where}: expected keys of text, got {shown(key)} ({type(key).__name__})",
        hint=f"JSON has no others: write {str(key)!r}, or a list of pairs.",
    )


def _as_plain(value: Any) -> str:
    if hasattr(value, "tolist"):
        return "Write .tolist() behind it."
    if isinstance(value, (set, frozenset)):
        return "Write sorted(...) around it."
    if hasattr(value, "__fspath__"):
        return "Write str(...) around it."
    return "Use numbers, text, True, False, None, lists, and dicts with keys of text."


def convert(value: Any, annotation: Any, where: str) -> Any:
    """Return a value as its annotation has it, or say why it is not one.

    JSON's own types become dataclasses and enums, messages become dataclasses; an int stands for
    a float. `where` names the parameter for the error, as `Trainer.train_args`.

    Raises:
      ParameterError: expected what, came what, where.
    """
    if isinstance(value, PipelineParameter):
        return value.checked(annotation, where)
    if isinstance(value, Mapping) and set(value) == {PARAMETER_KEY}:
        return convert(value[PARAMETER_KEY]["default"], annotation, where)
    if annotation is Any:
        return value
    if value is None:
        if is_optional(annotation):
            return None
        raise _mismatch(value, annotation, where)
    annotation = without_none(annotation)
    if _is_message(value):
        value = to_json(value)
    if annotation in SCALARS:
        return _convert_scalar(value, annotation, where)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _convert_enum(value, annotation, where)
    if dataclasses.is_dataclass(annotation):
        return _convert_dataclass(value, annotation, where)
    return _convert_container(value, annotation, where)


def _is_message(value: Any) -> bool:
    return hasattr(value, "DESCRIPTOR") and hasattr(value, "SerializeToString")


def shown(value: Any) -> str:
    """Return a value as Python writes it, as far as it is told in a sentence."""
    try:
        text = repr(value)
    except Exception:  # whatever a class of the user's may do
        text = object.__repr__(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _mismatch(value: Any, annotation: Any, where: str) -> ParameterError:
    return ParameterError(
        f"{where}: expected {describe(annotation)}, got {shown(value)} ({type(value).__name__})"
    )


def _check_parameter(
    parameter: PipelineParameter, annotation: Any, where: str
) -> PipelineParameter:
    options = [without_none(annotation)]
    if typing.get_origin(options[0]) in UNION_TYPES:
        options = list(typing.get_args(options[0]))
    fits = parameter.type in options or Any in options
    fits = fits or (parameter.type is int and float in options)
    fits = fits or (parameter.type is list and any(_is_list(option) for option in options))
    fits = fits or (
        parameter.type is str
        and any(isinstance(o, type) and issubclass(o, enum.Enum) for o in options)
    )
    if not fits:
        raise ParameterError(
            f"{where}: expected {describe(annotation)}, got the pipeline parameter "
            f"{parameter.name!r} ({parameter.type.__name__})"
        )
    return parameter


def _is_list(annotation: Any) -> bool:
    return (typing.get_origin(annotation) or annotation) in (list, tuple)


def _convert_scalar(value: Any, annotation: Any, where: str) -> Any:
    value = plain_scalar(value)
    if annotation is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise _mismatch(value, annotation, where) from None
    if annotation is str and isinstance(value, str):
        return _unicode(value, where)
    if annotation is int and isinstance(value, bool):
        raise _mismatch(value, annotation, where)
    if isinstance(value, annotation):
        return value
    raise _mismatch(value, annotation, where)


def _unicode(text: str, where: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ParameterError(
            f"{where}: expected text, got {shown(text)}, which has half a character at position "
            f"{error.start}",
            hint="Bytes that were no UTF-8 were read as text. Name their encoding where they are "
            "read, or pass bytes on in a file.",
        ) from None
    return text


def _convert_enum(value: Any, annotation: type[enum.Enum], where: str) -> enum.Enum:
    if isinstance(value, annotation):
        return value
    for member in annotation:
        if value in (member.value, member.name):
            return member
    choices = ", ".join(repr(member.value) for member in annotation)
    raise ParameterError(f"{where}: expected one of {choices}, got {value!r}")


def _convert_dataclass(value: Any, annotation: Any, where: str) -> Any:
    if isinstance(value, annotation):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(annotation)}
    if not isinstance(value, Mapping):
        raise _mismatch(value, annotation, where)
    hints = typing.get_type_hints(annotation)
    unknown = [name for name in value if name not in hints]
    if unknown:
        raise ParameterError(
            f"{where}: {describe(annotation)} has no field {unknown[0]!r}",
            hint=suggestion(unknown[0], hints, noun="field"),
        )
    fields = {name: convert(item, hints[name], f"{where}.{name}") for name, item in value.items()}
    required = [
        f.name
        for f in dataclasses.fields(annotation)
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    absent = [name for name in required if name not in fields]
    if absent:
        raise ParameterError(f"{where}: {describe(annotation)} needs the field {absent[0]!r}")
    return annotation(**fields)


def _convert_container(value: Any, annotation: Any, where: str) -> Any:
    origin, args = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
    if origin is typing.Literal:
        if value in args:
            return value
        raise ParameterError(f"{where}: expected one of {args!r}, got {value!r}")
    if origin in UNION_TYPES:
        for option in args:
            try:
                return convert(value, option, where)
            except ParameterError:
                continue
        raise _mismatch(value, annotation, where)
    if origin in (list, tuple) and isinstance(value, (list, tuple)):
        item_type = args[0] if args else Any
        items = [convert(item, item_type, f"{where}[{i}]") for i, item in enumerate(value)]
        return items if origin is list else tuple(items)
    if origin is dict and isinstance(value, Mapping):
        item_type = args[1] if args else Any
        return {
            _text_key(key, where): convert(item, item_type, f"{where}[{key!r}]")
            for key, item in value.items()
        }
    raise _mismatch(value, annotation, where)
