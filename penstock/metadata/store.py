"""Connections to an ML Metadata store, and what its events say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

from penstock import _tfx
from penstock.errors import StoreError

_FORMS = (
    "sqlite:///folder/metadata.sqlite",
    "mysql://user:password@host:3306/database",
    "postgresql://user:password@host:5432/database",
)


def connection_config(address: str) -> Any:
    """Return ML Metadata's connection settings for an address.

    An address is a URL (sqlite, mysql or postgresql) or the path of an SQLite file.

    Raises:
      StoreError: the address is none of these.
    """
    config = _tfx.metadata_store_pb2.ConnectionConfig()
    parts = urlsplit(address)
    if not parts.scheme or parts.scheme == "sqlite":
        path = address if not parts.scheme else address.removeprefix("sqlite://")
        # sqlite:///relative and sqlite:////absolute, as SQLAlchemy writes them
        path = path if not parts.scheme else path.removeprefix("/")
        if not path:
            raise _not_an_address(address)
        config.sqlite.filename_uri = os.path.abspath(path)
        config.sqlite.connection_mode = (
            _tfx.metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        )
        return config
    database = parts.path.removeprefix("/")
    if not parts.hostname or not database:
        raise _not_an_address(address)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if parts.scheme == "mysql":
        config.mysql.host, config.mysql.port = parts.hostname, parts.port or 3306
        config.mysql.database, config.mysql.user = database, user
        config.mysql.password = password
    elif parts.scheme in ("postgresql", "postgres"):
        config.postgresql.host, config.postgresql.port = parts.hostname, str(parts.port or 5432)
        config.postgresql.dbname, config.postgresql.user = database, user
        config.postgresql.password = password
    else:
        raise _not_an_address(address)
    return config


def without_password(address: str) -> str:
    """Return an address as it may be shown."""
    parts = urlsplit(address)
    if not parts.password:
        return address
    return address.replace(f":{parts.password}@", ":***@")


def _not_an_address(address: str) -> StoreError:
    return StoreError(
        f"{without_password(address)!r} is not the address of a metadata store",
        hint=f"Write it as one of: {', '.join(_FORMS)}.",
    )


@contextmanager
def connect(config: Any, *, create: bool = True) -> Iterator[Any]:
    """Connect to a store; yield TFX's `Metadata`, whose `store` is ML Metadata's own client.

    Raises:
      StoreError: it does not exist and `create` is false, or it cannot be reached.
    """
    path = config.sqlite.filename_uri if hasattr(config, "sqlite") else ""
    if path and not create and not os.path.exists(path):
        raise StoreError(
            f"there is no metadata store at {path}",
            hint="It is made by the first run: penstock run PIPELINE.",
        )
    try:
        if path:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        handle = _tfx.metadata.Metadata(config)
        handle.__enter__()
    except (RuntimeError, OSError, _tfx.ml_metadata.errors.StatusError) as error:
        raise StoreError(
            f"the metadata store {path or 'that the profile names'} cannot be used: {error}"
        ) from error
    try:
        yield handle
    finally:
        handle.__exit__(None, None, None)


def execution_outputs(store: Any, execution_id: int) -> dict[str, list[Any]]:
    """Return the output artifacts of an execution by key, in their order."""
    wanted = (_tfx.metadata_store_pb2.Event.OUTPUT, _tfx.metadata_store_pb2.Event.INTERNAL_OUTPUT)
    return _artifacts(store, execution_id, wanted)


def execution_inputs(store: Any, execution_id: int) -> dict[str, list[Any]]:
    """Return the input artifacts of an execution by key, in their order."""
    wanted = (_tfx.metadata_store_pb2.Event.INPUT, _tfx.metadata_store_pb2.Event.INTERNAL_INPUT)
    return _artifacts(store, execution_id, wanted)


def _artifacts(store: Any, execution_id: int, wanted: tuple[int, ...]) -> dict[str, list[Any]]:
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
        made = _tfx.artifact_utils.deserialize_artifact(types[artifact.type_id], artifact)
        steps = list(event.path.steps)
        for key, index in zip(steps[::2], steps[1::2], strict=True):
            placed.setdefault(key.key, []).append((index.index, made))
    return {
        key: [artifact for _, artifact in sorted(found, key=lambda pair: pair[0])]
        for key, found in placed.items()
    }
