"""The model that a run has made."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from penstock.errors import RunError

_MODEL = "Model"
_RUN_ID = re.compile(r"latest(~\d+)?|\d{8}-\d{6}-[0-9a-f]+")


def is_run_id(text: str) -> bool:
    """Return whether a text is the name of a run, and not of a folder."""
    return _RUN_ID.fullmatch(text) is not None


def model_of_result(result: Any) -> Any:
    """Return the Model artifact of a run's result.

    Raises:
      RunError: the run has made none, or several.
    """
    made = (
        (node_id, artifact)
        for node_id, node in result.nodes.items()
        if not node.resolver
        for artifacts in node.outputs.values()
        for artifact in artifacts
    )
    return _only_model(result.run_id, made)


def model_of_run(run_id: str) -> Any:
    """Return the Model artifact of a run in the store of this folder's project.

    Raises:
      RunError: there is no such run, or it has made no model, or several.
      StoreError: the store cannot be used.
    """
    from penstock.metadata.runs import find_run, made_in_run
    from penstock.metadata.store import artifacts_by_id, connect, connection_config
    from penstock.project.config import read_config

    address = read_config().profile().metadata_address()
    with connect(connection_config(address), create=False) as metadata:
        run = find_run(metadata.store, run_id)
        makers = made_in_run(metadata.store, run)
        made = [(makers[a.id], a) for a in artifacts_by_id(metadata.store, list(makers))]
    return _only_model(run.run_id, made)


def _only_model(run_id: str, made: Iterable[tuple[str, Any]]) -> Any:
    models = [(node_id, artifact) for node_id, artifact in made if artifact.type_name == _MODEL]
    distinct = {artifact.uri: artifact for _, artifact in models}
    makers = dict.fromkeys(node_id for node_id, _ in models)
    if len(distinct) != 1:
        raise RunError(
            f"run {run_id} should have made one model, and has made "
            + (f"{len(distinct)}: by {', '.join(makers)}" if models else "none"),
            hint="Give the folder of the one that you mean."
            if models
            else "Did its Trainer end? See: penstock show " + run_id,
        )
    return next(iter(distinct.values()))
