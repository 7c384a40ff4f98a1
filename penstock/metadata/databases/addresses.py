"""Addresses of metadata stores, and the settings that ML Metadata connects with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from penstock import _tfx
from penstock.errors import StoreError, suggestion
from penstock.metadata.databases.remote import Access

_FORMS = (
    "sqlite:///folder/metadata.sqlite",
    "mysql://user:password@host:3306/database",
    "postgresql://user:password@host:5432/database",
    "grpcs://:token@host:8080",
)
SERVER_PORT = 8080
_SERVER_FILES = ("ca", "certificate", "key")
_TLS_OPTIONS = {*_SERVER_FILES, "sslmode", "sslrootcert", "sslcert", "sslkey", "ssl", "ssl_ca"}


def connection_config(address: str) -> Any:
    """Return the connection settings for an address: ML Metadata's, or an `Access` to a server.

    An address is a URL (sqlite, mysql, postgresql, grpc or grpcs) or the path of an SQLite file.
    What has a meaning in URLs is written as %40 and the like in a name or a password.

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
    if parts.scheme in ("grpc", "grpcs"):
        return _access(address, parts)
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
    scheme, separator, rest = address.partition("://")
    account, at, host = rest.rpartition("@")
    if separator and at and scheme in ("grpc", "grpcs"):
        return f"{scheme}://***@{host}"
    if not separator or not at or ":" not in account:
        return address
    return f"{scheme}://{account.partition(':')[0]}:***@{host}"


def _access(address: str, parts: SplitResult) -> Access:
    if not parts.hostname or parts.path not in ("", "/") or parts.fragment:
        raise _not_an_address(address)
    if "@" in parts.netloc and (parts.username or not parts.password):
        raise StoreError(
            f"{without_password(address)!r} has no token where one is expected",
            hint="Write it after a colon: grpcs://:${env:NAME}@host:port.",
        )
    files = _server_files(address, parts)
    return Access(
        parts.hostname,
        parts.port or SERVER_PORT,
        tls=parts.scheme == "grpcs",
        token=unquote(parts.password or ""),
        roots=files.get("ca", b""),
        certificate=files.get("certificate", b""),
        key=files.get("key", b""),
    )


def _server_files(address: str, parts: SplitResult) -> dict[str, bytes]:
    """Read the certificates that an address names after a question mark."""
    safe_address = without_password(address)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in options:
        if name not in _SERVER_FILES:
            raise StoreError(
                f"{safe_address!r} has {name!r} after the question mark, which is not known",
                hint=suggestion(name, _SERVER_FILES),
            )
    if options and parts.scheme == "grpc":
        raise StoreError(
            f"{safe_address!r} names certificates, and has no TLS",
            hint="Write grpcs:// in its place.",
        )
    if ("certificate" in options) != ("key" in options):
        raise StoreError(
            f"{safe_address!r} names a certificate of the client's or a key, and not both",
            hint="Write ...?certificate=FILE&key=FILE.",
        )
    try:
        return {name: Path(path).read_bytes() for name, path in options.items()}
    except OSError as error:
        raise StoreError(
            f"{safe_address!r} names a file that cannot be read: {error.filename}: {error.strerror}"
        ) from error


def _account(address: str, parts: SplitResult) -> tuple[str, str, str]:
    database = unquote(parts.path.removeprefix("/"))
    if not parts.hostname or not database or "/" in database or not parts.username:
        raise _not_an_address(address)
    if not _TLS_OPTIONS.isdisjoint(name for name, _ in parse_qsl(parts.query)):
        # Its client of PostgreSQL is built without TLS, and that of MySQL accepts no certificate
        # when it is to look at it, and any when it is not.
        raise StoreError(
            f"{without_password(address)!r} asks for TLS, which ML Metadata has for none of its "
            "databases in a way that says who answers",
            hint="Run penstock metadata serve with a certificate beside the database, and write "
            "grpcs://:${env:NAME}@host:port?ca=FILE; or reach the database through a tunnel.",
        )
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
