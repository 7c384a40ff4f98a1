"""Who does the work of a node of TFX's: TFX's own executor, or an engine of ours.

Nobody behind the node can tell. What it is in the store (its type, its parameters, its artifacts)
is TFX's; only the class that does the work is another, and so is the fingerprint of the node: what
the one has made is never taken for what the other would make, since statistics of many rows and
saved graphs are equal in value and not byte by byte.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from penstock import _tfx, ir
from penstock.authoring.beam import BeamOptions
from penstock.authoring.standing_in import NotAccelerated, StandIn, read_parameter

ACCELERATED = "accelerated"
# By this name the components say which of their classes stands in for which of TFX's.
_TABLE = "penstock.components.standing_in"

# How the import paths of TFX's own components and executors begin.
OF_TFX = ("tfx.components.", "tfx.extensions.")


@dataclass(frozen=True)
class Decision:
    """Who does a node's work; `stand_in` is None for TFX's own executor, and `reason` says why."""

    stand_in: type[StandIn] | None
    reason: str = ""

    def __str__(self) -> str:
        return ACCELERATED if self.stand_in is not None else own_executor(self.reason)


def own_executor(reason: str) -> str:
    """Return the words for a node whose work TFX's own executor does."""
    return f"TFX's executor: {reason}"


def accelerated(pipeline: ir.Pipeline, *, enabled: bool = True) -> ir.Pipeline:
    """Return a pipeline in which engines of ours do the work of nodes of TFX's, where they can.

    Each node of TFX's says in `done_by` who does its work, and why.
    """
    nodes = {node.id: _decided(node, enabled) for node in pipeline}
    return replace(pipeline, nodes=MappingProxyType(nodes))


def decide(node: ir.Node, *, enabled: bool = True) -> Decision | None:
    """Return who does a node's work, by what stands in the pipeline; None unless it is TFX's."""
    path = node.executor_path
    if path is None or not (node.kind.startswith(OF_TFX) or path.startswith(OF_TFX)):
        return None
    stand_in = stand_in_for(path)
    if stand_in is None:
        if path.startswith(OF_TFX):
            return Decision(None, "there is no engine for it")
        return Decision(None, f"its executor is {path}")
    if not enabled:
        return Decision(None, "acceleration is off")
    if not node.accelerate:
        return Decision(None, "acceleration is off for this node")
    try:
        _check_beam(node.executor)
        for name, value in node.constants.items():
            read_parameter(name, value, stand_in.parameters)
    except NotAccelerated as reason:
        return Decision(None, reason.message)
    return Decision(stand_in)


def stand_in_for(class_path: str) -> type[StandIn] | None:
    """Return the class that does the work of an executor class of TFX's, if there is one."""
    path = _paths().get(class_path)
    if path is None:
        return None
    found = _tfx.import_class_by_path(path)
    assert issubclass(found, StandIn), "the table names nothing else"
    return found


def path_of(stand_in: type[StandIn]) -> str:
    """Return the path by which a class is imported."""
    return f"{stand_in.__module__}.{stand_in.__qualname__}"


def own_spec(spec: Any) -> Any:
    """Return the spec of the executor class of TFX's for which that of a spec stands in."""
    own = type(spec)()
    own.CopyFrom(spec)
    python = getattr(own, "python_executor_spec", own)
    python.class_path = _tfx.import_class_by_path(python.class_path).stands_for
    return own


def is_stand_in(class_path: str | None) -> bool:
    """Whether a class stands in for one of TFX's."""
    return class_path in _paths().values()


@functools.cache
def _paths() -> Mapping[str, str]:
    table: Mapping[str, str] = importlib.import_module(_TABLE).STAND_INS
    return table


def _decided(node: ir.Node, enabled: bool) -> ir.Node:
    if node.loops or node.done_by:
        return node  # What it is given is not known yet, or it is decided.
    decision = decide(node, enabled=enabled)
    if decision is None:
        return node
    node = replace(node, done_by=str(decision))
    stand_in = decision.stand_in
    if stand_in is None:
        return node
    assert node.executor is not None, "it has an executor whose place is taken"
    executor = type(node.executor)()
    executor.CopyFrom(node.executor)
    python = getattr(executor, "python_executor_spec", executor)
    python.class_path = path_of(stand_in)
    driver = node.driver
    replacement = stand_in.drivers.get(node.driver_path or "")
    if driver is not None and replacement is not None:
        driver = type(driver)()
        driver.CopyFrom(node.driver)
        driver.class_path = replacement
    return replace(node, executor=executor, driver=driver)


def _check_beam(executor: Any) -> None:
    """Check that Beam's arguments, if there are any, ask for no runner but a local one.

    Raises:
      NotAccelerated: they do, or nobody knows yet.
    """
    placeholders = getattr(executor, "beam_pipeline_args_placeholders", None) or ()
    if not all(placeholder.HasField("value") for placeholder in placeholders):
        raise NotAccelerated("its Beam arguments are not known before it runs")
    options = BeamOptions(tuple(arg.value.string_value for arg in placeholders))
    if not options.is_local:
        raise NotAccelerated(f"its Beam runner is {options.runner}")
