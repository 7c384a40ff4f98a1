"""The inputs of a node in a pod: which artifacts of our store they are, and where to read them.

Kubeflow passes one artifact a name, without its type and with changed properties. So our store is
asked for what an artifact is. Which one it is stands in its metadata (REFERENCE), because a task
may put out an artifact of an earlier run, several artifacts or none, while its output in Kubeflow's
eyes is always one, below the folder of its own run; or else its URI says it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from penstock import _tfx, ir
from penstock.data.files import remote
from penstock.errors import DataError, RunError
from penstock.execution import contents
from penstock.ir.reading import RUN_CONTEXT
from penstock.metadata.executions import node_executions
from penstock.metadata.protocol import Store
from penstock.metadata.reading import Place, places_of
from penstock.metadata.store import execution_outputs
from penstock.runners.kubeflow.contract.task import (
    OF_ALL,
    PodInput,
    PodOutput,
    PodTask,
)
from penstock.runners.kubeflow.pod.launcher import ExecutorInput, LaunchedArtifact

# Metadata of an output: the ids and URIs of the artifacts in our store that it stands for.
REFERENCE = "penstock_artifacts"
# Why a task made nothing, where it had nothing to do.
NOT_MADE = "penstock_not_made"


@dataclass(frozen=True)
class KnownInputs:
    """The ids of input artifacts by the node's keys, and the keys that nobody made, with why."""

    ids: Mapping[str, list[int]]
    missing: Mapping[str, str]


def known_inputs(
    store: Store, task: PodTask, node: ir.Node, executor_input: ExecutorInput
) -> KnownInputs:
    """Find the artifacts that the launcher names in our store.

    Raises:
      RunError: one is not in it.
    """
    ids: dict[str, list[int]] = {}
    reasons: dict[str, list[str]] = {}
    for wanted in task.inputs:
        ids_of_key = ids.setdefault(wanted.key, [])
        launched = list(executor_input.inputs.get(wanted.name, ()))
        reason = next((a.metadata[NOT_MADE] for a in launched if a.metadata.get(NOT_MADE)), "")
        if not launched and not wanted.by_run:
            reason = f"{wanted.producer} did not run"
        reasons.setdefault(wanted.key, []).append(str(reason))
        if reason:
            continue
        if wanted.each == OF_ALL:
            ids_of_key += _of_all_items(store, node, wanted)
            continue
        if wanted.by_run and not any(a.metadata.get(REFERENCE) for a in launched):
            ids_of_key += _of_producer(store, node, wanted)
            continue
        for artifact in launched:
            ids_of_key += _referred(store, wanted, artifact)
    missing = {key: texts[0] for key, texts in reasons.items() if texts and all(texts)}
    return KnownInputs(ids, missing)


def lacking(node: ir.Node, known: KnownInputs) -> str:
    """Return why a node cannot run because of what was not made, "" if it can."""
    for key, reason in known.missing.items():
        if node.proto.inputs.inputs[key].min_count:
            return f"its input {key!r} was not made: {reason}"
    return ""


def reference(artifacts: Iterable[Any]) -> str:
    """Return the metadata that names artifacts of our store."""
    return json.dumps([[artifact.id, artifact.uri] for artifact in artifacts])


def _of_all_items(store: Store, node: ir.Node, wanted: PodInput) -> list[int]:
    """Return what a node of a loop has put out in this run, in the order of the items.

    Where loops around it are those of the node that takes it, that is what it has for their items.
    """
    own = _places_of_items(node, wanted)
    run = store.get_context_by_type_and_name(RUN_CONTEXT, node.run_id)
    executions = store.get_executions_by_context(run.id) if run is not None else []
    places = places_of(store, [execution.id for execution in executions])
    made: dict[tuple[int, ...], int] = {}
    for execution in sorted(executions, key=lambda execution: execution.id):
        place = _place_in_loops(places.get(execution.id, Place()).node_id, wanted.producer)
        succeeded = _tfx.execution_lib.is_execution_successful(execution)
        if place and place[: wanted.shared] == own and succeeded:
            made[place] = execution.id
    return [
        artifact.id
        for place in sorted(made)
        for artifact in execution_outputs(store, made[place]).get(wanted.output, ())
    ]


def _place_in_loops(node_id: str, looped: str) -> tuple[int, ...]:
    """Return for which items a node of loops ran, () if this is another node."""
    name, dot, indices = node_id.partition(f"{looped}.")
    numbers = indices.split(".")
    is_of_item = not name and dot and all(number.isdecimal() for number in numbers)
    return tuple(map(int, numbers)) if is_of_item else ()


def _places_of_items(node: ir.Node, wanted: PodInput) -> tuple[int, ...]:
    """Return the places of a node's items in the loops that it shares with a producer."""
    return tuple(item.index for item in node.items[: wanted.shared])


def _of_producer(store: Store, node: ir.Node, wanted: PodInput) -> list[int]:
    producer = ".".join([wanted.producer, *map(str, _places_of_items(node, wanted))])
    for execution in node_executions(store, node.pipeline, producer, run=node.run_id):
        if _tfx.execution_lib.is_execution_successful(execution):
            outputs = execution_outputs(store, execution.id)
            return [artifact.id for artifact in outputs.get(wanted.output, ())]
    return []


def _referred(store: Store, wanted: PodInput, launched: LaunchedArtifact) -> list[int]:
    text = launched.metadata.get(REFERENCE)
    if not text:
        return [_by_uri(store, wanted, launched.uri)]
    try:
        named = {int(number): str(uri) for number, uri in json.loads(text)}
    except (ValueError, TypeError, RecursionError):
        raise RunError(
            f"the input {wanted.name!r} cannot be read: expected a JSON list of ids and addresses "
            f"in its metadata {REFERENCE!r}, got {str(text)[:200]!r}",
            hint="Something else than Penstock has written it: run what makes it again.",
        ) from None
    there = {a.id: a.uri for a in store.get_artifacts_by_id(list(named))} if named else {}
    # Kubeflow's cache may lend an output from when another store was used.
    return [
        number if there.get(number) == uri else _by_uri(store, wanted, uri)
        for number, uri in named.items()
    ]


def known_outputs(
    store: Store, outputs: Iterable[PodOutput], launched: Mapping[str, LaunchedArtifact]
) -> dict[str, list[Any]] | None:
    """Return the artifacts of our store that outputs are, None unless it has them all.

    Kubeflow's cache lends outputs of earlier runs, which were recorded then.
    """
    recorded: dict[str, list[Any]] = {}
    for output in outputs:
        artifact = launched.get(output.name)
        newest = _newest(store, output.type, artifact.uri) if artifact else None
        if newest is None:
            return None
        kind = store.get_artifact_type(output.type)
        recorded[output.key] = list(_tfx.artifact_utils.deserialize_artifacts(kind, [newest]))
    return recorded


def _newest(store: Store, kind: str, uri: str) -> Any | None:
    live = _tfx.metadata_store_pb2.Artifact.LIVE
    for address in (uri, f"{uri}/{_VALUE}"):
        artifacts = [
            artifact
            for artifact in store.get_artifacts_by_uri(address)
            if artifact.type == kind and artifact.state == live
        ]
        if artifacts:
            return max(artifacts, key=lambda artifact: artifact.id)
    return None


def _by_uri(store: Store, wanted: PodInput, uri: str) -> int:
    newest = _newest(store, wanted.type, uri)
    if newest is not None:
        return int(newest.id)
    raise RunError(
        f"input {wanted.key!r}: the metadata store has no artifact of type {wanted.type} at {uri}, "
        f"which {wanted.producer} made in Kubeflow's eyes",
        hint="Did the task that made it use another store, and Kubeflow's cache lend its output? "
        "Name the same store, or run without Kubeflow's cache.",
    )


# The name of the file that holds a value artifact, below its folder.
_VALUE = "value"


@dataclass(frozen=True)
class Copies:
    """Finds input artifacts in the container; what the launcher did not bring is fetched.

    `brought` has by URI where the launcher copied an artifact to.
    """

    brought: Mapping[str, str]

    def __call__(self, inputs: _tfx.Artifacts, folder: str) -> dict[str, str]:
        """Return by URI where artifacts are to be read, if that is elsewhere; fetch to `folder`.

        Raises:
          DataError: an artifact is neither here nor in its object store.
          StorageError: the store cannot be reached or does not let us in.
        """
        copies = {}
        for artifacts in inputs.values():
            for artifact in artifacts:
                path = self._copy(artifact, os.path.join(folder, "inputs", str(artifact.id)))
                if path != artifact.uri:
                    copies[artifact.uri] = path
        return copies

    def path(self, uri: str) -> str | None:
        """Return where the launcher copied what is at a URI, None if it did not."""
        for address, path in self.brought.items():
            if uri == address or uri.startswith(f"{address}/"):
                local = path + uri[len(address) :]
                return local if os.path.exists(local) else None
        return None

    def _copy(self, artifact: Any, to: str) -> str:
        uri = str(artifact.uri)
        if (brought := self.path(uri)) is not None:
            return brought
        if not remote.is_known(uri):
            return uri
        recorded = contents.recorded(artifact.mlmd_artifact)
        is_file = isinstance(artifact, _tfx.value_artifact.ValueArtifact)
        target = os.path.join(to, _VALUE) if is_file else to
        try:
            return remote.fetch(uri, target)
        except DataError:
            if recorded is None or recorded.size:
                raise
        # Object stores have no empty folders.
        os.makedirs(to, exist_ok=True)
        return target


def copies(executor_input: ExecutorInput) -> Copies:
    """Return where the launcher has copied the inputs to."""
    return Copies({a.uri: a.path for launched in executor_input.inputs.values() for a in launched})
