"""What protects what listens on a network: tokens, and TLS."""

from __future__ import annotations

from pathlib import Path

import click

from penstock.errors import ConfigError, ParameterError
from penstock.safety import secrets
from penstock.surfaces.cli.printing import echo

LOCAL = ("127.0.0.1", "::1", "localhost")
PEM = click.Path(dir_okay=False, path_type=Path)


def token_of(reference: str) -> str:
    """Return the token that an option refers to, "" where it is not given.

    Raises:
      ConfigError: it is written down in place of a reference, or can be no token.
    """
    if not reference:
        return ""
    if not secrets.is_reference(reference):
        raise ConfigError(
            "--token has a token written down, where all that list processes see it",
            hint="Put it into an environment variable and write '${env:NAME}' in its place.",
        )
    try:
        token = secrets.resolve(reference).strip()
    except ParameterError as error:
        raise ConfigError(error.message, hint=error.hint) from None
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"what {reference} holds can be no token: expected letters, digits and signs of ASCII"
        )
    return token


def check_tls(host: str, has_certificate: bool, has_key: bool, without_tls: bool) -> None:
    """Refuse to listen without TLS by mistake, and warn of it where it is on purpose.

    Raises:
      ConfigError: others could listen, or one half of what TLS needs is missing.
    """
    if has_certificate != has_key:
        raise ConfigError("TLS needs both --tls-certificate and --tls-key")
    if host in LOCAL or has_certificate:
        return
    if not without_tls:
        raise ConfigError(
            f"without TLS, {host} would be open to whoever listens on the network",
            hint="Give --tls-certificate and --tls-key; or --without-tls, where a service mesh or "
            "a network of your own protects it.",
        )
    echo("warning: without TLS all that is sent, tokens too, can be read", err=True)
