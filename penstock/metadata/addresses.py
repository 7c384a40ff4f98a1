"""Addresses of metadata stores, and the settings that ML Metadata connects with."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from penstock import _tfx
from penstock.errors import StoreError

_FORMS = (
    "sqlite:///folder/metadata.sqlite",
    "mysql://user:password@host:3306/database",
    "postgresql://user:password@host:5432/database",
)


def connection_config(address: str) -> Any:
    """Return ML Metadata's connection settings for an address.

    An address is a URL (sqlite, mysql or postgresql) or the path of an SQLite file. What has a
    meaning in URLs is written as %40 and the like in a name or a password.

    Raises:
      StoreError: the address is none of these.
    """
    config = _tfx.metadata_store_pb2.ConnectionConfig()
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise _not_an_address(address) from None
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
    user, password, database = _account(address, parts)
    if parts.scheme == "mysql":
        config.mysql.host, config.mysql.port = parts.hostname, port or 3306
        config.mysql.database, config.mysql.user = database, user
        config.mysql.password = password
    elif parts.scheme in ("postgresql", "postgres"):
        config.postgresql.host, config.postgresql.port = parts.hostname, str(port or 5432)
        config.postgresql.dbname, config.postgresql.user = database, user
        config.postgresql.password = password
    else:
        raise _not_an_address(address)
    return config


def without_password(address: str) -> str:
    """Return an address as it may be shown."""
    scheme, found, rest = address.partition("://")
    account, at, place = rest.rpartition("@")
    if not found or not at or ":" not in account:
        return address
    return f"{scheme}://{account.partition(':')[0]}:***@{place}"


def _account(address: str, parts: SplitResult) -> tuple[str, str, str]:
    database = unquote(parts.path.removeprefix("/"))
    if not parts.hostname or not database or "/" in database or not parts.username:
        raise _not_an_address(address)
    if parts.query or parts.fragment:
        raise StoreError(
            f"{without_password(address)!r} has something after the database's name",
            hint="In a password, ? is written as %3F, # as %23 and / as %2F.",
        )
    return unquote(parts.username), unquote(parts.password or ""), database


def _not_an_address(address: str) -> StoreError:
    return StoreError(
        f"{without_password(address)!r} is not the address of a metadata store",
        hint=f"Write it as one of: {', '.join(_FORMS)}. "
        "In a name or a password, @ is written as %40, : as %3A, / as %2F, ? as %3F, # as %23 "
        "and % as %25.",
    )
