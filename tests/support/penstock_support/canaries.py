"""A table beside a store's own, which nothing that is asked of the store may read or change."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urlsplit

SECRET = "what-the-canary-knows"


@dataclass(frozen=True)
class Canary:
    """The table in the database of a store; `scheme` is "" for a file of SQLite.

    It is looked at over one connection, since a new one takes longer than what is looked at.
    """

    address: str
    scheme: str

    def plant(self) -> None:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute("CREATE TABLE canary (secret VARCHAR(80))")
            cursor.execute(f"INSERT INTO canary VALUES ('{SECRET}')")

    def tables(self) -> frozenset[str]:
        """Return the names of all tables of all users, with what the canary's has."""
        query = {
            "": "SELECT name FROM sqlite_master",
            "mysql": "SELECT concat(table_schema, '.', table_name) FROM information_schema.tables"
            " WHERE table_type = 'BASE TABLE'",
            "postgresql": "SELECT schemaname || '.' || tablename FROM pg_tables",
        }[self.scheme]
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(query)
            names = frozenset(name for (name,) in cursor.fetchall())
            cursor.execute("SELECT secret FROM canary")
            return names | {f"canary has {row!r}" for row in cursor.fetchall()}

    def close(self) -> None:
        """Look no more."""
        self._connection.close()

    @cached_property
    def _connection(self) -> Any:
        """A connection without transactions: it sees what is there now."""
        if not self.scheme:
            return sqlite3.connect(self.address, isolation_level=None)
        parts = urlsplit(self.address)
        login: dict[str, Any] = {
            "host": parts.hostname,
            "port": parts.port,
            "user": parts.username,
            "password": unquote(parts.password or ""),
            "database": parts.path.strip("/"),
        }
        if self.scheme == "mysql":
            import pymysql

            login["password"] = login["password"].encode()
            return pymysql.connect(**login, charset="utf8mb4", autocommit=True)
        import pg8000.dbapi

        connection = pg8000.dbapi.connect(**login)
        connection.autocommit = True
        return connection


def canary_of(address: str) -> Canary:
    """Return the canary of a store, which is still to be planted."""
    scheme = address.partition("://")[0] if "://" in address else ""
    return Canary(address, scheme)
