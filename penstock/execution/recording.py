"""What the metadata store can hold of a node's parameters and of its outputs' properties."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, MutableMapping
from typing import Any

from penstock import _tfx
from penstock.authoring.values import shown
from penstock.errors import RunError


def recordable(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as they are recorded: NaN and infinities as JSON's text, for which no
    database's numbers stand.
    """
    return {name: json.dumps(v) if _is_no_number(v) else v for name, v in parameters.items()}


def carried(name: str, value: Any, executor_path: str | None) -> Any:
    """Return what a node has returned as TFX can carry it to another node's parameter.

    Lists and dicts that it cannot carry become JSON text, which is how components of Penstock
    record them.

    Raises:
      InputResolutionError: it cannot be carried.
    """
    try:
        _tfx.data_types_utils.set_parameter_value(_tfx.pipeline_pb2.Value(), value)
    except (ValueError, TypeError, RuntimeError) as error:
        if isinstance(value, (list, dict)) and _is_penstocks(executor_path):
            return json.dumps(value, sort_keys=True)
        raise _tfx.InputResolutionError(
            f"its parameter {name!r} cannot be {shown(value)} ({type(value).__name__}): {error}"
        ) from None
    return value


def _is_penstocks(executor_path: str | None) -> bool:
    return executor_path is not None and hasattr(
        _tfx.import_class_by_path(executor_path), "interface"
    )


def make_recordable(properties: MutableMapping[str, Any]) -> None:
    """Do the same with the parameters that a `ExecutorOutput` repeats."""
    for value in properties.values():
        if _is_no_number(value.double_value):
            value.string_value = json.dumps(value.double_value)


def check_properties(node_id: str, outputs: Mapping[str, Any]) -> None:
    """Raise RunError where an output has a property that the store cannot hold.

    `outputs` are TFX's `ExecutorOutput.output_artifacts`.
    """
    for key, artifacts in outputs.items():
        for artifact in artifacts.artifacts:
            for properties in (artifact.properties, artifact.custom_properties):
                for name, value in properties.items():
                    if _is_no_number(value.double_value):
                        raise RunError(
                            f"node {node_id}: the output {key!r} has the property {name!r} = "
                            f"{value.double_value}, which a metadata store cannot hold",
                            hint="Leave it out where it is no number, or set it as text.",
                        )


def _is_no_number(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
