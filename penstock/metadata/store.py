"""Connections to an ML Metadata store, and what its events say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from penstock import _tfx
from penstock.metadata.databases.addresses import connection_config, without_password
from penstock.metadata.databases.database import NoStore
from penstock.metadata.databases.locking import WAIT_SECONDS
from penstock.metadata.databases.opening import Handle
from penstock.metadata.databases.patience import USUAL, Patience
from penstock.metadata.protocol import Metadata, Store

__all__ = [
    "NoStore",
    "connect",
    "connect_or_empty",
    "connection_config",
    "execution_inputs",
    "execution_outputs",
    "without_password",
]


@contextmanager
def connect(
    config: _tfx.Connection,
    *,
    create: bool = True,
    wait_seconds: float = WAIT_SECONDS,
    patience: Patience = USUAL,
) -> Iterator[Metadata]:
    """Connect to a store; yield TFX's `Metadata`, whose `store` is ML Metadata's client.

    Other processes may use the store at the same time. `wait_seconds` is how long to wait for one
    that does not let go of it, `patience` how long for a server that is away.

    Raises:
      StoreAway: its server does not answer.
      NoStore: it does not exist and `create` is false.
      StoreError: it cannot be used.
    """
    with Handle(config, create=create, wait_seconds=wait_seconds, patience=patience) as handle:
        yield handle


@contextmanager
def connect_or_empty(config: _tfx.Connection) -> Iterator[Metadata]:
    """Connect to a store to read it; one that is still to be made is an empty one in memory.

    Raises:
      StoreAway: its server does not answer.
      StoreError: it cannot be used.
    """
    with ExitStack() as stack:
        try:
            metadata = stack.enter_context(connect(config, create=False))
        except NoStore:
            empty = _tfx.metadata_store_pb2.ConnectionConfig()
            empty.fake_database.SetInParent()
            metadata = stack.enter_context(connect(empty))
        yield metadata


def execution_outputs(store: Store, execution_id: int) -> dict[str, list[Any]]:
    """Return the output artifacts of an execution by key, in their order."""
    wanted = (_tfx.metadata_store_pb2.Event.OUTPUT, _tfx.metadata_store_pb2.Event.INTERNAL_OUTPUT)
    return _artifacts(store, execution_id, wanted)


def execution_inputs(store: Store, execution_id: int) -> dict[str, list[Any]]:
    """Return the input artifacts of an execution by key, in their order."""
    wanted = (_tfx.metadata_store_pb2.Event.INPUT, _tfx.metadata_store_pb2.Event.INTERNAL_INPUT)
    return _artifacts(store, execution_id, wanted)


def artifacts_by_id(store: Store, ids: Sequence[int]) -> list[Any]:
    """Return artifacts by their ids, in this order; those that the store lacks are left out."""
    found = {artifact.id: artifact for artifact in store.get_artifacts_by_id(list(ids))}
    types = {
        t.id: t for t in store.get_artifact_types_by_id(list({a.type_id for a in found.values()}))
    }
    return [
        _tfx.artifact_utils.deserialize_artifact(types[found[i].type_id], found[i])
        for i in ids
        if i in found
    ]


def _artifacts(store: Store, execution_id: int, wanted: tuple[int, ...]) -> dict[str, list[Any]]:
    events = [e for e in store.get_events_by_execution_ids([execution_id]) if e.type in wanted]
    ids = list({event.artifact_id for event in events})
    if not ids:
        return {}
    artifacts = {a.id: a for a in store.get_artifacts_by_id(ids)}
    types = {
        t.id: t
        for t in store.get_artifact_types_by_id(list({a.type_id for a in artifacts.values()}))
    }
    placed: dict[str, list[tuple[int, Any]]] = {}
    for event in events:
        artifact = artifacts[event.artifact_id]
        deserialized = _tfx.artifact_utils.deserialize_artifact(types[artifact.type_id], artifact)
        steps = list(event.path.steps)
        for key, index in zip(steps[::2], steps[1::2], strict=True):
            placed.setdefault(key.key, []).append((index.index, deserialized))
    return {
        key: [artifact for _, artifact in sorted(indexed, key=lambda pair: pair[0])]
        for key, indexed in placed.items()
    }
