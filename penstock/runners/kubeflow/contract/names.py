"""Names as Kubernetes, Argo and Kubeflow Pipelines take them."""

from __future__ import annotations

import re
from collections.abc import Iterable

_DRIVER = "-driver"


def pipeline_name(pipeline_id: str) -> str:
    """Return the name of a pipeline: lower case letters, digits and hyphens."""
    return _lower(pipeline_id)[:128].strip("-")


def task_names(node_ids: Iterable[str]) -> dict[str, str]:
    """Return a task's name for every node; nodes whose names are too alike are counted."""
    names: dict[str, str] = {}
    for node_id in node_ids:
        names[node_id] = unused(_lower(node_id), names.values())
    return names


def unused(name: str, taken: Iterable[str]) -> str:
    """Return a name, with a number if it is taken: by another, or by the driver of another.

    The driver of a task `x` is the task `x-driver` of Argo's.
    """
    names = set(taken)
    names |= {f"{other}{_DRIVER}" for other in names}
    names |= {other.removesuffix(_DRIVER) for other in names}
    candidates = (name, *(f"{name}-{number}" for number in range(2, len(names) + 3)))
    return next(candidate for candidate in candidates if candidate not in names)


def key_name(key: str, taken: Iterable[str] = ()) -> str:
    """Return the name of an input or output: it becomes a part of paths and of URIs."""
    return unused(re.sub(r"[^A-Za-z0-9_-]+", "_", key).strip("_-") or "artifact", taken)


def _lower(name: str) -> str:
    lower = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "node"
    return f"node-{lower}" if lower[0].isdigit() else lower
