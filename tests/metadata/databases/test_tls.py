"""Databases whose servers have TLS, and addresses that ask for it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.errors import StoreError
from penstock.metadata.store import connect, connection_config
from penstock_support import servers
from penstock_support.metadata_servers import certificates


@pytest.fixture(scope="module")
def with_tls() -> Iterator[servers.Server]:
    """A PostgreSQL server that offers TLS, as those of most distributions do."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-tls-"))
    try:
        certificates(folder)
        for path in (folder, *folder.iterdir()):
            path.chmod(0o755 if path.is_dir() else 0o600)
            if user := servers.unprivileged():
                shutil.chown(path, user)
        named = (f"ssl_cert_file={folder}/server.pem", f"ssl_key_file={folder}/server.key")
        options = [part for text in (*named, "ssl=on") for part in ("-c", text)]
        with servers.postgresql_instance(*options) as instance:
            yield instance.server
    finally:
        shutil.rmtree(folder)


def test_a_store_is_made_on_a_postgresql_server_that_offers_tls(with_tls: servers.Server) -> None:
    with connect(connection_config(with_tls.address("offered"))) as metadata:
        assert metadata.store.get_artifacts() == []


@pytest.mark.parametrize("scheme", ["mysql", "postgresql"])
@pytest.mark.parametrize("option", ["ca=/ca.pem", "sslmode=verify-full", "ssl_ca=/ca.pem"])
def test_an_address_of_a_database_that_asks_for_tls_names_what_has_it(
    scheme: str, option: str
) -> None:
    with pytest.raises(StoreError) as raised:
        connection_config(f"{scheme}://user:hush@host/database?{option}")
    said = str(raised.value)
    assert f"'{scheme}://user:***@host/database?{option}' asks for TLS" in said
    assert "Run penstock metadata serve with a certificate beside the database" in said
