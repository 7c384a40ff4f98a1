"""Serving the metadata store."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import click

from penstock.errors import ConfigError
from penstock.project.profiles import Profile
from penstock.surfaces.cli.options import profile_option, project_config
from penstock.surfaces.cli.printing import echo
from penstock.surfaces.cli.protection import LOCAL, PEM, check_tls, token_of


@click.group()
def metadata() -> None:
    """Serve the metadata store.

    \b
    Example:
      penstock metadata serve --profile team
    """


@metadata.command()
@profile_option
@click.option("--store", "address", help="The store to serve; by default the profile's.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="The port to listen at; 0 is one that is free.",
)
@click.option("--tls-certificate", type=PEM, help="The server's certificate, in PEM.")
@click.option("--tls-key", type=PEM, help="Its key, in PEM.")
@click.option(
    "--client-ca", type=PEM, help="Clients must have a certificate that one of these signed."
)
@click.option("--token", default="", help="Clients must send this token: '${env:NAME}'.")
@click.option(
    "--without-tls", is_flag=True, help="Serve other machines without TLS, where others protect it."
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="How many seconds calls under way have when the server is stopped.",
)
@click.pass_context
def serve(
    context: click.Context,
    profile_name: str | None,
    address: str | None,
    host: str,
    port: int,
    tls_certificate: Path | None,
    tls_key: Path | None,
    client_ca: Path | None,
    token: str,
    without_tls: bool,
    grace: float,
) -> None:
    """Serve a store to ML Metadata's clients and to Penstock, by gRPC.

    \b
    Example:
      penstock metadata serve --port 8080
      penstock metadata serve --host 0.0.0.0 --token '${env:TOKEN}' \\
          --tls-certificate server.pem --tls-key server.key
    """
    from penstock.metadata.server import serving as server
    from penstock.metadata.store import connection_config

    protection = server.Protection(
        _read(tls_certificate), _read(tls_key), _read(client_ca), token_of(token)
    )
    _check(protection, host, without_tls)
    connection = connection_config(_store_address(context, profile_name, address))
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    serving = server.start(connection, host, port, protection)
    url_host = f"[{host}]" if ":" in host else host
    scheme = "grpcs" if protection.certificate else "grpc"
    echo(f"serving {serving.where} at {scheme}://{url_host}:{serving.port}")
    stopped.wait()
    echo("stopping: calls under way come to their end", err=True)
    serving.stop(grace)


def _store_address(context: click.Context, profile_name: str | None, address: str | None) -> str:
    if address is None:
        return project_config(context).profile(profile_name).metadata_address()
    from penstock.project.profiles import refuse_password

    refuse_password(None, "--store", address, "the address of the metadata store")
    return Profile(metadata=address).metadata_address()


def _read(path: Path | None) -> bytes:
    if path is None:
        return b""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if b"-----BEGIN " not in content:
        raise ConfigError(f"{path} is not in PEM: it has no line -----BEGIN …-----")
    return content


def _check(protection: Any, host: str, without_tls: bool) -> None:
    """Refuse what is not protected by mistake, and warn of what is not on purpose."""
    has_certificate = bool(protection.certificate)
    check_tls(host, has_certificate, bool(protection.key), without_tls)
    if protection.client_roots and not has_certificate:
        raise ConfigError("--client-ca needs TLS", hint="Give --tls-certificate and --tls-key too.")
    if not protection.token and not protection.client_roots:
        who = "every user of this machine" if host in LOCAL else "whoever reaches it"
        echo(f"warning: without --token or --client-ca {who} reads and writes the store", err=True)
