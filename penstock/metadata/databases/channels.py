"""Channels of gRPC to a server of ML Metadata's: what a process needs that asks one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import grpc

_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A connection that hangs is given up; not more often than servers tolerate.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)


def channel(target: str, token: str, tls: tuple[bytes, bytes, bytes] | None) -> grpc.Channel:
    """Return a channel whose calls bring the token, and wait for a server that is away.

    `tls` are the PEM of trusted certificates, of a key and of a certificate, each of which may be
    empty; without it nothing is encrypted.
    """
    if tls is None:
        opened = grpc.insecure_channel(target, options=_OPTIONS)
    else:
        credentials = grpc.ssl_channel_credentials(*(content or None for content in tls))
        opened = grpc.secure_channel(target, credentials, options=_OPTIONS)
    return grpc.intercept_channel(opened, _Caller(token))


class _Details(NamedTuple):
    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Caller(grpc.UnaryUnaryClientInterceptor):
    """Gives each call the token, and has it wait for a server that is away.

    A call that waits has not been sent, so that also one that changes something may.
    """

    def __init__(self, token: str) -> None:
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], details: Any, request: Any
    ) -> Any:
        waits = details.wait_for_ready
        return continuation(
            _Details(
                details.method,
                details.timeout,
                (*(details.metadata or ()), *self._metadata),
                details.credentials,
                True if waits is None else waits,
                details.compression,
            ),
            request,
        )
