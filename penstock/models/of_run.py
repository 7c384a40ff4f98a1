"""The model that a run has made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from penstock.errors import RunError

MODEL = "Model"
_RUN_ID = re.compile(r"latest(~\d+)?|\d{8}-\d{6}-[0-9a-f]+")


def is_run_id(text: str) -> bool:
    """Return whether a text is the name of a run, and not of a folder."""
    return _RUN_ID.fullmatch(text) is not None


def model_of_result(result: Any) -> Any:
    """Return the Model artifact of a run's result.

    Raises:
      RunError: the run has made none, or several.
    """
    models = [
        (node_id, artifact)
        for node_id, node in result.nodes.items()
        if not node.resolver
        for artifacts in node.outputs.values()
        for artifact in artifacts
        if artifact.type_name == MODEL
    ]
    distinct = {artifact.uri: artifact for _, artifact in models}
    if len(distinct) != 1:
        raise not_one_model(
            result.run_id,
            [node_id for node_id, _ in models],
            "Give the folder of the one that you mean.",
        )
    return next(iter(distinct.values()))


def not_one_model(run_id: str, makers: Sequence[str], several: str) -> RunError:
    """Return the error for a run that has not made one model; `several` says what to do then."""
    nodes = dict.fromkeys(makers)
    return RunError(
        f"run {run_id} should have made one model, and has made "
        + (f"{len(makers)}: by {', '.join(nodes)}" if makers else "none"),
        hint=several if makers else f"Did its Trainer end? See: penstock show {run_id}",
    )
