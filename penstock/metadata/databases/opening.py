"""Opening a store, or making it, and TFX's handle of it."""

from __future__ import annotations

import re
from typing import Any

from penstock import _tfx
from penstock.errors import StoreError
from penstock.metadata.databases.client import Store, plain_message
from penstock.metadata.databases.database import Database, InMemory, no_store_yet
from penstock.metadata.databases.distant import BesideStore, RemoteStore
from penstock.metadata.databases.locking import WAIT_SECONDS, locked_for_long
from penstock.metadata.databases.mysql import MySql
from penstock.metadata.databases.patience import USUAL, Patience, StoreAway, Wait
from penstock.metadata.databases.postgresql import PostgreSql
from penstock.metadata.databases.remote import Access, Remote, access_of
from penstock.metadata.databases.sqlite import SqliteFile

_errors = _tfx.ml_metadata.errors
_VERSIONS = re.compile(
    r"database version (\d+) is (older|greater) than library version (\d+)", re.IGNORECASE
)

_INCOMPLETE = re.compile(
    "a subset of tables.*(doesn't exist|does not exist|no such table)"
    "|no schema_version can be found",
    re.DOTALL,
)
_NO_FILE = "unable to open database file"


class OlderStore(StoreError):
    """A store that an older ML Metadata made."""


class Handle(_tfx.metadata.Metadata):
    """TFX's `Metadata`, whose `store` is a `Store`.

    It opens the store when it is entered, and closes it when it is left as often.
    """

    def __init__(
        self,
        connection: _tfx.Connection,
        *,
        create: bool = True,
        wait_seconds: float = WAIT_SECONDS,
        patience: Patience = USUAL,
    ) -> None:
        super().__init__(connection)
        self._store: Any = None
        self._create = create
        self._wait_seconds = wait_seconds
        self._patience = patience

    def __enter__(self) -> Handle:
        if self._store is None:
            database = database_of(self._connection_config, self._wait_seconds, self._patience)
            self._store = open_store(database, create=self._create)
        self._users += 1
        return self

    def __exit__(self, *error: object) -> None:
        store = self._store
        super().__exit__(*error)
        if self._store is None and store is not None:
            store.close()


def database_of(
    connection: _tfx.Connection,
    wait_seconds: float = WAIT_SECONDS,
    patience: Patience = USUAL,
) -> Database:
    """Return where the store is that connection settings name, ML Metadata's or an `Access`."""
    if isinstance(connection, _tfx.metadata_store_pb2.MetadataStoreClientConfig):
        connection = access_of(connection)
    if isinstance(connection, Access):
        return Remote(connection, wait_seconds, patience)
    kind = None
    if isinstance(connection, _tfx.metadata_store_pb2.ConnectionConfig):
        kind = connection.WhichOneof("config")
    if kind == "mysql":
        return MySql(connection, wait_seconds, patience)
    if kind == "postgresql":
        return PostgreSql(connection, wait_seconds, patience)
    if kind == "sqlite" and connection.sqlite.filename_uri not in ("", ":memory:"):
        return SqliteFile(connection, wait_seconds, patience)
    return InMemory(connection, wait_seconds)


def open_store(
    database: Database, *, create: bool, upgrade: bool = False, beside: bool = False
) -> Store:
    """Open a store; make it where there is none and `create` says so.

    ML Metadata's native client for a server's database is in a process beside this one; with
    `beside` that for a file is too.

    Raises:
      StoreAway: its server does not answer.
      NoStore: there is none, and it may not be made.
      StoreError: it cannot be used, or it is of another version.
    """
    if isinstance(database, Remote):
        database.prepare(create=create)
        return RemoteStore(database)
    kind = BesideStore if beside or isinstance(database, MySql | PostgreSql) else Store
    wait = Wait(database.patience.for_opening())
    while True:
        try:
            return _open(database, kind, create=create, upgrade=upgrade)
        except StoreAway as away:
            wait.pause(away)


def _open(database: Database, kind: type[Store], *, create: bool, upgrade: bool) -> Store:
    database.prepare(create=create)
    with database.exclusively():
        try:
            if not database.exists():
                if not create:
                    raise no_store_yet(database.where)
                database.create(lambda settings: kind(database, settings=settings).close())
            return kind(database, upgrade=upgrade)
        except (RuntimeError, OSError, _errors.StatusError) as error:
            raise _cannot_open(database, str(error)) from error


def _cannot_open(database: Database, text: str) -> StoreError:
    versions = _VERSIONS.search(text)
    if versions:
        theirs, order, ours = versions.groups()
        message = (
            f"the metadata store {database.where} is of schema version {theirs}, and the "
            f"installed ml-metadata {_tfx.ml_metadata.__version__} needs version {ours}"
        )
        if order == "older":
            return OlderStore(
                message,
                hint="Programs with an older ml-metadata cannot use it any more once it is "
                "upgraded. To upgrade it: penstock store upgrade.",
            )
        return StoreError(
            message, hint="Install the ml-metadata that it was written with, or a newer one."
        )
    if _INCOMPLETE.search(text):
        return StoreError(
            f"the metadata store {database.where} is not complete: tables are missing, because "
            "making it was cut off or somebody removed them",
            hint="If it holds no runs, remove its other tables, and the next run makes it anew; "
            "else put back a copy of it.",
        )
    if _NO_FILE in text:  # it was moved away since it was looked for
        return no_store_yet(database.where)
    if "Concurrent writes aborted" in text:
        return locked_for_long(database.where, database.wait_seconds)
    message = plain_message(text)
    return StoreError(
        f"the metadata store {database.where} cannot be used: {message}",
        hint=database.explain(message),
    )
