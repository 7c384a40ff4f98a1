"""Asking services over HTTP: JSON, a token, and no redirection that would carry it elsewhere."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.operations.releases.targets.protocol import AwayError, TargetError

_MOST_BYTES = 16 << 20


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any, **options: Any) -> None:
        """Follow none: it is answered as it is."""


@dataclass(frozen=True)
class Service:
    """A service: its address, and what is needed to ask it."""

    url: str
    token: str = ""
    certificate_authority: str = ""
    seconds: float = 30.0

    def ask(
        self, method: str, path: str, content: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Return the status and the JSON content of an answer; text where it is no JSON.

        Raises:
          AwayError: there is no answer, or one that says that there will be one later.
          TargetError: the answer would lead elsewhere.
        """
        body = None if content is None else json.dumps(content).encode()
        sent = {"Content-Type": "application/json", "Accept": "application/json", **(headers or {})}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.url.rstrip("/") + path, body, sent, method=method)
        try:
            status, answer = self._answer(request)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise AwayError(f"{self.url} does not answer: {reason}") from None
        if status in (301, 302, 303, 307, 308):
            raise TargetError(
                f"{self.url} leads elsewhere, where no token of ours is sent",
                hint="Give the address where it answers itself.",
            )
        if status >= 500 or status == 429:
            raise AwayError(f"{self.url} answers with status {status}: {_said(answer)}")
        return status, answer

    def _answer(self, request: urllib.request.Request) -> tuple[int, Any]:
        handlers: list[urllib.request.BaseHandler] = [_NoRedirection()]
        if self.url.startswith("https://"):
            context = ssl.create_default_context(cafile=self.certificate_authority or None)
            handlers.append(urllib.request.HTTPSHandler(context=context))
        opener = urllib.request.build_opener(*handlers)
        try:
            with opener.open(request, timeout=self.seconds) as response:
                return response.status, _parsed(response.read(_MOST_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _parsed(error.read(_MOST_BYTES))


def said(answer: Any) -> str:
    """Return what an answer says of what is wrong."""
    return _said(answer)


def _said(answer: Any) -> str:
    if isinstance(answer, Mapping):
        answer = answer.get("error") or answer.get("message") or answer
    return str(answer).strip()[:500] or "it says nothing"


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode(errors="replace")
