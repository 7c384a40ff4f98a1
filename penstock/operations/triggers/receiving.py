"""Receiving events over HTTP: an application that lets in only who has the token.

POST /          a CloudEvent; 202 it is kept, 200 it was before, 404 no trigger waits for it
GET /health     200, for those who look whether it works
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from penstock import _tfx
from penstock.errors import ConfigError, ParameterError, PenstockError
from penstock.metadata.databases.addresses import connection_config
from penstock.metadata.store import connect
from penstock.operations.triggers.events import CloudEvent, concerned, keep, read_events
from penstock.project.config import Config
from penstock.safety.bearer import is_bearer

MOST_BYTES = 1024 * 1024


def application(
    config: Config, names: list[str], token: str, arrived: Callable[[], None], *, who: str
) -> Starlette:
    """Return what receives the events that triggers wait for; `arrived` is told of each new one."""

    async def receive(request: Request) -> Response:
        if not _is_let_in(request, token):
            return _refusal(401, "send the token as the header Authorization: Bearer TOKEN")
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
                return _refusal(413, f"an event has {MOST_BYTES} bytes at most")
        try:
            events = read_events({k.lower(): v for k, v in request.headers.items()}, body)
        except ParameterError as error:
            return _refusal(400, str(error))
        try:
            wanted = [(event, concerned(config, names, event)) for event in events]
        except ParameterError as error:
            return _refusal(404, str(error))
        try:
            new = await run_in_threadpool(_keep, config, wanted, who)
        except (PenstockError, _tfx.ml_metadata.errors.StatusError) as error:
            # Nothing is acknowledged that is not kept: the sender asks again.
            return _refusal(503, str(error))
        if new:
            arrived()
        content = {"new": new, "triggers": sorted({n for _, found in wanted for n in found})}
        return JSONResponse(content, 202 if new else 200)

    async def health(_: Request) -> Response:
        return PlainTextResponse("ok")

    return Starlette(
        routes=[
            Route("/", receive, methods=["POST"]),
            Route("/health", health, methods=["GET"]),
        ]
    )


@contextmanager
def serving(
    application: Starlette,
    host: str,
    port: int,
    certificate: Path | None = None,
    key: Path | None = None,
) -> Iterator[int]:
    """Serve an application from a thread of its own; yield the port, which 0 leaves open.

    Raises:
      ConfigError: the port, or the certificate, cannot be used.
    """
    listening = _listening(host, port)
    with listening:
        settings = uvicorn.Config(
            application,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            ssl_certfile=str(certificate) if certificate else None,
            ssl_keyfile=str(key) if key else None,
            timeout_graceful_shutdown=10,
        )
        try:
            settings.load()
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"{certificate} and {key} cannot be used for TLS: {error}") from error
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(
            f"port {port} of {host} cannot be used: {error.strerror or error}",
            hint="Give another --port.",
        ) from error


def _keep(config: Config, wanted: list[tuple[CloudEvent, list[str]]], who: str) -> int:
    """Write events into the stores of their triggers; return how many are new."""
    now, new = datetime.now(UTC), 0
    for event, names in wanted:
        kept = False
        for name in names:
            address = config.profile(config.triggers[name].profile).metadata_address()
            with connect(connection_config(address)) as metadata:
                kept |= keep(metadata.store, [name], event, now, who=who)
        new += kept
    return new


def _is_let_in(request: Request, token: str) -> bool:
    return is_bearer(request.headers.get("authorization", "").encode(), token)


def _refusal(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status)
