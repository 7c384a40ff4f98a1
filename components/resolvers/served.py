"""Which model answered, and what it was made from."""

from __future__ import annotations

import json
import os
from typing import Any

from penstock import _tfx
from penstock.errors import RegistryError
from penstock.execution.contents import found_damage
from penstock.metadata.graph import read_ancestors
from penstock.metadata.store import artifacts_by_id
from penstock.monitoring.measures import Window
from penstock.monitoring.windows import ANSWERED_BY, LOG, window_of

_PUSHED_VERSION = "pushed_version"
_DESTINATION = "pushed_destination"


class ServedModelStrategy(_tfx.ResolverStrategy):
    """A strategy that resolves to the version that answered most, and what it was made from."""

    def __init__(self, name: str, version: str) -> None:
        self._name = name
        self._version = version

    def resolve_artifacts(
        self, store: Any, input_dict: dict[str, list[Any]]
    ) -> dict[str, list[Any]]:
        """Keep the model of the version, and of what the store has, what it was made from."""
        served = input_dict.get("served", [])
        version = self._version or _most_answered(served)
        model_id = _registered(store, self._name, version) or _pushed(store, self._name, version)
        kept: dict[str, list[int]] = {}
        if model_id:
            graph = read_ancestors(store, [model_id])
            made_from = list(graph.nearest_first(model_id))
            schemas = [a.artifact_id for a in made_from if a.type_name == "Schema"]
            ingested = [a for a in made_from if a.type_name == "Examples" and graph.is_ingested(a)]
            kept = {
                "model": [model_id],
                "schema": schemas[:1],
                "examples": [artifact.artifact_id for artifact in ingested],
            }
        # They are of another pipeline than this one, which is all that channels see.
        return {
            key: artifacts if key == "served" else _intact(store, kept.get(key, []))
            for key, artifacts in input_dict.items()
        }


class PreviousWindowStrategy(_tfx.ResolverStrategy):
    """A strategy that resolves to the examples of a log's window before one."""

    def resolve_artifacts(
        self, store: Any, input_dict: dict[str, list[Any]]
    ) -> dict[str, list[Any]]:
        """Keep the window that ended where this one began, or before; of its examples the newest.

        Months count as equally long.
        """
        [served] = input_dict["served"]
        window = window_of(served)
        log = served.get_string_custom_property(LOG)
        earlier = []
        for artifact in input_dict["examples"]:
            if artifact.get_string_custom_property(LOG) != log:
                continue
            other = window_of(artifact)
            if _length(other) == _length(window) and other.end <= window.begin:
                earlier.append((other.end, artifact.id, artifact))
        last = max(earlier, key=lambda one: one[:2], default=None)
        return {**input_dict, "examples": [last[2]] if last is not None else []}


def _length(window: Window) -> int:
    """Return the days of a window, or its seconds where it has no whole days."""
    length = window.end - window.begin
    if window.begin.day == 1 and window.end.day == 1 and length.days in range(28, 32):
        return 30
    return length.days if not length.seconds else int(length.total_seconds())


def _intact(store: Any, ids: list[int]) -> list[Any]:
    """Return artifacts whose files are as they were published."""
    return [one for one in artifacts_by_id(store, ids) if not found_damage(one)]


def _most_answered(served: list[Any]) -> str:
    """Return the version that answered most rows; of several the newest."""
    counts: dict[str, int] = {}
    for artifact in served:
        for version, rows in json.loads(
            artifact.get_string_custom_property(ANSWERED_BY) or "{}"
        ).items():
            counts[version] = counts.get(version, 0) + rows
    return max(counts, key=lambda version: (counts[version], version), default="")


def _registered(store: Any, name: str, version: str) -> int | None:
    from penstock import registry

    try:
        found = registry.find_model(store, name)
        return found.version(version).artifact_id if found is not None and version else None
    except RegistryError:
        return None


def _pushed(store: Any, name: str, version: str) -> int | None:
    """Return the model that was pushed as a version to a folder of that name, the last one."""
    for pushed in reversed(store.get_artifacts_by_type("PushedModel")):
        properties = pushed.custom_properties
        folder = os.path.dirname(properties[_DESTINATION].string_value.rstrip("/"))
        if properties[_PUSHED_VERSION].string_value == version and os.path.basename(folder) == name:
            graph = read_ancestors(store, [pushed.id])
            models = (a for a in graph.nearest_first(pushed.id) if a.type_name == "Model")
            return next((model.artifact_id for model in models), None)
    return None
