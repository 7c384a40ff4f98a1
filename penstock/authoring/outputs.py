"""A component's outputs as they are wired, and conditions on the values among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from penstock import _tfx
from penstock.authoring.interface import Port
from penstock.errors import PipelineError, WiringError, suggestion


class Cond(_tfx.Cond):
    """Lets the nodes that are made below it run only where a comparison holds.

    `with Cond(node.outputs["output"] > 3):` is decided when the pipeline runs. It is TFX's own.
    """


class OutputChannels(dict[str, Any]):
    """A component's output channels by name; an unknown name is answered with the nearest."""

    def __init__(self, component_name: str, channels: Mapping[str, Any]) -> None:
        super().__init__(channels)
        self.component_name = component_name

    def __missing__(self, key: str) -> Any:
        raise WiringError(
            f"{self.component_name} has no output {key!r}",
            component=self.component_name,
            argument=key,
            hint=suggestion(key, self, noun="output"),
        )


class Output(_tfx.channel.OutputChannel):
    """An output of a node, to be wired to inputs.

    While the pipeline is defined nothing is in it: as a text, or beside one, it is a PipelineError.
    """

    def __eq__(self, other: object) -> Any:
        return self is other if _is_wiring(other) else self._unknown()

    def __ne__(self, other: object) -> Any:
        return self is not other if _is_wiring(other) else self._unknown()

    def __hash__(self) -> int:
        return id(self)

    def __bool__(self) -> bool:
        if not _tfx.asks_a_package():
            self._unknown()
        return True

    def _unknown(self, *_: Any) -> NoReturn:
        raise PipelineError(
            f"{self._place()} is not made yet while the pipeline is defined",
            hint="Pass it on to an input of a component as it is; its body reads .uri. For a "
            f"parameter write {self._place()}.future()[0].uri.",
        )

    def _place(self) -> str:
        return f"{self.producer_component_id}.outputs[{self.output_key!r}]"

    __format__ = __fspath__ = __iter__ = __len__ = __contains__ = _unknown


class ValueOutput(Output):
    """An output that holds a value: compared with another value it is a condition for `Cond`.

    It is wired to parameters and inputs as it is. While the pipeline is defined it has no value:
    what would ask for one is a PipelineError.
    """

    @property
    def _value(self) -> Any:
        return self.future()[0].value

    def __eq__(self, other: object) -> Any:
        return self is other if _is_wiring(other) else self._value == other

    def __ne__(self, other: object) -> Any:
        return self is not other if _is_wiring(other) else self._value != other

    def __lt__(self, other: Any) -> Any:
        return self._value < other

    def __le__(self, other: Any) -> Any:
        return self._value <= other

    def __gt__(self, other: Any) -> Any:
        return self._value > other

    def __ge__(self, other: Any) -> Any:
        return self._value >= other

    def __hash__(self) -> int:
        return id(self)

    def _unknown(self, *_: Any) -> NoReturn:
        raise PipelineError(
            f"{self._place()} has no value while the pipeline is defined",
            hint=f"Pass it on to a component as it is and compute with it there. "
            f"{_tfx.CONDITION_HINT}",
        )

    __format__ = __fspath__ = __int__ = __float__ = __index__ = __iter__ = _unknown
    __len__ = __contains__ = __getitem__ = __add__ = __radd__ = __sub__ = __rsub__ = _unknown
    __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __neg__ = __mod__ = __round__ = _unknown


def output_channel(node: Any, port: Port) -> Any:
    """Return the channel of a node's output."""
    is_value = issubclass(port.type, _tfx.value_artifact.ValueArtifact)
    kind = ValueOutput if is_value else Output
    return kind(port.type, node, port.name)


def _is_wiring(other: object) -> bool:
    # TFX compares channels with one another, and asks whether there is one.
    return other is None or isinstance(other, _tfx.channel.BaseChannel)
