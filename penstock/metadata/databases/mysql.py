"""Stores in a database of a MySQL or MariaDB server."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from penstock.errors import StoreError
from penstock.metadata.databases.database import NUMBER_TOO_LARGE, TEXT_TOO_LONG
from penstock.metadata.databases.limits import MYSQL
from penstock.metadata.databases.locking import WAIT_SECONDS, locked_for_long
from penstock.metadata.databases.patience import USUAL, Patience, StoreAway

_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 10
_MAKING_SECONDS, _MAKING_PAUSE_SECONDS = 60, 2
_TABLES = frozenset(
    [
        "artifact",
        "artifactproperty",
        "association",
        "attribution",
        "context",
        "contextproperty",
        "event",
        "eventpath",
        "execution",
        "executionproperty",
        "mlmdenv",
        "parentcontext",
        "parenttype",
        "type",
        "typeproperty",
    ]
)
# The server is not there, goes, or has no room for another connection.
_AWAY = (1040, 1053, 1927, 2002, 2003, 2006, 2013)
_LOCK_IS_HELD = (1205, 3572)


@dataclass(frozen=True)
class MySql:
    """A store in a database of a MySQL or MariaDB server."""

    connection: Any
    wait_seconds: float = WAIT_SECONDS
    patience: Patience = USUAL
    locks_each_call = False
    limits = MYSQL

    @property
    def where(self) -> str:
        """The store's address, as it may be shown."""
        own = self.connection.mysql
        return f"mysql://{own.user}@{own.host or own.socket}:{own.port or 3306}/{own.database}"

    def settings(self) -> Any:
        """Return what ML Metadata connects with; it writes the name into SQL as it stands."""
        settings = type(self.connection)()
        settings.CopyFrom(self.connection)
        settings.mysql.database = _backticked(self.connection.mysql.database)
        settings.mysql.skip_db_creation = True
        if settings.mysql.host == "localhost" and not settings.mysql.socket:
            # Which MySQL's own client takes for a socket in a place of its own.
            settings.mysql.host = "127.0.0.1"
        return settings

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Let no other process make tables or types meanwhile, on whatever machine it runs."""
        digest = hashlib.sha256(self.connection.mysql.database.encode()).hexdigest()
        name = f"penstock {digest[:40]}"
        deadline = time.monotonic() + self.wait_seconds
        with self._connected() as cursor:
            while True:
                slice_seconds = min(1.0, max(0.0, deadline - time.monotonic()))
                cursor.execute("SELECT GET_LOCK(%s, %s)", (name, slice_seconds))
                if cursor.fetchone() == (1,):
                    break
                if time.monotonic() >= deadline:
                    raise locked_for_long(self.where, self.wait_seconds)
                self.patience.meanwhile("")
            yield

    def prepare(self, *, create: bool) -> None:
        """See that the server keeps texts whole.

        Raises:
          StoreError: it cannot be reached or used.
        """
        if not create:
            return
        with self._connected() as cursor:
            cursor.execute("SELECT @@GLOBAL.sql_mode")
            [mode] = cursor.fetchone()
        if "STRICT" not in mode and "TRADITIONAL" not in mode:
            raise StoreError(
                f"the metadata store {self.where} cannot be used: its server cuts off long texts "
                "without an error",
                hint="Add STRICT_TRANS_TABLES to the server's sql_mode.",
            )

    def exists(self) -> bool:
        """Say whether there is a store, of whatever version.

        Tables of which none has a row are none: whoever began to make the store, one statement
        after the other, was ended before it wrote the version.
        """
        with self._connected() as cursor:
            found = self._tables(cursor)
            if not {"mlmdenv", "execution"} & found.keys():
                return False
            if self._has_rows(cursor, found):
                return True
            time.sleep(_MAKING_PAUSE_SECONDS)  # one who does not know our lock may be at it
            return self._has_rows(cursor, self._tables(cursor))

    def create(self, fill: Callable[[Any], None]) -> None:
        """Make the database, if there is none, and the store.

        Names that differ by case alone are different names to TFX, so the text is compared byte
        by byte; MySQL's own default is not to.
        """
        import pymysql

        name = self.connection.mysql.database
        collation = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        with self._connected(_MAKING_SECONDS) as cursor:
            cursor.execute(
                "SELECT default_collation_name FROM information_schema.schemata"
                " WHERE schema_name = %s",
                (name,),
            )
            row = cursor.fetchone()
            verb = "CREATE" if row is None else "ALTER"
            statement = f"{verb} DATABASE {_backticked(name)} {collation}"
            try:
                if row is None or not row[0].startswith("utf8mb4") or "_bin" not in row[0]:
                    cursor.execute(statement)
            except pymysql.Error as error:
                raise self._may_not(verb, statement, error) from error
            for table in self._tables(cursor).values():
                cursor.execute(f"DROP TABLE {self._named(table)}")
        fill(self.settings())

    def _tables(self, cursor: Any) -> dict[str, str]:
        """Return ML Metadata's tables that there are, by their names in lower case."""
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = %s"
            " AND table_type = 'BASE TABLE'",
            (self.connection.mysql.database,),
        )
        names = [name for (name,) in cursor.fetchall()]
        return {name.lower(): name for name in names if name.lower() in _TABLES}

    def _has_rows(self, cursor: Any, tables: Mapping[str, str]) -> bool:
        for table in sorted(tables, key=lambda name: name != "mlmdenv"):
            cursor.execute(f"SELECT 1 FROM {self._named(tables[table])} LIMIT 1")
            if cursor.fetchone() is not None:
                return True
        return False

    def _named(self, table: str) -> str:
        return f"{_backticked(self.connection.mysql.database)}.{_backticked(table)}"

    def settle(self, execution_ids: Sequence[int]) -> None:
        """Wait until no connection that was lost can still change these executions.

        Raises:
          StoreAway: the server does not answer, or one of them still holds what it has changed.
        """
        import pymysql

        if not execution_ids:
            return
        marks = ", ".join(["%s"] * len(execution_ids))
        with self._connected() as cursor:
            cursor.execute("SET innodb_lock_wait_timeout = 5")
            cursor.execute(f"USE {_backticked(self.connection.mysql.database)}")
            try:
                cursor.execute(
                    f"SELECT id FROM Execution WHERE id IN ({marks}) FOR UPDATE", execution_ids
                )
            except pymysql.Error as error:
                if error.args[:1] and error.args[0] in _LOCK_IS_HELD:
                    raise self._away("a connection that was lost holds what it changed") from error
                raise

    def back_up(self) -> str | None:
        """Servers have their own tools for this."""
        return None

    def encode(self, request: Any) -> None:
        """Do nothing: ML Metadata writes all texts as they are."""

    def decode(self, response: Any) -> None:
        """Do nothing."""

    def explain(self, message: str) -> str | None:
        """Return what to do about a message of the database, where that is known."""
        if "Data too long" in message and "'uri'" not in message and "_value'" not in message:
            return TEXT_TOO_LONG
        if "Data too long" in message:
            return "MySQL keeps 64 kB of an artifact's address and 16 MB of a text."
        if "Out of range value" in message:
            return NUMBER_TOO_LARGE
        if "max_allowed_packet" in message or "gone away" in message:
            return "If a long text was to be written, raise the server's max_allowed_packet."
        return None

    @contextmanager
    def _connected(self, answer_seconds: int = _ANSWER_SECONDS) -> Iterator[Any]:
        import pymysql

        with closing(self._connect(answer_seconds)) as opened, opened.cursor() as cursor:
            try:
                yield cursor
            except pymysql.Error as error:
                if error.args[:1] and error.args[0] in _AWAY:
                    raise self._away(_reason(error)) from error
                raise

    def _connect(self, answer_seconds: int) -> Any:
        import pymysql

        own = self.connection.mysql
        options: dict[str, Any] = {}
        if own.HasField("ssl_options"):
            options = {
                "ssl_ca": own.ssl_options.ca or None,
                "ssl_cert": own.ssl_options.cert or None,
                "ssl_key": own.ssl_options.key or None,
                "ssl_verify_identity": own.ssl_options.verify_server_cert,
            }
        try:
            return pymysql.connect(
                host=own.host or None,
                unix_socket=own.socket or None,
                port=own.port or 3306,
                user=own.user,
                password=own.password.encode(),  # as text it would be sent in Latin-1
                connect_timeout=_CONNECT_SECONDS,
                read_timeout=answer_seconds,
                write_timeout=answer_seconds,
                charset="utf8mb4",
                autocommit=True,
                **options,
            )
        except (pymysql.Error, OSError, RuntimeError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> StoreError:
        code = error.args[0] if error.args else 0
        hint = "See that the server runs and that the address in the profile is right."
        if code in (1044, 1045, 1698):
            hint = "See that the user and the password in the profile's address are right."
        elif code == 1040:
            hint = "Too many are connected to the server: raise its max_connections."
        cause = getattr(error, "original_exception", error)
        is_unknown = isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN
        kind = StoreAway if code in _AWAY and not is_unknown else StoreError
        return kind(
            f"the metadata store {self.where} cannot be reached: {_reason(error)}", hint=hint
        )

    def _away(self, reason: str) -> StoreAway:
        return StoreAway(
            f"the metadata store {self.where} does not answer: {reason}",
            hint="See that its server runs.",
        )

    def _may_not(self, verb: str, statement: str, error: Exception) -> StoreError:
        what = "there is no such database, or this user may not use it"
        if verb == "ALTER":
            what = "its database takes names for one that differ in case alone"
        return StoreError(
            f"the metadata store {self.where} cannot be made: {what} ({_reason(error)})",
            hint=f"Let an administrator run: {statement};",
        )


def _reason(error: Exception) -> str:
    return str(error.args[1]) if len(error.args) > 1 else str(error)


def _backticked(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
