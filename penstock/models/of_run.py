"""The model that a run has made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
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
    outputs = ((node_id, node.outputs) for node_id, node in result.nodes.items())
    return _only_model(result.run_id, outputs)


def model_of_run(run_id: str) -> Any:
    """Return the Model artifact of a run in the store of this folder's project.

    Raises:
      RunError: there is no such run, or it has made no model, or several.
      StoreError: the store cannot be used.
    """
    from penstock.metadata.runs import find_run, node_artifacts
    from penstock.metadata.store import connect, connection_config
    from penstock.project.config import read_config

    address = read_config().profile().metadata_address()
    with connect(connection_config(address), create=False) as metadata:
        run = find_run(metadata.store, run_id)
        outputs = [(n.node_id, node_artifacts(metadata.store, n)[1]) for n in run.nodes]
    return _only_model(run.run_id, outputs)


def _only_model(run_id: str, outputs: Iterable[tuple[str, Mapping[str, Any]]]) -> Any:
    models = [
        (node_id, artifact)
        for node_id, artifacts in outputs
        for several in artifacts.values()
        for artifact in several
        if artifact.type_name == _MODEL
    ]
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
