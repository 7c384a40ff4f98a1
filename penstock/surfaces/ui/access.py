"""Who may read the pages: this machine's browser, with the token of the address that was printed.

Other users of the machine do not know the token. Other sites in the same browser cannot send the
cookie (SameSite), and one that makes its name point to this machine is refused by its Host header.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse

_HOSTS = ("127.0.0.1", "localhost")
_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Access:
    """Wraps an application: only who has the token reaches it, and only to read.

    A code lets in once: what a command line holds, all users of the machine can read.
    """

    def __init__(
        self, application: Callable[..., Awaitable[None]], token: str, code: str = ""
    ) -> None:
        self.application = application
        self.token = token
        self.code = code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the application answer it."""
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        answer = self._answer(Request(scope)) or self.application
        await answer(scope, receive, _with_headers(send))

    def _answer(self, request: Request) -> Callable[..., Awaitable[None]] | None:
        port = request.scope["server"][1]
        if request.headers.get("host") not in [f"{host}:{port}" for host in _HOSTS]:
            return PlainTextResponse("This is not the address of this page.", 403)
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("These pages can only be read.", 405)
        cookie = f"penstock-{port}"
        token = request.query_params.get("token")
        code = request.query_params.get("code")
        if (token is not None and self._is_right(token)) or (code and self._is_for_once(code)):
            # The token goes out of the address, so that it is not copied with it.
            response = RedirectResponse(_without_token(request.url), 303)
            response.set_cookie(cookie, self.token, httponly=True, samesite="strict")
            return response
        if (
            token is not None
            or code is not None
            or not self._is_right(request.cookies.get(cookie, ""))
        ):
            return PlainTextResponse(
                "Open the address that `penstock ui` has printed: it has the token that lets you "
                "in.",
                403,
            )
        return None

    def _is_right(self, token: str) -> bool:
        return secrets.compare_digest(token.encode(), self.token.encode())

    def _is_for_once(self, code: str) -> bool:
        if not self.code or not secrets.compare_digest(code.encode(), self.code.encode()):
            return False
        self.code = ""
        return True


def _without_token(url: URL) -> str:
    rest = url.remove_query_params(["token", "code"])
    # A path alone: nothing that a request says leads to another site.
    path = "/" + rest.path.lstrip("/")
    return f"{path}?{rest.query}" if rest.query else path


def _with_headers(send: Send) -> Send:
    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_HEADERS.items()]}
        await send(message)

    return sending
