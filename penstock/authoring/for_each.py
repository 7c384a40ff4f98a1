"""`ForEach`: nodes that run once for each item of a list."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from penstock import _tfx
from penstock.authoring import values
from penstock.authoring.outputs import Output, ValueOutput
from penstock.errors import ParameterError, PipelineError

# JSON text refers to an item by an object with this single key.
ITEM_KEY = "$item"

# What stands between the key of an output and the name of the loop that takes its items.
OF_LOOP = "$"


class ForEach(_tfx.DslContextManager):
    """Lets the nodes that are made below it run once for each item of a list.

    `with ForEach(items) as item:` takes a list of JSON values, a parameter of the pipeline that is
    a list, a list that a node returns, or the artifacts of an output. A value is passed on to
    parameters (`item["key"]` for a part of it), an artifact to inputs. Outside of the loop an
    output of a node in it is the list of all items' artifacts, in their order.

    Raises:
      PipelineError: there is no list to be seen in what is given.
    """

    def __init__(self, items: Any) -> None:
        super().__init__()
        self._items = _checked(items)

    def create_context(self) -> Loop:
        """Begin another loop."""
        earlier = [c for c in _tfx.node_registry().all_contexts if isinstance(c, Loop)]
        return Loop(f"for-each-{len(earlier) + 1}", self._items)

    def enter(self, context: Loop) -> Any:
        """Return what stands for an item."""
        return context.item()


class Loop(_tfx.DslContext):
    """A loop of a pipeline that is being defined.

    `items` are a list, a pipeline parameter, an item that is a list itself, or an output.
    """

    def __init__(self, name: str, items: Any) -> None:
        self.name = name
        self.items = items
        # As JSON, where they are given with the pipeline.
        self.text = values.encode(items) if self.producer is None else ""

    @property
    def producer(self) -> Any:
        """The node that makes the items, None where none does."""
        is_output = isinstance(self.items, _tfx.channel.OutputChannel)
        return self.items.producer_component if is_output else None

    @property
    def takes_artifacts(self) -> bool:
        """Whether its items are artifacts, and not values."""
        return self.producer is not None and not _is_returned_list(self.items)

    def item(self) -> Any:
        """Return what stands for an item."""
        if self.takes_artifacts:
            is_value = issubclass(self.items.type, _tfx.value_artifact.ValueArtifact)
            kind = ItemValueOutput if is_value else ItemOutput
            return kind(self.items.type, self.producer, self.items.output_key + OF_LOOP + self.name)
        if isinstance(self.items, values.PipelineParameter):
            return LoopItem(self, (), None, self.items.item_type)
        known = None if self.producer is not None else self.items
        return LoopItem(self, (), known, Any)

    def validate(self, containing_nodes: Sequence[Any]) -> None:
        """Let nodes of the loop wait for what makes the items, and TFX's compiler refuse them."""
        for node in containing_nodes:
            if self.producer is not None:
                node.add_upstream_node(self.producer)
            if getattr(node, "platform_config", self) is None:
                node.platform_config = _Refusal(node.id, self.name)

    @property
    def is_open(self) -> bool:
        """Whether what is written now stands in the loop."""
        return any(self is context for context in _tfx.node_registry().active_contexts)


class LoopItem(values.PipelineParameter):
    """A value of a loop where it stands for each of them in turn.

    `path` are the keys that lead to it from the item; `known` are the values, where they stand in
    the pipeline.
    """

    def __init__(
        self, loop: Loop, path: tuple[str, ...], known: Sequence[Any] | None, item_type: Any
    ) -> None:
        if known and len(kinds := {type(value) for value in known}) == 1:
            item_type = kinds.pop()
        kind = item_type if item_type in (*values.SCALARS, list) else object
        # By this name TFX's own components write it down.
        super().__init__(_recorded_name(loop.name, path, kind), kind, None)
        self._shown = "item" + "".join(f"[{key!r}]" for key in path)
        self._loop, self._path, self._known = loop, path, known

    def __getitem__(self, key: object) -> LoopItem:
        if not isinstance(key, str) or self.type in values.SCALARS:
            self._unknown()
        lacking = [
            item for item in self._known or () if not isinstance(item, Mapping) or key not in item
        ]
        if lacking:
            raise PipelineError(
                f"{self._shown}[{key!r}] is asked for, and the item {values.shown(lacking[0])} has "
                f"no {key!r}",
                hint="Give each item that is a dict the same keys.",
            )
        known = None if self._known is None else [item[key] for item in self._known]
        return LoopItem(self._loop, (*self._path, key), known, Any)

    def __repr__(self) -> str:
        return f"<{self._shown} of {self._loop.name}>"

    def reference(self) -> dict[str, Any]:
        """Return what stands for it in JSON."""
        self._check_place()
        return {ITEM_KEY: {"loop": self._loop.name, "path": list(self._path)}}

    def checked(self, annotation: Any, where: str) -> values.PipelineParameter:
        """Return it if a parameter takes all values that it stands for, as far as they are known.

        Raises:
          ParameterError: expected what, came what, where.
        """
        self._check_place()
        for index, value in enumerate(self._known or ()):
            try:
                values.convert(value, annotation, where)
            except ParameterError as error:
                raise ParameterError(
                    f"{error.message} in the item {index} of {self._loop.name}", hint=error.hint
                ) from None
        is_settled = self._known is not None or self.type is object
        return self if is_settled else super().checked(annotation, where)

    def recorded(self, scalar: type | None) -> values.PipelineParameter | None:
        """Return what TFX records for it in a parameter of a type, None where that is JSON."""
        if scalar not in (str, int, float):
            return None
        self._check_place()
        name = _recorded_name(self._loop.name, self._path, scalar)
        return values.PipelineParameter(name, scalar, None)

    def _says_no_type(self) -> str:
        return "its type is not known" if self.type is object else super()._says_no_type()

    def _has_no_value(self) -> str:
        return f"{self._shown} of {self._loop.name} has no value while the pipeline is defined"

    def _returned(self) -> str:
        return "it"

    def _check_place(self) -> None:
        if not self._loop.is_open:
            raise PipelineError(
                f"{self._shown} of {self._loop.name} is used outside of its loop",
                hint="Write what takes it below: with ForEach(...) as item:.",
            )


def _recorded_name(loop: str, path: tuple[str, ...], kind: type) -> str:
    """Return the name of a runtime parameter of TFX's that stands for an item."""
    reference: dict[str, Any] = {"loop": loop, "path": list(path)}
    if kind in (str, int, float):
        reference["type"] = kind.__name__
    return ITEM_KEY + json.dumps(reference)


# TFX recognizes runtime parameters by the name of their class.
LoopItem.__name__ = "RuntimeParameter"


class ItemOutput(Output):
    """An artifact of an output where it stands for each of them in turn."""


class ItemValueOutput(ValueOutput):
    """A value of an output where it stands for each of them in turn."""


class _Refusal:
    """Stands for the platform config of a loop's node, for which TFX's compiler asks every node.

    It asks nothing of contexts that it does not know, and would run the node once.
    """

    def __init__(self, node: str, loop: str) -> None:
        self._node, self._loop = node, loop

    def __bool__(self) -> bool:
        raise PipelineError(
            f"node {self._node} stands in a ForEach of Penstock's ({self._loop}), and TFX's own "
            "compiler would run it once, whatever there is to go over",
            hint="Give Penstock the Pipeline: LocalRunner().run, penstock run, penstock compile. "
            "For TFX's own runners write a loop of Python's where the items are known: for item in "
            'items: NODE(...).with_id(f"...").',
        )


@contextmanager
def compiled_by_penstock(nodes: Iterable[Any]) -> Iterator[None]:
    """Let TFX's compiler take nodes that stand in loops, for whom knows what to make of these."""
    refusing = [n for n in nodes if isinstance(getattr(n, "platform_config", None), _Refusal)]
    refusals = [node.platform_config for node in refusing]
    for node in refusing:
        node.platform_config = None
    try:
        yield
    finally:
        for node, refusal in zip(refusing, refusals, strict=True):
            node.platform_config = refusal


def loops_of(node: Any, registry: Any) -> list[Loop]:
    """Return the loops that a node stands in, the outermost first."""
    if not any(node is known for known in registry.all_nodes):
        return []
    return [context for context in registry.get_contexts(node) if isinstance(context, Loop)]


def closed_loop_of(channel: Any) -> Loop | None:
    """Return the loop whose items all have a part in an output, where it is used now."""
    if not isinstance(channel, _tfx.channel.OutputChannel) or _is_item(channel):
        return None
    registry = _tfx.node_registry()
    loops = loops_of(channel.producer_component, registry)
    return next((loop for loop in loops if not loop.is_open), None)


def is_used_outside(channel: Any) -> bool:
    """Whether what stands for an artifact of each item is used where there are none."""
    if not _is_item(channel):
        return False
    name = channel.output_key.rpartition(OF_LOOP)[2]
    contexts = _tfx.node_registry().active_contexts
    return not any(isinstance(c, Loop) and c.name == name for c in contexts)


def _is_item(channel: Any) -> bool:
    return isinstance(channel, (ItemOutput, ItemValueOutput))


def _is_returned_list(channel: Any) -> bool:
    """Whether an output is one value that is a list, and not several artifacts."""
    is_json = issubclass(channel.type, _tfx.standard_artifacts.JsonValue)
    return is_json and closed_loop_of(channel) is None


def _checked(items: Any) -> Any:
    """Return what a loop can go over.

    Raises:
      PipelineError: it is nothing of the kind.
    """
    hint = (
        "Give it a list of JSON values, a parameter of the pipeline that is a list, a list that a "
        "node returns (-> list), or an output with several artifacts."
    )
    if isinstance(items, _tfx.BaseNode):
        raise PipelineError(f"ForEach: expected a list, got the node {items.id} itself", hint=hint)
    if isinstance(items, values.PipelineParameter):
        if items.type in (list, object):
            return items
        raise PipelineError(f"ForEach: expected a list, got {items!r}", hint=hint)
    if isinstance(items, _tfx.channel.OutputChannel) and not _is_item(items):
        is_value = issubclass(items.type, _tfx.value_artifact.ValueArtifact)
        if is_value and not _is_returned_list(items) and closed_loop_of(items) is None:
            raise PipelineError(
                f"ForEach: expected a list, got one {items.type.__name__}, which "
                f"{items.producer_component_id} returns",
                hint=hint,
            )
        return items
    if isinstance(items, (list, tuple)):
        try:
            return values.to_json(list(items), "ForEach")
        except ParameterError as error:
            raise PipelineError(error.message, hint=error.hint or hint) from None
    raise PipelineError(
        f"ForEach: expected a list, got {values.shown(items)} ({type(items).__name__})", hint=hint
    )
