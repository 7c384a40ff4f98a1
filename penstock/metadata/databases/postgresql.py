"""Stores in a database of a PostgreSQL server."""

from __future__ import annotations

import hashlib
import random
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from penstock.errors import StoreError
from penstock.metadata.databases import backslashes, portions
from penstock.metadata.databases.database import NUMBER_TOO_LARGE, TEXT_TOO_LONG, no_store_yet
from penstock.metadata.databases.limits import POSTGRESQL
from penstock.metadata.databases.locking import WAIT_SECONDS, locked_for_long
from penstock.metadata.databases.patience import USUAL, Patience, StoreAway

_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 10
_MAKING_SECONDS = 60
# The server starts or goes, or has no room for another connection.
_AWAY = ("57P01", "57P02", "57P03", "53300", "08006")
_LOCK_IS_HELD = "55P03"


@dataclass(frozen=True)
class PostgreSql:
    """A store in a database of a PostgreSQL server."""

    connection: Any
    wait_seconds: float = WAIT_SECONDS
    patience: Patience = USUAL
    locks_each_call = False
    limits = POSTGRESQL

    @property
    def where(self) -> str:
        """The store's address, as it may be shown."""
        own = self.connection.postgresql
        host = own.host or own.hostaddr
        return f"postgresql://{own.user}@{host}:{own.port or 5432}/{own.dbname}"

    def settings(self) -> Any:
        """Return what ML Metadata connects with; it writes values into libpq's text as they are."""
        settings = type(self.connection)()
        settings.CopyFrom(self.connection)
        own = settings.postgresql
        for name in ("dbname", "user", "password", "host"):
            if value := getattr(own, name):
                setattr(own, name, _libpq_quoted(value))
        own.skip_db_creation = True
        return settings

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Let no other process make tables or types meanwhile, on whatever machine it runs."""
        import pg8000.dbapi

        own = self.connection.postgresql
        digest = hashlib.sha256(f"penstock {own.dbname}".encode()).digest()
        key = int.from_bytes(digest[:8], "big", signed=True)
        deadline = time.monotonic() + self.wait_seconds
        with self._connected(own.dbname) as cursor:
            while True:
                slice_seconds = min(1.0, deadline - time.monotonic())
                cursor.execute(f"SET lock_timeout = {max(1, int(slice_seconds * 1000))}")
                try:
                    cursor.execute("SELECT pg_advisory_lock(%s)", (key,))
                    break
                except pg8000.dbapi.Error as error:
                    if _code(error) != _LOCK_IS_HELD:
                        raise
                    if time.monotonic() >= deadline:
                        raise locked_for_long(self.where, self.wait_seconds) from error
                self.patience.meanwhile("")
            yield

    def prepare(self, *, create: bool) -> None:
        """Make the database, if there is none and it may be made.

        Raises:
          StoreError: the server cannot be reached or used, or there is no such database.
        """
        name = self.connection.postgresql.dbname
        try:
            with self._connected(name) as cursor:
                cursor.execute("SHOW server_encoding")
                [encoding] = cursor.fetchone()
        except _NoSuchDatabase as error:
            if not create:
                raise no_store_yet(self.where) from error
            self._create_database(name)
            return
        if encoding not in ("UTF8", "SQL_ASCII"):
            raise StoreError(
                f"the metadata store {self.where} cannot be used: its texts are in {encoding}, "
                "which cannot write all characters",
                hint="Make a database with ENCODING 'UTF8' for it.",
            )

    def exists(self) -> bool:
        """Say whether there is a store, of whatever version."""
        with self._connected(self.connection.postgresql.dbname) as cursor:
            cursor.execute("SELECT coalesce(to_regclass('mlmdenv'), to_regclass('execution'))")
            return cursor.fetchone() != [None]

    def create(self, fill: Callable[[Any], None]) -> None:
        """Make the store."""
        fill(self.settings())

    def settle(self, execution_ids: Sequence[int]) -> None:
        """Wait until no connection that was lost can still change these executions.

        Raises:
          StoreAway: the server does not answer, or one of them still holds what it has changed.
        """
        import pg8000.dbapi

        if not execution_ids:
            return
        ids = ", ".join(str(int(execution_id)) for execution_id in execution_ids)
        with self._connected(self.connection.postgresql.dbname) as cursor:
            cursor.execute("SET lock_timeout = 5000")
            try:
                cursor.execute(f"SELECT id FROM execution WHERE id IN ({ids}) FOR UPDATE")
            except pg8000.dbapi.Error as error:
                if _code(error) == _LOCK_IS_HELD:
                    raise self._away("a connection that was lost holds what it changed") from error
                raise

    def back_up(self) -> str | None:
        """Servers have their own tools for this."""
        return None

    def encode(self, request: Any) -> None:
        """Hide the backslashes of a request from ML Metadata, and write long texts in portions."""
        backslashes.hide(request)
        portions.split(request, POSTGRESQL.text_bytes or 0)

    def decode(self, response: Any) -> None:
        """Write texts as they were."""
        portions.join(response)
        backslashes.show(response)

    def explain(self, message: str) -> str | None:
        """Return what to do about a message of the database, where that is known."""
        if "value too long for type" in message:
            return TEXT_TOO_LONG
        if "integer out of range" in message or "out of range for type integer" in message:
            return NUMBER_TOO_LARGE
        if "maximum size is" in message or "exceeds btree" in message:
            return (
                "PostgreSQL keeps names, addresses and values in an index, and so holds addresses "
                f"of about 2,700 bytes and values of {POSTGRESQL.text_bytes:,}: put what is longer "
                "into a file, and give its path."
            )
        if "permission denied" in message:
            user = self.connection.postgresql.user
            return f"Let the user make and write tables: GRANT ALL ON SCHEMA public TO {user};"
        return None

    def _create_database(self, name: str) -> None:
        import pg8000.dbapi

        statement = f"CREATE DATABASE {_double_quoted(name)} ENCODING 'UTF8' TEMPLATE template0"
        deadline = time.monotonic() + self.wait_seconds
        while True:
            try:
                with self._connected("postgres", _MAKING_SECONDS) as cursor:
                    cursor.execute(statement)
                return
            except StoreAway:
                raise
            except (pg8000.dbapi.Error, StoreError, _NoSuchDatabase) as error:
                cause = error if isinstance(error, pg8000.dbapi.Error) else error.__cause__
                if _code(cause) in ("42P04", "23505"):  # it exists: another process was first
                    return
                # 55006: another process makes a database from the same template
                if _code(cause) != "55006" or time.monotonic() > deadline:
                    raise StoreError(
                        f"the metadata store {self.where} cannot be made: there is no such "
                        f"database ({_reason(cause)})",
                        hint=f"Let an administrator run: {statement};",
                    ) from error
            time.sleep(random.uniform(0.01, 0.1))

    @contextmanager
    def _connected(self, database: str, answer_seconds: float = _ANSWER_SECONDS) -> Iterator[Any]:
        import pg8000.dbapi

        with ExitStack() as stack:
            opened = self._connect(database, stack, answer_seconds)
            cursor = stack.enter_context(closing(opened.cursor()))
            try:
                yield cursor
            except (pg8000.dbapi.InterfaceError, OSError) as error:
                raise self._away(_reason(error)) from error
            except pg8000.dbapi.Error as error:
                if _code(error) in _AWAY:
                    raise self._away(_reason(error)) from error
                raise

    def _connect(self, database: str, stack: ExitStack, answer_seconds: float) -> Any:
        import pg8000.dbapi

        own = self.connection.postgresql
        host, port = own.hostaddr or own.host, int(own.port or 5432)
        context = None
        if own.HasField("ssloption") and own.ssloption.sslmode not in ("", "disable", "allow"):
            context = _ssl_context(own.ssloption)
        try:
            reached = stack.enter_context(socket.create_connection((host, port), _CONNECT_SECONDS))
            # Where the server has TLS another socket takes this one's place, with its timeout.
            reached.settimeout(answer_seconds)
            opened = pg8000.dbapi.connect(
                own.user,
                host=host,
                database=database,
                password=own.password,
                ssl_context=context,
                sock=reached,
            )
        except (pg8000.dbapi.Error, OSError) as error:
            if _code(error) == "3D000":
                raise _NoSuchDatabase(database) from error
            raise self._unreachable(error) from error
        stack.callback(_close, opened)
        opened.autocommit = True
        return opened

    def _unreachable(self, error: Exception) -> StoreError:
        code = _code(error)
        hint = "See that the server runs and that the address in the profile is right."
        if code in ("28P01", "28000"):
            hint = "See that the user and the password in the profile's address are right."
        elif code == "42501":
            hint = f"Let the user {self.connection.postgresql.user} connect to the database."
        elif code == "53300":
            hint = "Too many are connected to the server: raise its max_connections."
        return (StoreAway if _is_away(error) else StoreError)(
            f"the metadata store {self.where} cannot be reached: {_reason(error)}", hint=hint
        )

    def _away(self, reason: str) -> StoreAway:
        return StoreAway(
            f"the metadata store {self.where} does not answer: {reason}",
            hint="See that its server runs.",
        )


class _NoSuchDatabase(Exception):
    pass


def _is_away(error: Exception) -> bool:
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return False
    # What has no code is none that the server has told.
    return isinstance(error, OSError) or (_code(error) or _AWAY[0]) in _AWAY


def _close(opened: Any) -> None:
    import pg8000.dbapi

    with suppress(pg8000.dbapi.Error, OSError):  # it was lost meanwhile
        opened.close()


def _code(error: BaseException | None) -> str:
    details = error.args[0] if error is not None and error.args else None
    return str(details.get("C", "")) if isinstance(details, dict) else ""


def _reason(error: BaseException | None) -> str:
    details = error.args[0] if error is not None and error.args else None
    return str(details.get("M", "")) if isinstance(details, dict) else str(error)


def _ssl_context(options: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.sslrootcert or None)
    context.check_hostname = options.sslmode == "verify-full"
    if options.sslmode not in ("verify-ca", "verify-full"):
        context.verify_mode = ssl.CERT_NONE
    if options.sslcert:
        context.load_cert_chain(
            options.sslcert, options.sslkey or None, options.sslpassword or None
        )
    return context


def _double_quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _libpq_quoted(value: str) -> str:
    """Quote a value of a connection string; see "Keyword/Value Connection Strings" of libpq."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
