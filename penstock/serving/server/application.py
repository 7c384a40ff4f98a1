"""The server's addresses: predictions by three protocols, health, metrics, administration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.safety.bearer import is_bearer
from penstock.serving.server import administration
from penstock.serving.server.asking import (
    Asking,
    Receive,
    Scope,
    Send,
    answer,
    asking,
    error_body,
    header,
)
from penstock.serving.server.models import ServedModel, UnknownModelError
from penstock.serving.server.pages import Standing, others

# A server is asked at few addresses; those of attackers should not fill its memory.
_KNOWN_ADDRESSES = 1024
_OPEN = ("/healthz", "/livez", "/readyz", "/startupz", "/v2/health/live", "/v2/health/ready")
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Application:
    """Serves models over ASGI.

    With a `token`, whoever asks for predictions has to have it. Without one, only this machine may:
    a page of another site that makes its name point here is known by the Host header. `own_token`
    is that of the administration.
    """

    def __init__(
        self,
        models: Mapping[str, ServedModel],
        standing: Standing,
        *,
        own_token: str,
        token: str = "",
        only_loopback: bool = True,
    ) -> None:
        self._models = models
        self._standing = standing
        self._own_token = own_token
        self._token = token
        self._only_loopback = only_loopback and not token
        self._addresses: dict[str, Asking] = {}
        self._others = others(models, standing)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._others(scope, receive, send)
            return
        path = scope["path"]
        if not await self._is_let_in(path, scope, send):
            return
        if scope["method"] == "POST":
            asked = self._addresses.get(path)
            if asked is None:
                try:
                    asked = asking(path, self._models)
                except UnknownModelError as error:
                    await _refuse(send, 404, str(error))
                    return
                if asked is not None and len(self._addresses) < _KNOWN_ADDRESSES:
                    self._addresses[path] = asked
            if asked is not None:
                await answer(asked, scope, receive, send)
                return
        await self._others(scope, receive, send)

    async def _is_let_in(self, path: str, scope: Scope, send: Send) -> bool:
        headers = scope["headers"]
        if path.startswith(administration.PREFIX):
            if _is_token(headers, self._own_token):
                return True
            await _refuse(send, 401, "the administration needs the server's own token")
            return False
        if path in _OPEN:
            return True
        if self._token and not _is_token(headers, self._token):
            await _refuse(send, 401, "expected Authorization: Bearer, with the server's token")
            return False
        if self._only_loopback:
            host = (header(headers, b"host") or b"").decode("latin-1").rpartition(":")
            if (host[0] or host[2]) not in _LOOPBACK:
                await _refuse(
                    send, 403, "without a token this server is for its own machine: ask 127.0.0.1"
                )
                return False
        return True


def _is_token(headers: Any, token: str) -> bool:
    return is_bearer(header(headers, b"authorization") or b"", token)


async def _refuse(send: Send, status: int, message: str) -> None:
    body = error_body(message)
    lines = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if status == 401:
        lines.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})
